"""GradNorm: weights of losses that keep their gradients alike.

Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks", ICML
2018. Each weight takes one step down the distance between its task's gradient norm at the shared map and the
norm it should have: the mean of all, more for a task that has fallen less than the others. The step is taken
in the weight's logarithm, so that none becomes negative and all are as quick.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_ASYMMETRY = 1.0
"""α of the paper: how strongly a task that lags is favoured."""

_RATE = 0.025


def next_weights(
    weights: Mapping[str, float], norms: Mapping[str, float], progress: Mapping[str, float]
) -> dict[str, float]:
    """The weights of the next step; their sum stays.

    Args:
        norms: of each task's weighted loss's gradient at the shared map.
        progress: of each task, its loss in units of its start.
    """
    names = list(weights)
    weight, norm, loss = (np.array([part[name] for name in names]) for part in (weights, norms, progress))
    if not (np.isfinite(norm).all() and np.isfinite(loss).all() and norm.sum() > 0 and loss.sum() > 0):
        return dict(weights)
    wanted = norm.mean() * (loss / loss.mean()) ** _ASYMMETRY
    # d|G − wanted| / d log(weight), G being proportional to the weight; in units of the mean norm.
    moved = weight * np.exp(-_RATE * np.sign(norm - wanted) * norm / norm.mean())
    return dict(zip(names, (moved * weight.sum() / moved.sum()).tolist(), strict=True))
