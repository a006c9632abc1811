"""Which stage of an encoder each of its weights is of, what of it learns, and how fast.

A stage ends with one of the maps at strides 4, 8, 16 and 32, and holds what that map needs beyond the maps
before it. The first one has the stem.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from catseye.pretrain.encoder import STRIDES, Encoder

_SIDE = STRIDES[-1] * 2


def stages_of(encoder: Encoder) -> dict[str, int]:
    """The stage, from 0, of each of the encoder's parameters by name.

    Found by asking which map is the first to have a gradient by it, so that no network need be known. What
    reaches no map is of the last stage.
    """
    training = encoder.training
    learning = {name: parameter.requires_grad for name, parameter in encoder.named_parameters()}
    encoder.eval().requires_grad_(True)
    device = next(encoder.parameters()).device
    maps = encoder(torch.zeros(1, 3, _SIDE, _SIDE, device=device))
    stages: dict[str, int] = {}
    for stage, features in enumerate(maps):
        left = {name: p for name, p in encoder.named_parameters() if name not in stages}
        gradients = torch.autograd.grad(
            features.sum(), list(left.values()), retain_graph=True, allow_unused=True
        )
        reached = zip(left, gradients, strict=True)
        stages |= {name: stage for name, gradient in reached if gradient is not None}
    encoder.train(training)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(learning[name])
    return {name: stages.get(name, len(maps) - 1) for name, _ in encoder.named_parameters()}


def stage_scales(decay: float) -> list[float]:
    """Learning rate of each stage in units of what lies above the encoder.

    The rule of Clark et al., "ELECTRA", 2020, taken up for images by Bao et al., "BEiT", 2022: each layer
    learns ``decay`` times as fast as the next one.
    """
    count = len(STRIDES)
    return [decay ** (count - stage) for stage in range(count)]


class FrozenPart:
    """What of an encoder does not learn, until it does.

    Args:
        encoder: whose training mode ``hold`` changes and whose gradients ``drop`` takes off.
        weights: all of them are frozen.
        stages: how many of the first are, with what their batch normalisation has measured.
        until: steps after which they learn; None is never.
    """

    def __init__(self, encoder: Encoder, *, weights: bool, stages: int, until: int | None) -> None:
        owners = stages_of(encoder) if stages else {}
        named = dict(encoder.named_parameters())
        self._until = until
        self._frozen = [p for name, p in named.items() if weights or owners.get(name, stages) < stages]
        self._norms = [
            module
            for prefix, module in encoder.named_modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
            and _stage_of(prefix, owners, otherwise=stages) < stages
        ]
        # What will learn later has to be known to the optimiser, and to the other processes, from the start.
        if until is None:
            for parameter in self._frozen:
                parameter.requires_grad_(False)

    def _holds(self, step: int) -> bool:
        return self._until is None or step < self._until

    def hold(self, step: int) -> None:
        """Put batch normalisation in its mode for the step, once all of the network is in training mode."""
        for norm in self._norms:
            norm.train(not self._holds(step))

    def drop(self, step: int) -> None:
        """Take the gradients off what does not learn in this step."""
        if self._holds(step):
            for parameter in self._frozen:
                parameter.grad = None


def _stage_of(module: str, owners: Mapping[str, int], *, otherwise: int) -> int:
    """The stage of a module that has weights of its own."""
    return next((stage for name, stage in owners.items() if name.rpartition(".")[0] == module), otherwise)
