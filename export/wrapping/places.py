"""Tables with a value for each place of a map, such as the centres of its cells, made for another size.

A table is understood by its values alone: along what varies, each row or column repeats the one before it, or
adds to it one cell or one cell's width in pixels. So a grid goes on beyond where it ended, in cells or in
pixels from the same corner. What was learned place by place, or is measured in whole pictures, does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catseye.export.wrapping.axes import Axis, UnclearError, new_size, old_size, varies

_SAME = 1e-5
"""Of a table's largest value."""


def table_at(
    table: NDArray[np.generic], axes: Sequence[Axis], *, picture: tuple[int, int]
) -> NDArray[np.generic]:
    """A table (…) as it is at the new size of ``axes``, one an axis; where it has one place it has one still.

    Args:
        picture: width and height of the network's input at the old size in pixels.

    Raises:
        UnclearError: its values are no grid.
    """
    made = table.astype(np.float64)
    for at, axis in enumerate(axes):
        if made.shape[at] > 1 and varies(axis):
            made = np.moveaxis(_extended(np.moveaxis(made, at, 0), axis, picture), 0, at)
    return made.astype(table.dtype)


def _extended(values: NDArray[np.float64], axis: Axis, picture: tuple[int, int]) -> NDArray[np.float64]:
    """Values (old, …) to (new, …)."""
    rest = values.shape[1:]
    values = values.reshape(*(atom.old for atom in axis), *rest)
    for at, atom in enumerate(axis):
        if atom.varies:
            lines = np.moveaxis(values, at, 0)
            if atom.parts:
                ends = np.cumsum([old_size(part) for part in atom.parts])[:-1]
                pieces = zip(np.split(lines, ends), atom.parts, strict=True)
                lines = np.concatenate([_extended(piece, part, picture) for piece, part in pieces])
            else:
                lines = _continued(lines, atom.new, picture)
            values = np.moveaxis(lines, 0, at)
    return values.reshape(new_size(axis), *rest)


def _continued(lines: NDArray[np.float64], count: int, picture: tuple[int, int]) -> NDArray[np.float64]:
    steps = np.diff(lines, axis=0)
    allowed = {0.0, 1.0, *(size / len(lines) for size in picture)}
    near = _SAME * np.abs(lines).max()
    if not len(steps) or not (np.abs(steps - steps[0]) <= near).all():
        raise UnclearError(_FAULT)
    step = np.full_like(steps[0], np.nan)
    for value in allowed:
        step[np.abs(steps[0] - value) <= near] = value
    if np.isnan(step).any():
        raise UnclearError(_FAULT)
    return np.asarray(lines[0] + step * np.arange(count).reshape(-1, *[1] * (lines.ndim - 1)))


_FAULT = "has a value for each place that is no grid in cells or pixels"
