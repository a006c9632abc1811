"""Labelled stills of a rendered world: pictures and COCO JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from catseye.capture.geometry import Image
from catseye.capture.rendering.truth import Truth
from catseye.errors import CatseyeError
from catseye.files import write_bytes, write_json

LABELS_FILE = "instances_coco.json"
IMAGES_FOLDER = "images"

CATEGORY: Mapping[str, Any] = {"id": 1, "name": "vehicle"}
ASKED_VISIBILITY = 0.4
"""Least visible part of a vehicle that is to be found."""
ASKED_HEIGHT_PX = 10.0
"""Least height of its box."""

_JPEG_QUALITY = 95


def still_name(clip: str, frame: int) -> str:
    return f"{clip}-f{frame:05d}.jpg"


def write_still(path: Path, rgb: Image) -> None:
    done, content = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise CatseyeError(f"{path}: OpenCV could not encode the picture")
    write_bytes(path, content.tobytes())


def write_labels(
    path: Path, clips: Iterable[tuple[str, Truth]], *, every: int, size: tuple[int, int]
) -> None:
    """COCO JSON of every ``every``-th frame: each vehicle of which something is seen, all of one category.

    A first few hundred labels hold too few lorries and buses to tell them from cars; the truth names them.
    One too small or too hidden to be asked for is marked ``iscrowd``: neither to be found nor wrong to find.
    ``distance_m``, a field of our own, is that of the vehicle's nearest corner along the camera's axis.

    Args:
        clips: name and truth of each.
        size: width and height of the pictures.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name, truth in clips:
        tall = truth.boxes[:, 3] - truth.boxes[:, 1] >= ASKED_HEIGHT_PX
        asked = tall & (truth.visibility >= ASKED_VISIBILITY)
        seen = truth.visibility > 0
        for frame in range(0, len(truth), every):
            image = {"id": len(images) + 1, "file_name": still_name(name, frame)}
            images.append({**image, "width": size[0], "height": size[1]})
            for row in np.flatnonzero(seen & (truth.frame_index == frame)):
                x0, y0, x1, y1 = truth.boxes[row].tolist()
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image["id"],
                        "category_id": CATEGORY["id"],
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "area": (x1 - x0) * (y1 - y0),
                        "iscrowd": int(not asked[row]),
                        "distance_m": float(truth.distances_m[row]),
                    }
                )
    write_json(path, {"images": images, "annotations": annotations, "categories": [CATEGORY]})
