"""Damage that shows in a picture, whether or not a decoder tells of it.

A decoder that goes on after broken data leaves two kinds of traces. Blocks that were predicted from the wrong
place or with the wrong residue stand against their neighbours along the block grid, where a codec's
deblocking filter leaves no step in sound ones. And where a reference picture is missing altogether,
decoders fill in the middle grey, or the green that zeros make.

Footage that was damaged and then scaled or encoded again has no grid any more: of that only the fill is
found.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image, Planes

GRID = 8
"""Pixels between the block edges of H.264, HEVC and MPEG-2, which all have edges at its multiples."""

STEP = 16
"""Levels by which a step on an edge must exceed both steps beside it."""

FILL_SHARE = 0.1
"""Share of a picture that is one fill colour from which on it counts as damaged."""

_MIDDLE, _GREEN_BELOW = 128, 8
_EVERY = 4


def torn_share(luma: Image) -> float:
    """Share of the block edges along which a picture is torn.

    Args:
        luma: (H, W) uint8 at the size that was coded.
    """
    height, width = (size // GRID * GRID for size in luma.shape)
    if min(height, width) <= GRID:
        return 0.0
    inner = luma[:height, :width]
    columns = [np.ascontiguousarray(inner[:, at::GRID]) for at in (6, 7, 8, 9)]
    rows = [inner[at::GRID] for at in (6, 7, 8, 9)]
    across = _steps(*(columns[i][:, : width // GRID - 1] for i in range(4)))
    down = _steps(*(rows[i][: height // GRID - 1] for i in range(4)))
    along = cv2.resize(across, (across.shape[1], height // GRID), interpolation=cv2.INTER_AREA) > STEP
    below = cv2.resize(down, (width // GRID, down.shape[0]), interpolation=cv2.INTER_AREA) > STEP
    return float((along.sum() + below.sum()) / (along.size + below.size))


def filled_share(planes: Planes) -> float:
    """Share of a picture that is just the middle grey or the green of zeros, by every fourth chroma pixel."""
    u, v = planes.u[::_EVERY, ::_EVERY], planes.v[::_EVERY, ::_EVERY]
    y = planes.y[:: 2 * _EVERY, :: 2 * _EVERY]
    grey = (y == _MIDDLE) & (u == _MIDDLE) & (v == _MIDDLE)
    green = (u < _GREEN_BELOW) & (v < _GREEN_BELOW)
    return float((grey | green).mean())


def _steps(two_before: Image, before: Image, after: Image, two_after: Image) -> NDArray[np.int16]:
    """By how much the step from ``before`` to ``after`` exceeds those on either side, pixel by pixel."""
    beside = cv2.max(cv2.absdiff(before, two_before), cv2.absdiff(two_after, after))
    return np.asarray(cv2.subtract(cv2.absdiff(after, before), beside, dtype=cv2.CV_16S), dtype=np.int16)
