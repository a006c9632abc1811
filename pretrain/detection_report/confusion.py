"""What is taken for what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.detection_report.matching import FALSE, match_detections
from catseye.pretrain.labels import LabelledImage


def confusion_matrix(
    found: Sequence[Detections], images: Sequence[LabelledImage], *, num_classes: int, threshold: float
) -> NDArray[np.int64]:
    """Counts (C + 1, C + 1) by the labelled class, down, and the one found, across; last is background.

    A detection finds what it overlaps most, whatever the class. The last column are objects that nothing
    finds, the last row detections that find nothing. What lies over crowd is left out.

    Args:
        threshold: least score that counts.
    """
    counts = np.zeros((num_classes + 1, num_classes + 1), dtype=np.int64)
    for detections, image in zip(found, images, strict=True):
        counted = detections.at_least(threshold)
        match = match_detections(counted, image, within_class=False)
        hit = match >= 0
        np.add.at(counts, (image.classes[match[hit]], counted.classes[hit]), 1)
        np.add.at(counts[-1], counted.classes[match == FALSE], 1)
        missed = ~image.crowd
        missed[match[hit]] = False
        np.add.at(counts[:, -1], image.classes[missed], 1)
    return counts
