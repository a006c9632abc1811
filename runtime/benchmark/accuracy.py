"""What the engine finds in labelled stills, beside how fast it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from catseye.capture.geometry import Image
from catseye.errors import InputError
from catseye.picture_files import read_rgb
from catseye.progress import Progress, silent
from catseye.runtime.benchmark.average_precision import IOUS, Found, Truth, average_precision
from catseye.runtime.engines.base import Engine
from catseye.runtime.manifest import Manifest
from catseye.runtime.network_input import filled, picture_input, stacked
from catseye.runtime.suppression import chosen

_REMEDY = "give a COCO file with boxes"


class Accuracy(BaseModel):
    """Average precision by COCO over stills: at IoU 0.5, and the mean over 0.50 to 0.95."""

    model_config = ConfigDict(frozen=True)

    ap50: float
    ap: float
    stills: int
    objects: int


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class _Category(_Part):
    id: int
    name: str


class _Picture(_Part):
    id: int
    file_name: str
    width: int
    height: int


class _Annotation(_Part):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0


class _Coco(_Part):
    categories: tuple[_Category, ...]
    images: tuple[_Picture, ...]
    annotations: tuple[_Annotation, ...]


def measure_accuracy(
    engine: Engine,
    manifest: Manifest,
    labels: Path,
    *,
    images: Path | None = None,
    test_list: Path | None = None,
    progress: Progress = silent,
) -> Accuracy:
    """Run an engine on labelled stills, one at a time, with no threshold.

    Args:
        labels: a COCO file; classes go by name, and those that the bundle does not know are passed over.
        images: folder of the pictures; None takes ``images/`` beside the labels.
        test_list: file names to measure on, one a line; None takes all.

    Raises:
        InputError: labels, list or pictures are not what they must be.
    """
    folder = images or labels.parent / "images"
    coco = _read(labels)
    chosen_pictures = _chosen(coco, labels, test_list)
    classes = {c.id: manifest.classes.index(c.name) for c in coco.categories if c.name in manifest.classes}
    if not classes:
        names = ", ".join(c.name for c in coco.categories)
        raise InputError(
            labels,
            f"labels {names}, of which the bundle knows none",
            f"give labels of {', '.join(manifest.classes)}",
        )
    by_picture: dict[int, list[_Annotation]] = {}
    for annotation in coco.annotations:
        if annotation.category_id in classes:
            by_picture.setdefault(annotation.image_id, []).append(annotation)
    found, truths = [], []
    for picture in chosen_pictures:
        path = folder / picture.file_name
        rgb = read_rgb(path) if path.is_file() else None
        if rgb is None:
            raise InputError(path, "is no picture that can be read", "give the labelled pictures' folder")
        if rgb.shape[:2] != (picture.height, picture.width):
            raise InputError(
                path,
                f"is {rgb.shape[1]}x{rgb.shape[0]}, its labels are for {picture.width}x{picture.height}",
                "give the pictures that were labelled",
            )
        found.append(_detect(engine, manifest, rgb))
        truths.append(_truth(by_picture.get(picture.id, []), classes))
        progress("accuracy", len(found), len(chosen_pictures))
    precisions = [average_precision(found, truths, iou=iou) for iou in IOUS]
    if precisions[0] is None:
        raise InputError(labels, "has no object in the stills to measure on", "name others in the list")
    return Accuracy(
        ap50=precisions[0],
        ap=float(np.mean([precision or 0.0 for precision in precisions])),
        stills=len(truths),
        objects=int(sum((~truth.crowd).sum() for truth in truths)),
    )


def _read(labels: Path) -> _Coco:
    try:
        return _Coco.model_validate(json.loads(labels.read_text()))
    except FileNotFoundError:
        raise InputError(labels, "no such file", _REMEDY) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(labels, f"field {place!r}: {first['msg']}", _REMEDY) from None
    except (ValueError, RecursionError, IsADirectoryError):
        raise InputError(labels, "is not JSON", _REMEDY) from None


def _chosen(coco: _Coco, labels: Path, test_list: Path | None) -> list[_Picture]:
    if test_list is None:
        return list(coco.images)
    try:
        names = {line.strip() for line in test_list.read_text().splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError):
        raise InputError(test_list, "cannot be read", "give a text file of file names, one a line") from None
    known = {picture.file_name for picture in coco.images}
    if missing := sorted(names - known):
        raise InputError(test_list, f"names {missing[0]}, which {labels} does not label", "correct the list")
    return [picture for picture in coco.images if picture.file_name in names]


def _truth(annotations: list[_Annotation], classes: dict[int, int]) -> Truth:
    boxes: NDArray[np.float32] = np.array([a.bbox for a in annotations], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Truth(
        boxes,
        np.array([classes[a.category_id] for a in annotations], np.int32),
        np.array([bool(a.iscrowd) for a in annotations], bool),
    )


def _detect(engine: Engine, manifest: Manifest, rgb: Image) -> Found:
    network = manifest.network
    output = engine.infer(filled(stacked([picture_input(rgb, network)]), network.batch))
    boxes, scores, classes = output.boxes[0], output.scores[0], output.classes[0]
    kept = chosen(boxes, scores, classes, least=0.0, nms_iou=manifest.nms_iou)
    box = network.letterbox(rgb.shape[1], rgb.shape[0])
    return Found(box.boxes_to_source(boxes[kept]), scores[kept], classes[kept])
