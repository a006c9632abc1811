"""Several losses made one: each in units of its own start, weighted, and watched at the map they share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

Balance = Literal["start", "gradnorm", "pcgrad"]
"""``start``: each loss in units of its start. ``gradnorm``, ``pcgrad``: the same, then as the files say."""

_SETTLING_STEPS = 20


@dataclass(frozen=True)
class InitialScale:
    """Mean of a loss over its first steps; afterwards it stays."""

    mean: float = 1.0
    count: int = 0

    def with_loss(self, loss: float) -> InitialScale:
        if self.count >= _SETTLING_STEPS or not 0 < loss < math.inf:
            return self
        return InitialScale((self.mean * self.count + loss) / (self.count + 1), self.count + 1)


def weighted(
    losses: Mapping[str, Tensor], weights: Mapping[str, float], scales: Mapping[str, InitialScale]
) -> dict[str, Tensor]:
    """Each loss in units of its start times its weight, 1 where none is given; their sum is to be minimised.

    No weight is learned: an uncertainty weight on a latent loss rewards the collapse that makes it small.
    """
    return {name: weights.get(name, 1.0) * loss / scales[name].mean for name, loss in losses.items()}


def norms_at(shared: Tensor, losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Norms of each loss's gradient at a map; the graph behind the losses is kept."""
    return {name: float(gradient.norm()) for name, gradient in _gradients_at(shared, losses).items()}


def gradient_figures(losses: Mapping[str, Tensor], shared: Tensor) -> dict[str, float]:
    """Norms of each loss's gradient at ``shared``, and the cosines between them.

    Args:
        shared: the last feature map that every task reads; the graph behind the losses is kept.

    Returns:
        ``norm/NAME`` and ``cosine/NAME-NAME``; 0 where a task does not reach the map.
    """
    gradients = _gradients_at(shared, losses)
    figures = {f"norm/{name}": float(gradient.norm()) for name, gradient in gradients.items()}
    for (one, a), (two, b) in combinations(gradients.items(), 2):
        product = float(a.norm() * b.norm())
        figures[f"cosine/{one}-{two}"] = float(a @ b) / product if product > 0 else 0.0
    return figures


def _gradients_at(shared: Tensor, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    gradients = {}
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
        gradients[name] = (
            torch.zeros_like(shared).flatten() if gradient is None else gradient.flatten().float()
        )
    return gradients
