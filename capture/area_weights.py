"""How much each old row of pixels counts for each new one, where a plane shrinks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_PARTS = 256
"""Parts of a pixel's side in which areas are counted: 255 times its square is below 2²⁴."""


@dataclass(frozen=True, eq=False)
class AreaWeights:
    """Weights along one axis, in whole numbers.

    Args:
        counts: (target, source) int64, what each old row counts for each new one.
        parts: of a new row, in which is counted: what the weights of each add up to.
        period: old rows after which the weights come again, for whole new ones.
    """

    counts: NDArray[np.int64]
    parts: int
    period: int


def area_weights(source: int, target: int) -> AreaWeights:
    """Weights of ``source`` rows for ``target`` fewer ones: exact where parts up to ``_MOST_PARTS`` allow it,
    else with edges rounded to whole parts."""
    period = source // math.gcd(source, target)
    parts = _MOST_PARTS // period * period or _MOST_PARTS
    covered = np.clip(np.arange(source + 1) * target - np.arange(target)[:, None] * source, 0, source)
    return AreaWeights(np.diff((2 * parts * covered + source) // (2 * source), axis=1), parts, period)
