"""Means over areas as matrix products in NumPy: what ``compiled`` does where there was no compiler.

All products and sums are whole numbers below 2²⁴, which float32 holds, so that every BLAS agrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from catseye.capture.area_weights import area_weights

_MOST_PRODUCTS = 1 << 18
"""Of numbers in one matrix product: larger ones wake BLAS's threads."""

_STRIP = 1 << 17
"""Levels that become float32 at once: half a megabyte, which a core keeps by itself."""

_AT_ONCE = 8
"""Rows of one matrix product where weights do not soon come again: more multiply by too many zeros."""


def resize_by_area(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A plane (H, W) uint8 at a smaller (width, height): the mean over each new pixel's area, rounded half
    up."""
    rows, columns = _products(plane.shape[0], size[1]), _products(plane.shape[1], size[0])
    sums = _across(_down(plane, rows), columns)
    whole = rows.parts * columns.parts
    sums += np.float32(whole // 2)
    sums /= np.float32(whole)
    return sums.astype(np.uint8)


def _down(plane: NDArray[np.uint8], rows: _Products) -> NDArray[np.float32]:
    """Sums over old rows. Some rows at a time become float32, so that they are still near when they count."""
    width = plane.shape[1]
    made = np.empty((rows.target, width), dtype=np.float32)
    for taken, to, weights in rows.strips(width):
        levels = plane[taken].astype(np.float32).reshape(-1, weights.shape[1], width)
        np.matmul(weights, levels, out=made[to].reshape(-1, len(weights), width))
    return made


def _across(levels: NDArray[np.float32], columns: _Products) -> NDArray[np.float32]:
    """Sums over old columns."""
    height = len(levels)
    if columns.period.size * height <= _MOST_PRODUCTS:
        periods = levels.reshape(height, -1, columns.period.shape[1])
        return np.asarray(np.matmul(periods, columns.period.T).reshape(height, -1), dtype=np.float32)
    made = np.empty((height, columns.target), dtype=np.float32)
    for taken, to, weights in columns.blocks:
        np.matmul(levels[:, taken], weights.T, out=made[:, to])
    return made


@dataclass(frozen=True, eq=False)
class _Products:
    """Weights along one axis, cut for matrix products.

    Args:
        target, parts: as ``AreaWeights`` has them.
        period: weights (new, old) of the fewest rows after which they come again, as 7 of 20 for 252 of 720.
        blocks: for some new rows at a time: the old ones that count, the new ones, and weights (new, old).
    """

    target: int
    parts: int
    period: NDArray[np.float32]
    blocks: tuple[tuple[slice, slice, NDArray[np.float32]], ...]

    def strips(self, width: int) -> Sequence[tuple[slice, slice, NDArray[np.float32]]]:
        """As ``blocks``, for rows of that width: where weights soon come again, as many periods of them as
        one strip holds."""
        new, old = self.period.shape
        if self.period.size * width > _MOST_PRODUCTS:
            return self.blocks
        many = max(1, _STRIP // (old * width))
        return [
            (slice(at * old, (at + many) * old), slice(at * new, (at + many) * new), self.period)
            for at in range(0, self.target // new, many)
        ]


@lru_cache(maxsize=64)
def _products(source: int, target: int) -> _Products:
    areas = area_weights(source, target)
    weights = areas.counts.astype(np.float32)
    blocks = []
    for start in range(0, target, _AT_ONCE):
        some = weights[start : start + _AT_ONCE]
        counting = np.flatnonzero(some.any(axis=0))
        taken = slice(int(counting[0]), int(counting[-1]) + 1)
        blocks.append((taken, slice(start, start + len(some)), np.ascontiguousarray(some[:, taken])))
    period = np.ascontiguousarray(weights[: target * areas.period // source, : areas.period])
    return _Products(target, areas.parts, period, tuple(blocks))
