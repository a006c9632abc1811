"""Pretraining under torch.compile: which parts of the network become graphs."""

from __future__ import annotations

import torch
from torch import nn

from catseye.pretrain.model import PretextModel
from catseye.pretrain.recompute import blocks

_MOST_GRAPHS = 64


def compile_networks(model: PretextModel) -> None:
    """Have the encoder's blocks, and each network that a task holds, compiled when they are first called.

    Not the model as a whole, nor the encoder: each task's gradient is taken at one of the encoder's maps, and
    of what leads to it from later maps a graph that held both would tell nothing. What lies between the
    networks, such as jitter, warping and losses, stays as it is.
    """
    # Gradients by task go through a graph more than once.
    torch._functorch.config.donated_buffer = False
    # Beyond its limit the compiler would leave the rest as it is: it takes all modules for one function.
    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, _MOST_GRAPHS)
    for network in (*blocks(model.encoder.body), *_networks_of_tasks(model)):
        network.compile(dynamic=False)


def _networks_of_tasks(model: PretextModel) -> list[nn.Module]:
    """Children that are networks; single layers and short rows of them would gain nothing."""
    children = [child for name in model.task_names for child in model.task(name).children()]
    return [
        child
        for child in children
        if any(True for _ in child.children()) and not isinstance(child, (nn.Sequential, nn.ModuleList))
    ]
