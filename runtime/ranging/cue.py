"""What one cue says of the distance of each box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Cue:
    """Distances along the optical axis, a row a box.

    Args:
        log_m: (N,) natural logarithm of metres; NaN where the cue says nothing.
        variance: (N,) of ``log_m``, which is the square of a relative error; inf where it says nothing.
    """

    log_m: Float
    variance: Float

    @staticmethod
    def of(metres: Float, variance: Float) -> Cue:
        """From metres; what is not a positive number, or of no known variance, says nothing."""
        said = (metres > 0) & np.isfinite(metres) & np.isfinite(variance)
        return Cue(np.log(np.where(said, metres, np.nan)), np.where(said, variance, np.inf))

    @staticmethod
    @lru_cache(maxsize=64)
    def silent(count: int) -> Cue:
        """Of so many boxes nothing. All share it, so that it cannot be written to."""
        log_m, variance = np.full(count, np.nan), np.full(count, np.inf)
        log_m.flags.writeable = variance.flags.writeable = False
        return Cue(log_m, variance)
