"""Pictures of what a detector found beside what was labelled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.picture_files import write_rgb
from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.labels import Labels
from catseye.pretrain.stills import read_picture

_COUNT = 6
_SHOWN_FROM = 0.3
_LABELLED = (90, 220, 90)
_FOUND = (255, 150, 30)


def save_detection_pictures(found: Sequence[Detections], labels: Labels, images: Path, folder: Path) -> None:
    """Write ``detection-0.jpg`` … of pictures spread over the labels: labelled green, found orange."""
    chosen = np.unique(np.linspace(0, len(found) - 1, _COUNT).astype(int))
    for number, index in enumerate(chosen):
        label = labels.images[index]
        picture = draw_detections(read_picture(images / label.file_name, label), found[index], label.boxes)
        write_rgb(folder / f"detection-{number}.jpg", picture)


def draw_detections(rgb: Image, found: Detections, labelled: NDArray[np.float32]) -> Image:
    """Draw labelled boxes (N, 4) and what was found onto a copy of a picture (H, W, 3) uint8."""
    picture = rgb.copy()
    for box in labelled:
        draw_box(picture, box, _LABELLED)
    for box, score in zip(found.boxes, found.scores, strict=True):
        if score >= _SHOWN_FROM:
            draw_box(picture, box, _FOUND)
            corner = (round(float(box[0])), max(8, round(float(box[1])) - 2))
            cv2.putText(picture, f"{score:.2f}", corner, cv2.FONT_HERSHEY_PLAIN, 0.7, _FOUND, 1, cv2.LINE_AA)
    return picture


def draw_box(
    picture: Image, box: NDArray[np.float32], colour: tuple[int, int, int], *, thickness: int = 1
) -> None:
    """Draw a box's corners (4,) into a picture (H, W, 3)."""
    left, top, right, bottom = (round(float(v)) for v in box)
    cv2.rectangle(picture, (left, top), (right, bottom), colour, thickness)
