"""Which of a frame's detections count: those with a good enough score, and of doubles the best.

Doubles are dropped here and not in the graph. ONNX's NonMaxSuppression has outputs of unknown size, which
costs TensorRT a wait for the host and excludes its accelerators (DLA); and what is dropped never matters to
the rest, so that looking at the few detections above a threshold gives the same as looking at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catseye.runtime.association import iou as overlaps


def chosen(
    boxes_xyxy: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int32],
    *,
    least: float,
    nms_iou: float | None,
) -> NDArray[np.intp]:
    """Indices of the detections to use, best score first.

    Args:
        boxes_xyxy: (K, 4) corners in pixels of any frame in which both axes are scaled as the network's.
        scores: (K,) best first, or nearly; 0 marks a free slot, which is never chosen.
        classes: (K,).
        least: score from which a detection is used.
        nms_iou: see the manifest; None keeps doubles.
    """
    good = (scores >= least if least > 0 else scores > 0).nonzero()[0]
    values = scores[good].tolist()
    if values != sorted(values, reverse=True):  # graphs sort them, but for what rounding does
        good = good[(-scores[good]).argsort(kind="stable")]
    if nms_iou is None or len(good) < 2:
        return good
    return good[_firsts(boxes_xyxy[good], classes[good], nms_iou)]


def _firsts(boxes: NDArray[np.float32], classes: NDArray[np.int32], iou: float) -> NDArray[np.bool_]:
    """Greedy suppression of boxes (N, 4), best first: which no kept better one of its class overlaps.

    Whether row i stays depends on rows before it alone. So repeating the rule for all rows at once settles at
    least one more row each time, mostly all within a few (Cluster-NMS, Zheng et al. 2020).
    """
    place = np.arange(len(boxes))
    rivals = (overlaps(boxes, boxes) > iou) & (classes[:, None] == classes) & (place[:, None] < place)
    kept: NDArray[np.bool_] = ~rivals.any(axis=0)
    while not kept.all():
        again = ~rivals[kept].any(axis=0)
        if (again == kept).all():
            break
        kept = again
    return kept
