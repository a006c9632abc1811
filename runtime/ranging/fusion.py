"""Several cues to one distance: weighted by inverse variance, in the logarithm, and robust.

A cue with which none of the others agrees counts less, the more so the farther off the nearest is: its weight
falls with the square of that, as in the redescending estimators of Huber's "Robust Statistics" (1981). Of two
that contradict each other, neither is believed much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from catseye.runtime.ranging.cue import Cue, Float

_AGREES = 2.0
"""Standard deviations of a difference up to which two cues agree."""


def fuse(cues: Sequence[Cue], *, shared: float) -> Cue:
    """Join what several cues say of the same boxes.

    Args:
        shared: correlation of the errors of any two cues.
    """
    log_m = np.stack([cue.log_m for cue in cues])
    variance = np.stack([cue.variance for cue in cues])
    weights = 1 / variance / np.maximum(1.0, _alone(log_m, variance) / _AGREES) ** 2
    total = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        joined = (weights * np.nan_to_num(log_m)).sum(axis=0) / total
        # Of n cues of equal weight, each pair correlated by r, the mean's variance is (1 + (n − 1) r) / n.
        several = total**2 / (weights**2).sum(axis=0)
        joined_variance = (1 + shared * (several - 1)) / total
    said = total > 0
    return Cue(np.where(said, joined, np.nan), np.where(said, joined_variance, np.inf))


def _alone(log_m: Float, variance: Float) -> Float:
    """How many standard deviations each of (C, N) is from the nearest other cue; 0 where there is no other."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(log_m[:, None] - log_m[None]) / np.sqrt(variance[:, None] + variance[None])
    apart = np.where(np.isnan(apart), np.inf, apart)
    each = np.arange(len(log_m))
    apart[each, each] = np.inf
    nearest = apart.min(axis=1)
    return np.asarray(np.where(np.isinf(nearest), 0.0, nearest))
