"""Which labelled box each detection finds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.labels import LabelledImage

MATCH = 0.5
"""Least IoU of a detection with what it finds."""
FALSE, IGNORED = -1, -2
"""In place of a labelled box: the detection finds nothing, or lies over what is marked as crowd."""


def match_detections(
    found: Detections, image: LabelledImage, *, within_class: bool = True
) -> NDArray[np.int64]:
    """(K,) index of the labelled box that each detection finds, ``FALSE`` or ``IGNORED``.

    The best score chooses first, among boxes that are still free, the one that it overlaps most. A detection
    that is left over is ignored where a crowd box covers half of it, as in COCO.

    Args:
        within_class: False lets a detection of one class find a box of another.
    """
    overlap = overlaps(found.boxes, image.boxes)
    crowd = covered_shares(found.boxes, image.boxes[image.crowd])
    if within_class:
        overlap = np.where(found.classes[:, None] == image.classes, overlap, 0)
        crowd = np.where(found.classes[:, None] == image.classes[image.crowd], crowd, 0)
    free = ~image.crowd
    match = np.where((crowd >= MATCH).any(axis=1), IGNORED, FALSE).astype(np.int64)
    for index in np.argsort(-found.scores, kind="stable"):
        candidates = np.where(free, overlap[index], 0)
        if len(candidates) and candidates.max() >= MATCH:
            match[index] = int(candidates.argmax())
            free[match[index]] = False
    return match


def overlaps(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """IoU (N, M) of boxes (N, 4) with others (M, 4)."""
    return np.asarray(box_iou(torch.from_numpy(boxes), torch.from_numpy(others)).numpy())


def covered_shares(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share (N, M) of each box's area that each other covers."""
    least = np.maximum(boxes[:, None, :2], others[None, :, :2])
    most = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    return np.asarray((most - least).clip(min=0).prod(axis=2) / np.maximum(area, 1e-9), dtype=np.float32)
