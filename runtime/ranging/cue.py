"""What one cue says of the distance of each box."""

from __future__ import annotations

from dataclasses import dataclass

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
        with np.errstate(divide="ignore", invalid="ignore"):
            log_m = np.log(metres)
        said = np.isfinite(log_m) & np.isfinite(variance)
        return Cue(np.where(said, log_m, np.nan), np.where(said, variance, np.inf))

    @staticmethod
    def silent(count: int) -> Cue:
        return Cue(np.full(count, np.nan), np.full(count, np.inf))
