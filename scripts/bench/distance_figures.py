"""Errors of distances by range, and whether their uncertainty is what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

BANDS_M = ((0.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, 80.0))
_LEVELS = np.arange(1, 10) / 10

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """True distance, measured distance and its standard deviation, (N,) each in metres; NaN where unknown."""

    true_m: Float
    metres: Float
    sigma_m: Float

    def within(self, low: float, high: float) -> Measured:
        """Those whose true distance lies in a range."""
        return self.chosen((self.true_m >= low) & (self.true_m < high))

    def chosen(self, kept: NDArray[np.bool_]) -> Measured:
        return Measured(self.true_m[kept], self.metres[kept], self.sigma_m[kept])


@dataclass(frozen=True)
class Figures:
    """Of the boxes of one range.

    Args:
        boxes: how many there are.
        said: share of them for which there is a distance; the rest is over these.
        error_m, relative: mean absolute error.
        within_1, within_2: share whose error is below one and two standard deviations; ideally 0.683, 0.954.
        nll: mean negative log-likelihood of the logarithm of the true distance.
        ece: mean difference between the share within a central interval and its level, at 10 … 90 %.
    """

    boxes: int
    said: float
    error_m: float
    relative: float
    within_1: float
    within_2: float
    nll: float
    ece: float


def figures_of(measured: Measured) -> Figures | None:
    """None where nothing is said."""
    said = np.isfinite(measured.metres)
    if not said.any():
        return None
    true, found, sigma = measured.true_m[said], measured.metres[said], measured.sigma_m[said]
    off = np.abs(found - true) / sigma
    spread = sigma / found
    logs = np.log(found / true) / spread
    limits = np.array([NormalDist().inv_cdf(0.5 + level / 2) for level in _LEVELS])
    shares = (off[:, None] < limits).mean(axis=0)
    return Figures(
        boxes=len(said),
        said=float(said.mean()),
        error_m=float(np.abs(found - true).mean()),
        relative=float((np.abs(found - true) / true).mean()),
        within_1=float((off < 1).mean()),
        within_2=float((off < 2).mean()),
        nll=float((0.5 * logs**2 + np.log(spread) + 0.5 * math.log(2 * math.pi)).mean()),
        ece=float(np.abs(shares - _LEVELS).mean()),
    )


def by_range(measured: Measured, *, enough: int = 20) -> dict[str, Figures]:
    """Of each band with enough boxes, and of all of them together."""
    bands = {f"{low:g}-{high:g} m": measured.within(low, high) for low, high in BANDS_M}
    bands["all"] = measured.within(BANDS_M[0][0], BANDS_M[-1][1])
    found = {name: figures_of(part) for name, part in bands.items() if len(part.true_m) >= enough}
    return {name: figures for name, figures in found.items() if figures is not None}
