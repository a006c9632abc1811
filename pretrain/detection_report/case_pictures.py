"""Pictures of what a detector missed, or took for an object, with what is around."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.detection_pictures import draw_box
from catseye.pretrain.detection_report.worst_cases import Case
from catseye.pretrain.evaluation.page_pictures import Picture, picture_of
from catseye.pretrain.labels import Labels
from catseye.pretrain.stills import read_picture

LABELLED, FOUND, CASE = (80, 210, 110), (90, 160, 255), (255, 70, 90)
_AROUND = 3.0
_ASPECT = 16 / 9
_LEAST_PX = 96
_SHOWN_WIDTH = 320


def case_pictures(
    cases: Sequence[Case], found: Sequence[Detections], labels: Labels, images: Path, threshold: float
) -> list[Picture]:
    """One of each case: labelled boxes, detections from the threshold on, and the case itself above them."""
    pictures = []
    for case in cases:
        label = labels.images[case.image]
        rgb = read_picture(images / label.file_name, label)
        left, top, right, bottom = window(case.box, width=label.width, height=label.height)
        part = rgb[top:bottom, left:right]
        scale = max(1, round(_SHOWN_WIDTH / part.shape[1]))
        part = np.ascontiguousarray(part.repeat(scale, axis=0).repeat(scale, axis=1))
        shift = np.array([left, top] * 2)
        counted = found[case.image].at_least(threshold)
        for boxes, colour in ((label.boxes, LABELLED), (counted.boxes, FOUND), (case.box[None], CASE)):
            _draw(part, (boxes - shift) * scale, colour)
        width, height = case.box[2:] - case.box[:2]
        caption = f"{label.file_name}, {labels.classes[case.label]}, {width:.0f}×{height:.0f} px"
        mark = case.why if case.score == 0 else f"{case.why}, score {case.score:.2f}"
        pictures.append(picture_of(part, caption, mark=mark, least_width=_SHOWN_WIDTH))
    return pictures


def window(box: NDArray[np.float32], *, width: int, height: int) -> tuple[int, int, int, int]:
    """Corners of a part of a picture (height, width), of 16:9, with the box amid it, a third as large."""
    wide, tall = ((box[2:] - box[:2]) * _AROUND).tolist()
    side = max(wide, tall * _ASPECT, _LEAST_PX)
    sides = np.minimum((round(side), round(side / _ASPECT)), (width, height))
    first = ((box[:2] + box[2:]) / 2 - sides / 2).round().astype(int)
    left, top = (int(v) for v in np.clip(first, 0, np.array([width, height]) - sides))
    return left, top, left + int(sides[0]), top + int(sides[1])


def _draw(picture: Image, boxes: NDArray[np.floating], colour: tuple[int, int, int]) -> None:
    for box in boxes:
        draw_box(picture, np.asarray(box, dtype=np.float32), colour, thickness=2)
