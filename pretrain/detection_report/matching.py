"""Which labelled box each detection finds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catseye.pretrain.boxes import covered_shares, overlaps
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
