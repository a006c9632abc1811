"""Several cues to one distance: weighted by inverse variance, in the logarithm, and robust.

A cue with which none of the others agrees counts less, the more so the farther off the nearest is: its weight
falls with the square of that, as in the redescending estimators of Huber's "Robust Statistics" (1981). Of two
that contradict each other, neither is believed much.

Two cues with an error in common tell less together than two without. Their weights by generalised least
squares are the sums of the rows of their covariance's inverse (Aitken, "On least squares and linear
combination of observations", Proc. Royal Society of Edinburgh 55, 1935).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from catseye.runtime.ranging.cue import Cue, Float

_AGREES = 2.0
"""Standard deviations of a difference up to which two cues agree."""
_NEARLY = 0.99
"""Of the smaller of two variances, the most that can be common to both."""


def fuse(cues: Sequence[Cue]) -> Cue:
    """Join what several cues, whose errors have nothing to do with each other, say of the same boxes."""
    log_m = np.stack([cue.log_m for cue in cues])
    variance = np.stack([cue.variance for cue in cues])
    weights = 1 / variance / np.maximum(1.0, _alone(log_m, variance) / _AGREES) ** 2
    total = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Cue((weights * np.nan_to_num(log_m)).sum(axis=0) / total, 1 / total)


def with_common_error(first: Cue, second: Cue, covariance: Float) -> tuple[Cue, Cue]:
    """The same two with the variances by which they weigh as they should when taken for independent.

    Args:
        covariance: (N,) of their errors, 0 or more; 0 where one of them says nothing.
    """
    # Where one is nothing but the other with more noise on it, that one counts for nothing.
    common = np.minimum(covariance, _NEARLY * np.minimum(first.variance, second.variance))
    of_first, of_second = common / first.variance, common / second.variance
    left = 1 - of_first * of_second
    return (
        Cue(first.log_m, first.variance * left / (1 - of_second)),
        Cue(second.log_m, second.variance * left / (1 - of_first)),
    )


def _alone(log_m: Float, variance: Float) -> Float:
    """Standard deviations between each of (C, N) and the nearest other cue; 0 where there is no other."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(log_m[:, None] - log_m[None]) / np.sqrt(variance[:, None] + variance[None])
    apart = np.where(np.isnan(apart), np.inf, apart)
    each = np.arange(len(log_m))
    apart[each, each] = np.inf
    nearest = apart.min(axis=1)
    return np.asarray(np.where(np.isinf(nearest), 0.0, nearest))
