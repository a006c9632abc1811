"""Several cues to one distance: weighted by inverse variance, in the logarithm, and robust.

A cue that disagrees with the one in the middle counts less, as in Huber's estimator (Annals of Mathematical
Statistics 35, 1964). Where disagreement remains, the error grows by the square root of chi-square per degree
of freedom, as the Particle Data Group scales errors of measurements that contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from catseye.runtime.ranging.cue import Cue, Float

_AGREES = 2.0
"""Standard deviations up to which a cue counts in full."""


def fuse(cues: Sequence[Cue], *, shared: float) -> Cue:
    """Join what several cues say of the same boxes.

    Args:
        shared: correlation of the errors of any two cues.
    """
    log_m = np.stack([cue.log_m for cue in cues])
    variance = np.stack([cue.variance for cue in cues])
    weights = 1 / variance
    told = weights > 0
    log_m = np.where(told, log_m, 0.0)
    start = _weighted_median(log_m, np.where(told, weights, 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.abs(log_m - start) / np.sqrt(variance + variance.min(axis=0))
        weights = weights / np.maximum(1.0, np.nan_to_num(off) / _AGREES) ** 2
        total = weights.sum(axis=0)
        joined = (weights * log_m).sum(axis=0) / total
        chi = (weights * (log_m - joined) ** 2).sum(axis=0) / np.maximum(told.sum(axis=0) - 1, 1)
        # Of n cues of equal weight, each pair correlated by r, the mean's variance is (1 + (n − 1) r) / n.
        several = total**2 / (weights**2).sum(axis=0)
        joined_variance = np.maximum(1.0, chi) * (1 + shared * (several - 1)) / total
    said = told.any(axis=0)
    return Cue(np.where(said, joined, np.nan), np.where(said, joined_variance, np.inf))


def _weighted_median(values: Float, weights: Float) -> Float:
    """Of each column (C, N): where half of the weight is reached, (N,)."""
    order = np.argsort(values, axis=0)
    reached = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    row = np.argmax(reached >= reached[-1] / 2, axis=0)
    place = np.take_along_axis(order, row[None], axis=0)
    return np.asarray(np.take_along_axis(values, place, axis=0)[0])
