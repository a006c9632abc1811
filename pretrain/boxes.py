"""Areas and overlaps of boxes, all (…, 4) corners x1 y1 x2 y2 of one frame and of one type of numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating]


def areas(boxes: Boxes) -> Boxes:
    """Areas (…) of boxes (…, 4)."""
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))


def shared_areas(a: Boxes, b: Boxes) -> Boxes:
    """What boxes (…, 4) have in common one by one, (…); shapes are broadcast."""
    across = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    down = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    return np.asarray(np.maximum(across, 0) * np.maximum(down, 0))


def overlaps_of_pairs(a: Boxes, b: Boxes) -> Boxes:
    """IoU (…) of boxes (…, 4) one by one, 0 where both are empty; shapes are broadcast."""
    shared = shared_areas(a, b)
    union = areas(a) + areas(b) - shared
    return np.asarray(shared / np.maximum(union, np.finfo(np.float32).tiny))


def overlaps(a: Boxes, b: Boxes) -> Boxes:
    """IoU (N, M) of each of (N, 4) with each of (M, 4)."""
    return overlaps_of_pairs(a[:, None], b)


def covered_shares(boxes: Boxes, others: Boxes) -> Boxes:
    """Share (N, M) of the area of each of (N, 4) that each of (M, 4) covers; 0 of an empty one."""
    least = np.finfo(np.float32).tiny
    return np.asarray(shared_areas(boxes[:, None], others) / np.maximum(areas(boxes), least)[:, None])
