"""Less memory for more time: activations within a layer are computed again in the backward pass.

Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def blocks(network: nn.Module) -> list[nn.Module]:
    """The parts of several layers that a network calls one after the other.

    A row of parts is taken apart, since some networks of timm's call the row and some its parts.
    """
    children = [
        part
        for child in network.children()
        for part in (child.children() if isinstance(child, (nn.Sequential, nn.ModuleList)) else [child])
    ]
    return [part for part in children if any(True for _ in part.children())]


def recompute_blocks(network: nn.Module) -> None:
    """Keep only what goes in and out of each of a network's ``blocks``.

    Gradients and running statistics are those of the same network without it.
    """
    for block in blocks(network):
        block.forward = partial(_recomputed, block, block.forward)


def _recomputed(child: nn.Module, forward: Any, *inputs: Any) -> Any:
    if not child.training:
        return forward(*inputs)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=partial(_contexts, child))


def _contexts(child: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _statistics_kept(child)


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Batches pass through normalisation a second time without counting a second time."""
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
