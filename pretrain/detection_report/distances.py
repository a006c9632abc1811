"""True distances of labelled boxes, where a label file has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catseye.pretrain.boxes import overlaps
from catseye.pretrain.labels import LabelledImage, Labels

_SAME = 0.99


def read_distances(labels: Labels) -> list[NDArray[np.float32]] | None:
    """Distances in metres, (N,) of each image's boxes, NaN where none is given; None without any.

    They stand in a COCO file as ``distance_m`` beside an annotation's ``bbox``, as ``catseye synth`` writes
    them. A box has the distance of the annotation that lies where it does.
    """
    given = _annotated(labels.path)
    metres = [_of_boxes(image, given.get(image.file_name, [])) for image in labels.images]
    return metres if any(np.isfinite(each).any() for each in metres) else None


def _annotated(path: Path) -> dict[str, list[tuple[list[float], float]]]:
    """Boxes x, y, w, h with their distances, by file name. What is no COCO has none."""
    try:
        document = json.loads(path.read_text())
        names = {image["id"]: image["file_name"] for image in document["images"]}
        annotations: list[dict[str, Any]] = document["annotations"]
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    found: dict[str, list[tuple[list[float], float]]] = {}
    for annotation in annotations:
        metres = annotation.get("distance_m")
        if isinstance(metres, (int, float)) and metres > 0:
            found.setdefault(names[annotation["image_id"]], []).append((annotation["bbox"], float(metres)))
    return found


def _of_boxes(image: LabelledImage, given: list[tuple[list[float], float]]) -> NDArray[np.float32]:
    metres = np.full(len(image.boxes), np.nan, dtype=np.float32)
    if given and len(image.boxes):
        xywh = np.array([box for box, _ in given], dtype=np.float32)
        limit = np.array([image.width, image.height] * 2, dtype=np.float32)
        corners = np.clip(np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1), 0, limit)
        overlap = overlaps(image.boxes, corners)
        nearest = overlap.argmax(axis=1)
        same = overlap.max(axis=1) >= _SAME
        metres[same] = np.array([value for _, value in given], dtype=np.float32)[nearest[same]]
    return metres
