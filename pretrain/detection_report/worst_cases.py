"""The objects that should have been found most of all, and the surest finds of what is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catseye.pretrain.boxes import overlaps
from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.detection_report.matching import FALSE, MATCH, match_detections
from catseye.pretrain.labels import LabelledImage

Why = Literal[
    "nothing there", "beside an object", "found twice", "another class", "too low a score", "no find"
]
_BESIDE = 0.1


@dataclass(frozen=True)
class Case:
    """One miss or false alarm.

    Args:
        image: index of the still.
        box: (4,) float32 corners in source pixels.
        label: index of its class.
        score: of the false alarm; of a miss the best that any detection of its class has there, 0 for none.
        why: what became of it. The kinds are those of Bolya et al., "TIDE", 2020, as far as they can be told
            by overlap alone.
    """

    image: int
    box: NDArray[np.float32]
    label: int
    score: float
    why: Why

    @property
    def area(self) -> float:
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


def worst_misses(
    found: Sequence[Detections], images: Sequence[LabelledImage], *, threshold: float, most: int
) -> list[Case]:
    """Objects that no detection from the threshold on finds, the largest first."""
    cases = [case for index in range(len(images)) for case in _misses(index, found, images, threshold)]
    return sorted(cases, key=lambda case: (-case.area, case.image))[:most]


def worst_false_alarms(
    found: Sequence[Detections], images: Sequence[LabelledImage], *, threshold: float, most: int
) -> list[Case]:
    """Detections from the threshold on that find nothing, the surest first."""
    cases = [case for index in range(len(images)) for case in _false_alarms(index, found, images, threshold)]
    return sorted(cases, key=lambda case: (-case.score, case.image))[:most]


def _misses(
    index: int, found: Sequence[Detections], images: Sequence[LabelledImage], threshold: float
) -> Iterator[Case]:
    image, counted = images[index], found[index].at_least(threshold)
    missed = ~image.crowd
    match = match_detections(counted, image)
    missed[match[match >= 0]] = False
    near = overlaps(found[index].boxes, image.boxes) >= MATCH
    same = near & (found[index].classes[:, None] == image.classes)
    for row in np.flatnonzero(missed):
        score = float(found[index].scores[same[:, row]].max(initial=0))
        other = near[:, row] & (found[index].scores >= threshold) & ~same[:, row]
        why: Why = "another class" if other.any() else "too low a score" if score > 0 else "no find"
        yield Case(index, image.boxes[row], int(image.classes[row]), score, why)


def _false_alarms(
    index: int, found: Sequence[Detections], images: Sequence[LabelledImage], threshold: float
) -> Iterator[Case]:
    image, counted = images[index], found[index].at_least(threshold)
    match = match_detections(counted, image)
    overlap = overlaps(counted.boxes, image.boxes)
    same = counted.classes[:, None] == image.classes
    for row in np.flatnonzero(match == FALSE):
        why: Why = "nothing there"
        if (overlap[row] * same[row]).max(initial=0) >= MATCH:
            why = "found twice"
        elif overlap[row].max(initial=0) >= MATCH:
            why = "another class"
        elif overlap[row].max(initial=0) >= _BESIDE:
            why = "beside an object"
        yield Case(index, counted.boxes[row], int(counted.classes[row]), float(counted.scores[row]), why)
