"""Average precision of detections, over all objects and by their height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import box_iou

HEIGHTS = (10, 20)
"""Least heights in source pixels that AP is given for, besides all."""

_MATCH = 0.5
_MOST_DETECTIONS = 100


@dataclass(frozen=True)
class Detections:
    """What was found in one image: boxes (K, 4) in source pixels, scores (K,) float32, classes (K,) int32."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]

    def kept(self, rows: NDArray[np.bool_]) -> Detections:
        """Those for which (K,) is true."""
        return Detections(self.boxes[rows], self.scores[rows], self.classes[rows])

    def at_least(self, score: float) -> Detections:
        """Those with that score or a better one."""
        return self.kept(self.scores >= score)


@dataclass(frozen=True)
class Truth:
    """What is in one image: boxes (N, 4) in source pixels, classes (N,) int32, ignored (N,) bool."""

    boxes: NDArray[np.float32]
    classes: NDArray[np.int32]
    ignored: NDArray[np.bool_]


def average_precision(found: Sequence[Detections], truths: Sequence[Truth]) -> dict[str, float]:
    """COCO average precision of a set of images, with at most 100 detections an image.

    ``ap50`` counts every object. ``ap50_h10`` and ``ap50_h20`` ask only for objects at least so many source
    pixels tall: smaller ones are ignored, which means that detections of them do not count, and a detection
    that is itself smaller counts only if it overlaps an object asked for by an IoU of 0.5 or more.

    Returns:
        ``ap`` (the mean over IoU 0.50 to 0.95), ``ap50``, ``ap50_h10``, ``ap50_h20``; those for which there
        is no object are left out.
    """
    figures = {"ap": "map", "ap50": "map_50"}
    everything = _coco(found, truths)
    results = {name: everything[key] for name, key in figures.items()}
    for height in HEIGHTS:
        asked = [_ask_for_height(*pair, height=height) for pair in zip(found, truths, strict=True)]
        results[f"ap50_h{height}"] = _coco([f for f, _ in asked], [t for _, t in asked])["map_50"]
    return {name: value for name, value in results.items() if value >= 0}


def average_precision_where(
    found: Sequence[Detections], truths: Sequence[Truth], plausible: Sequence[NDArray[np.bool_]]
) -> float | None:
    """AP50 of the objects that are not ignored; None without any.

    Args:
        plausible: (K,) of each image, which detections are wrong if they find nothing. The others count only
            if they overlap an object asked for by an IoU of 0.5 or more.
    """
    kept = [_counted(*each) for each in zip(found, truths, plausible, strict=True)]
    value = _coco(kept, truths)["map_50"]
    return value if value >= 0 else None


def class_average_precision(
    found: Sequence[Detections], truths: Sequence[Truth], index: int
) -> dict[str, float]:
    """``ap`` and ``ap50`` of one class; empty without an object of it."""
    of_class = [each.kept(each.classes == index) for each in found]
    asked = [_rows(truth, truth.classes == index) for truth in truths]
    figures = _coco(of_class, asked)
    named = {"ap": figures["map"], "ap50": figures["map_50"]}
    return {name: value for name, value in named.items() if value >= 0}


def _ask_for_height(found: Detections, truth: Truth, *, height: int) -> tuple[Detections, Truth]:
    asked = replace(truth, ignored=truth.ignored | (_heights(truth.boxes) < height))
    return _counted(found, asked, _heights(found.boxes) >= height), asked


def _counted(found: Detections, truth: Truth, plausible: NDArray[np.bool_]) -> Detections:
    asked = torch.from_numpy(truth.boxes[~truth.ignored])
    overlap = box_iou(torch.from_numpy(found.boxes), asked).numpy()
    return found.kept(plausible | (overlap.max(axis=1, initial=0) >= _MATCH))


def _rows(truth: Truth, rows: NDArray[np.bool_]) -> Truth:
    return Truth(truth.boxes[rows], truth.classes[rows], truth.ignored[rows])


def _heights(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(boxes[:, 3] - boxes[:, 1])


def _coco(found: Sequence[Detections], truths: Sequence[Truth]) -> dict[str, float]:
    metric = MeanAveragePrecision(
        iou_type="bbox",
        backend="faster_coco_eval",
        max_detection_thresholds=[1, 10, _MOST_DETECTIONS],
        sync_on_compute=False,  # one process measures, and the others do not come to meet it
    )
    metric.warn_on_many_detections = False
    metric.update(
        [
            {
                "boxes": torch.from_numpy(f.boxes),
                "scores": torch.from_numpy(f.scores),
                "labels": torch.from_numpy(f.classes).long(),
            }
            for f in found
        ],
        [
            {
                "boxes": torch.from_numpy(t.boxes),
                "labels": torch.from_numpy(t.classes).long(),
                "iscrowd": torch.from_numpy(t.ignored).long(),
            }
            for t in truths
        ],
    )
    return {name: float(value) for name, value in metric.compute().items() if value.numel() == 1}
