"""Boxes around what moves by itself: regions of a motion mask that are shaped and set apart like vehicles."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_THRESHOLD = 0.6
_SMALLEST_AREA = 12
_LARGEST_SHARE = 0.2
_SMALLEST_HEIGHT = 3
_ASPECTS = (0.7, 2.6)
_LEAST_FILLED = 0.6
_SURE, _CALM = 0.75, 0.4
_RING, _MARGIN = 3, 2


class MovingObjects(NamedTuple):
    """Corners x1 y1 x2 y2 in cells of the mask, float32.

    Args:
        boxes: (N, 4), what looks like an object.
        doubtful: (M, 4), what moves but does not: cut off by the border, too long, ragged, or in unrest.
    """

    boxes: NDArray[np.float32]
    doubtful: NDArray[np.float32]


def moving_objects(probability: NDArray[np.float32]) -> MovingObjects:
    """Connected regions of a mask (h, w) of probabilities.

    An object is whole within the picture, compact, of a vehicle's proportions, surely moving, and surrounded
    by what surely is not: the road's lines are long, one's own bonnet touches the border, and where depth or
    motion are wrong unrest has no end.
    """
    height, width = probability.shape
    moving = (probability > _THRESHOLD).astype(np.uint8)
    _, regions, stats, _ = cv2.connectedComponentsWithStats(moving, connectivity=4)
    objects: list[tuple[int, ...]] = []
    doubtful: list[tuple[int, ...]] = []
    for label, (left, top, across, down, area) in enumerate(stats[1:].tolist(), start=1):
        if area < _SMALLEST_AREA:
            continue
        right, bottom = left + across, top + down
        within = regions[top:bottom, left:right] == label
        around = probability[max(0, top - _RING) : bottom + _RING, max(0, left - _RING) : right + _RING]
        inside = probability[top:bottom, left:right]
        ring = (float(around.sum()) - float(inside.sum())) / max(1, around.size - inside.size)
        whole = min(left, top) > _MARGIN and right < width - _MARGIN and bottom < height - _MARGIN
        shaped = (
            _ASPECTS[0] <= across / down <= _ASPECTS[1]
            and area >= _LEAST_FILLED * across * down
            and down >= _SMALLEST_HEIGHT
            and area < _LARGEST_SHARE * height * width
        )
        apart = float(inside[within].mean()) > _SURE and ring < _CALM
        (objects if whole and shaped and apart else doubtful).append((left, top, right, bottom))
    return MovingObjects(*(np.array(boxes, dtype=np.float32).reshape(-1, 4) for boxes in (objects, doubtful)))
