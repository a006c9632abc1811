"""COCO detection JSON: ``images``, ``categories``, ``annotations`` with ``bbox`` x, y, width, height in px.

The format is described at https://cocodataset.org/#format-data. A detector's ``score`` stands with the
annotation, as in COCO's format of results. It holds all that ``Labels`` do, exactly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catseye.errors import InputError
from catseye.files import write_text
from catseye.pretrain.label_faults import read_text, refuse, refuse_repeats
from catseye.pretrain.label_formats.assembly import LARGEST_PIXEL, Boxes, Picture, Wording, assemble
from catseye.pretrain.labels import Labels

_REMEDY = "correct the file, or export it again as COCO detection JSON"


def read_coco(path: str | Path, *, clip: bool = True) -> Labels:
    """Read COCO detection JSON.

    A box that reaches over the border is clipped. Images without boxes are kept: they show what is no object.
    Segmentations, key points and other fields are passed over.

    Args:
        clip: False leaves boxes that reach over the border as they are.

    Raises:
        InputError: the file is absent or is no COCO JSON, it has no annotation at all, an id or a file name
            occurs twice, an annotation refers to an image or a category that is not there, a box is not
            finite, has no area or lies outside, or a score is not within 0 and 1.
    """
    path = Path(path)
    document = _read_document(path)
    categories, images, annotations = (document[p] for p in ("categories", "images", "annotations"))
    class_index = _indices(categories, path, "category")
    names = _fields(categories, "name", str, path)
    image_index = _indices(images, path, "image")
    files = _fields(images, "file_name", str, path)
    widths, heights = (_sides(images, side, path) for side in ("width", "height"))
    pictures = [Picture(*each) for each in zip(files, widths, heights, strict=True)]
    wording = Wording("annotations", lambda row: _described(annotations[row]), _REMEDY)

    def check(wrong: Sequence[bool], fault: str) -> None:
        refuse(wrong, path, wording.boxes, fault, wording.first, _REMEDY)

    image_ids: list[Any] = [a.get("image_id") for a in annotations]
    category_ids: list[Any] = [a.get("category_id") for a in annotations]
    check([not _among(i, image_index) for i in image_ids], "refer to an image not listed")
    check([not _among(c, class_index) for c in category_ids], "have a category not listed")
    ids = [a["id"] for a in annotations if isinstance(a.get("id"), (int, str))]
    refuse_repeats(ids, path, "annotation id", _REMEDY)
    bboxes = [a.get("bbox") for a in annotations]
    xywh = _as_array(bboxes)
    if xywh is None:
        check([not _is_box(bbox) for bbox in bboxes], "have no finite bbox")
        xywh = np.array(bboxes, dtype=np.float64).reshape(-1, 4)
    given = [a.get("score") for a in annotations]
    check([not (score is None or _is_number(score)) for score in given], "have a score that is no number")
    boxes = Boxes(
        images=np.array([image_index[i] for i in image_ids], dtype=np.int64),
        classes=np.array([class_index[c] for c in category_ids], dtype=np.int32),
        corners=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1),
        crowd=np.array([bool(a.get("iscrowd", 0)) for a in annotations], dtype=np.bool_),
        scores=np.array([np.nan if score is None else score for score in given], dtype=np.float64),
    )
    return assemble(path, names, pictures, boxes, wording, clip=clip)


def write_coco(labels: Labels, path: Path) -> None:
    """Write COCO detection JSON; reading it gives the same float32 boxes."""
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(labels.images, start=1):
        corners = image.boxes.astype(np.float64)
        sizes = corners[:, 2:] - corners[:, :2]
        rows = np.concatenate([corners[:, :2], sizes], axis=1).tolist()
        scores = [None] * len(rows) if image.scores is None else image.scores.tolist()
        parts = (rows, image.classes.tolist(), image.crowd.tolist(), scores)
        for bbox, index, crowd, score in zip(*parts, strict=True):
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": index + 1,
                "bbox": bbox,
                "area": bbox[2] * bbox[3],
                "iscrowd": int(crowd),
            }
            annotations.append(annotation if score is None else {**annotation, "score": score})
    document = {
        "images": [
            {"id": image_id, "file_name": image.file_name, "width": image.width, "height": image.height}
            for image_id, image in enumerate(labels.images, start=1)
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(labels.classes, start=1)],
        "annotations": annotations,
    }
    write_text(path, json.dumps(document, allow_nan=False) + "\n")


def _read_document(path: Path) -> dict[str, list[dict[str, Any]]]:
    text = read_text(path, remedy=_REMEDY)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(path, "is not JSON", _REMEDY) from None
    for part in ("images", "annotations", "categories"):
        entries = document.get(part) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(path, f"has no list of objects {part!r}", _REMEDY)
    return document  # type: ignore[no-any-return]  # the shape was checked above


def _indices(entries: Sequence[dict[str, Any]], path: Path, what: str) -> dict[int, int]:
    """The place of each id."""
    ids = _fields(entries, "id", int, path)
    refuse_repeats(ids, path, f"{what} id", _REMEDY)
    return {number: index for index, number in enumerate(ids)}


def _fields(entries: Sequence[dict[str, Any]], name: str, kind: type, path: Path) -> list[Any]:
    values = [entry.get(name) for entry in entries]
    wrong = [value for value in values if not isinstance(value, kind) or isinstance(value, bool)]
    if wrong:
        fault = f"field {name!r} of an image or category is {shortened(wrong[0])}{_and_more(wrong)}"
        raise InputError(path, fault, _REMEDY)
    return values


def _sides(images: Sequence[dict[str, Any]], name: str, path: Path) -> list[int]:
    values = _fields(images, name, int, path)
    wrong = [row for row, value in enumerate(values) if not 0 < value < LARGEST_PIXEL]
    if wrong:
        file_name, value = images[wrong[0]]["file_name"], shortened(values[wrong[0]])
        fault = f"field {name!r} of image {file_name!r} is {value}{_and_more(wrong)}"
        raise InputError(path, fault, _REMEDY)
    return values


def _and_more(wrong: Sequence[object]) -> str:
    return f", and so wrong in {len(wrong) - 1} more" if len(wrong) > 1 else ""


def _described(annotation: dict[str, Any]) -> str:
    return f"annotation {shortened(annotation.get('id'))} with bbox {shortened(annotation.get('bbox'))}"


def _among(value: object, known: Mapping[int, object]) -> bool:
    return isinstance(value, int) and value in known


def _as_array(bboxes: Sequence[Any]) -> NDArray[np.float64] | None:
    """(N, 4) where every one is four plain numbers: much faster than to look at each by itself."""
    if set(map(type, bboxes)) != {list} or set(map(len, bboxes)) != {4}:
        return None
    numbers = list(chain.from_iterable(bboxes))
    if not set(map(type, numbers)) <= {int, float}:
        return None
    try:
        return np.array(numbers, dtype=np.float64).reshape(-1, 4)
    except OverflowError:
        return None


def _is_box(bbox: object) -> bool:
    return isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_number, bbox))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) < LARGEST_PIXEL
