"""Which edges of a box are the object's own, and which are where something cuts it off."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Letterbox
from catseye.runtime.ranging.cue import Float

Flags = NDArray[np.bool_]

_BORDER_PX = 1.0
_BORDER_SHARE = 0.02
"""How near to the picture's border an edge counts as on it: in network pixels, and as a share of the box."""
_NEARER_SHARE = 0.1
"""By how much of a box's height another must end below it to stand before it."""
_ENDS_SHARE, _ENDS_PX = 0.2, 2.0
"""How near to the top of what hides it a box that is cut there ends: a share of its height, and in network
pixels. One that goes on below that is seen beside it, or was completed by the detector."""
_COVERED = 0.35
"""Share of a bottom edge that another box must cover to hide it."""


@dataclass(frozen=True)
class CutOff:
    """(N,) each: whether an edge says nothing of the object.

    Args:
        sides: the left or the right edge lies on the picture's border.
        top: the same of the top edge.
        bottom: the same of the bottom edge, or it lies where a box that stands before it begins.
    """

    sides: Flags
    top: Flags
    bottom: Flags


def cut_off(boxes_xyxy: Float, box: Letterbox) -> CutOff:
    """Edges of boxes (N, 4) in network pixels that are not the object's own."""
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    margin = _BORDER_PX + _BORDER_SHARE * (high - low)
    first, last = _picture(box)
    before, beyond = low < first + margin, high > last - margin
    return CutOff(
        sides=before[:, 0] | beyond[:, 0],
        top=before[:, 1],
        bottom=beyond[:, 1] | hidden_bottoms(boxes_xyxy),
    )


@lru_cache(maxsize=64)
def _picture(box: Letterbox) -> tuple[Float, Float]:
    """The picture's first and last corner in the network's frame, x and y."""
    first = np.array([box.left, box.top], dtype=np.float64)
    return first, first + np.array([box.scaled_width, box.scaled_height])


def hidden_bottoms(boxes_xyxy: Float) -> Flags:
    """Which boxes (N, 4) end at the top of a box that ends below them, and so is nearer."""
    if len(boxes_xyxy) < 2:
        return np.zeros(len(boxes_xyxy), dtype=np.bool_)
    left, top, right, bottom = boxes_xyxy.T
    tall = bottom - top
    nearer = bottom > (bottom + _NEARER_SHARE * tall)[:, None]
    before = nearer & (np.abs(bottom[:, None] - top) < (_ENDS_SHARE * tall + _ENDS_PX)[:, None])
    shared = np.minimum(right, right[:, None]) - np.maximum(left, left[:, None])
    return np.asarray((before & (shared > (_COVERED * (right - left))[:, None])).any(axis=1))
