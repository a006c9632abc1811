"""Average precision as COCO defines it, in NumPy: what a bundle's boxes are worth, with no torch about.

Tsung-Yi Lin et al., arXiv 1405.0312, and pycocotools: precision made falling, read at 101 recalls, mean over
classes; at most 100 detections a picture; crowds may be found any number of times and count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_DETECTIONS = 100
IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Found:
    """In one picture: boxes (K, 4) as corners, scores (K,), and classes (K,) by index."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]


@dataclass(frozen=True)
class Truth:
    """In one picture: boxes (N, 4) as corners, classes (N,) by index, and which (N,) are crowds."""

    boxes: NDArray[np.float32]
    classes: NDArray[np.int32]
    crowd: NDArray[np.bool_]


def average_precision(found: Sequence[Found], truths: Sequence[Truth], *, iou: float) -> float | None:
    """Mean over the classes that there is an object of; None without any.

    Args:
        found, truths: picture by picture.
        iou: from which a detection may be of an object.
    """
    classes = sorted({int(c) for truth in truths for c in truth.classes[~truth.crowd]})
    if not classes:
        return None
    return float(np.mean([_of_class(found, truths, index, iou) for index in classes]))


def _of_class(found: Sequence[Found], truths: Sequence[Truth], index: int, iou: float) -> float:
    scores: list[float] = []
    hits: list[bool] = []
    objects = 0
    for seen, truth in zip(found, truths, strict=True):
        asked = truth.classes == index
        # Objects before crowds, as a detection is of a crowd only if it is of no object.
        boxes = np.concatenate([truth.boxes[asked & ~truth.crowd], truth.boxes[asked & truth.crowd]])
        count = int((asked & ~truth.crowd).sum())
        objects += count
        mine = np.flatnonzero(seen.classes == index)
        mine = mine[np.argsort(-seen.scores[mine], kind="stable")][:MOST_DETECTIONS]
        overlaps = _overlaps(seen.boxes[mine], boxes, count)
        for row, hit in zip(mine, _matched(overlaps, count, iou), strict=True):
            if hit is not None:
                scores.append(float(seen.scores[row]))
                hits.append(hit)
    order = np.argsort(-np.array(scores), kind="stable")
    right = np.cumsum(np.array(hits, dtype=bool)[order])
    if not len(right):
        return 0.0
    precision = right / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(right / objects, _RECALLS, side="left")
    return float(np.where(places < len(right), precision[np.minimum(places, len(right) - 1)], 0).mean())


def _matched(overlaps: NDArray[np.float64], count: int, iou: float) -> list[bool | None]:
    """Of each detection, best first: whether it finds an object that none before it has; None for a crowd."""
    free = np.ones(count, dtype=bool)
    results: list[bool | None] = []
    for row in overlaps:
        open_to = np.where(free, row[:count], -1.0)
        # Of equal overlaps the last, as pycocotools takes.
        best = count - 1 - int(open_to[::-1].argmax()) if count else -1
        if count and open_to[best] >= iou:
            free[best] = False
            results.append(True)
        else:
            results.append(None if (row[count:] >= iou).any() else False)
    return results


def _overlaps(boxes: NDArray[np.float32], truth: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """(K, N) intersection over union; of crowds, from row ``count`` on, over the detection's own area."""
    a, b = boxes.astype(np.float64), truth.astype(np.float64)
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    own, theirs = (a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1)
    union = np.where(np.arange(len(b)) < count, own[:, None] + theirs[None] - shared, own[:, None])
    return np.asarray(shared / np.maximum(union, np.finfo(np.float64).tiny))
