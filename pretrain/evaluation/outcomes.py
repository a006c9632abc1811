"""What became of each labelled object of a still, and what was found that is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.labels import LabelledImage

_MATCH = 0.5


@dataclass(frozen=True)
class StillOutcome:
    """One still's, at the score that serves F1 best over all stills.

    Args:
        asked: (N,) bool, which of the labelled boxes were to be found.
        found: (N,) bool, which of those were.
        false: (M, 4) float32 corners in source pixels of what was found and is no object.
    """

    asked: NDArray[np.bool_]
    found: NDArray[np.bool_]
    false: NDArray[np.float32]

    @property
    def missed(self) -> NDArray[np.bool_]:
        return self.asked & ~self.found

    @property
    def errors(self) -> int:
        return int(self.missed.sum()) + len(self.false)


def detection_outcomes(found: Sequence[Detections], images: Sequence[LabelledImage]) -> list[StillOutcome]:
    """Match detections to labelled boxes, the best score first, at an IoU of 0.5 and within a class.

    What lies over a crowd region is neither right nor wrong.
    """
    matches = [_match(detections, image) for detections, image in zip(found, images, strict=True)]
    scores = np.concatenate([f.scores[m >= _FALSE] for f, m in zip(found, matches, strict=True)])
    right = np.concatenate([m[m >= _FALSE] > _FALSE for m in matches])
    least = best_threshold(scores, right, objects=sum(int((~image.crowd).sum()) for image in images))
    outcomes = []
    for detections, image, match in zip(found, images, matches, strict=True):
        counted = detections.scores >= least
        hit = np.zeros(len(image.boxes), dtype=np.bool_)
        hit[match[counted & (match > _FALSE)]] = True
        outcomes.append(StillOutcome(~image.crowd, hit, detections.boxes[counted & (match == _FALSE)]))
    return outcomes


def best_threshold(scores: NDArray[np.floating], right: NDArray[np.bool_], *, objects: int) -> float:
    """The score of (N,) from which on F1 is best, given which are right and how many there are to find.

    Infinite where nothing is right.
    """
    if not right.any():
        return float("inf")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + objects)
    return float(scores[order][int(np.argmax(f1))])


_FALSE, _IGNORED = -1, -2


def _match(found: Detections, image: LabelledImage) -> NDArray[np.int64]:
    """(K,) the labelled box that each detection finds, ``_FALSE``, or ``_IGNORED``."""
    overlap = box_iou(torch.from_numpy(found.boxes), torch.from_numpy(image.boxes)).numpy()
    overlap = np.where(found.classes[:, None] == image.classes, overlap, 0)
    free = ~image.crowd
    match = np.full(len(found.boxes), _FALSE, dtype=np.int64)
    for index in np.argsort(-found.scores, kind="stable"):
        candidates = np.where(free, overlap[index], 0)
        best = int(np.argmax(candidates)) if len(candidates) else 0
        if len(candidates) and candidates[best] >= _MATCH:
            match[index] = best
            free[best] = False
        elif (overlap[index][image.crowd] >= _MATCH).any():
            match[index] = _IGNORED
    return match
