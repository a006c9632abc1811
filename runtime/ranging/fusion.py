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


def fuse(cues: Sequence[Cue]) -> Cue:
    """Join what several cues, whose errors have nothing to do with each other, say of the same boxes."""
    log_m = np.stack([cue.log_m for cue in cues])
    variance = np.stack([cue.variance for cue in cues])
    weights = 1 / variance / np.maximum(1.0, _alone(log_m, variance) / _AGREES) ** 2
    total = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Cue((weights * np.nan_to_num(log_m)).sum(axis=0) / total, 1 / total)


def _alone(log_m: Float, variance: Float) -> Float:
    """Standard deviations between each of (C, N) and the nearest other cue; 0 where there is no other."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(log_m[:, None] - log_m[None]) / np.sqrt(variance[:, None] + variance[None])
    apart = np.where(np.isnan(apart), np.inf, apart)
    each = np.arange(len(log_m))
    apart[each, each] = np.inf
    nearest = apart.min(axis=1)
    return np.asarray(np.where(np.isinf(nearest), 0.0, nearest))
