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

STEP = 16.5
"""Levels by which the steps along an edge must exceed those beside them, on average."""

FILL_SHARE = 0.1
"""Share of a picture that is one fill colour from which on it counts as damaged."""

_MIDDLE, _GREEN_BELOW = 128, 8
_EVERY = 8


def torn_share(luma: Image) -> float:
    """Share of the block edges along which a picture is torn.

    Args:
        luma: (H, W) uint8 at the size that was coded.
    """
    height, width = (size // GRID * GRID for size in luma.shape)
    if min(height, width) <= GRID:
        return 0.0
    whole = luma[:height, :width]
    torn = [_torn_edges(picture) for picture in (whole, np.asarray(cv2.transpose(whole), dtype=np.uint8))]
    return sum(int(np.count_nonzero(edges)) for edges in torn) / sum(edges.size for edges in torn)


def filled_share(planes: Planes) -> float:
    """Share of a picture that is just the middle grey or the green of zeros, by one pixel a macroblock."""
    u, v = (np.ascontiguousarray(plane[::_EVERY, ::_EVERY]) for plane in (planes.u, planes.v))
    y = np.ascontiguousarray(planes.y[:: 2 * _EVERY, :: 2 * _EVERY])
    grey = (y == _MIDDLE) & (u == _MIDDLE) & (v == _MIDDLE)
    green = (u < _GREEN_BELOW) & (v < _GREEN_BELOW)
    return float(np.count_nonzero(grey | green) / y.size)


def _torn_edges(picture: Image) -> NDArray[np.bool_]:
    """Which of the edges between one row of blocks and the next are torn, (columns, rows - 1) of blocks."""
    edges, columns = picture.shape[0] // GRID - 1, picture.shape[1] // GRID
    two_before, before, after, two_after = (picture[at::GRID][:edges] for at in range(GRID - 2, GRID + 2))
    beside = cv2.max(cv2.absdiff(before, two_before), cv2.absdiff(two_after, after))
    excess = cv2.subtract(cv2.absdiff(after, before), beside, dtype=cv2.CV_16S)
    # Adding up rows takes a tenth of the time of adding up columns.
    along = cv2.transpose(excess).reshape(columns, GRID, edges).sum(axis=1, dtype=np.int16)
    return np.asarray(along > GRID * STEP)
