"""An exponential moving average of a network, buffers and all."""

from __future__ import annotations

import copy

import torch
from torch import nn


def frozen_copy(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode that takes no gradient."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def decay_at(step: int, *, final: float) -> float:
    """Decay after step number ``step`` (from 1), rising to ``final``.

    A run of a few hundred steps would otherwise end with a target made mostly of its random start.
    """
    return min(final, step / (step + 9))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, decay: float) -> None:
    """Move every parameter and buffer of ``average`` towards ``network``; integer buffers are copied.

    Batch statistics belong to the weights that made them: averaged weights under the current statistics, or
    the reverse, are another network.
    """
    ours, theirs = ([*each.parameters(), *each.buffers()] for each in (average, network))
    pairs = list(zip(ours, theirs, strict=True))
    moving = [(our, their.to(our)) for our, their in pairs if our.is_floating_point()]
    # One call for all of them: a network has hundreds of small tensors.
    torch._foreach_lerp_([our for our, _ in moving], [their for _, their in moving], 1 - decay)
    for our, their in pairs:
        if not our.is_floating_point():
            our.copy_(their)
