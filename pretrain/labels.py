"""Detection labels: COCO JSON, and lists of image names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catseye.errors import InputError

_REMEDY = "correct the file, or export it again as COCO detection JSON"
_LARGEST_PIXEL = 1e6


@dataclass(frozen=True)
class LabelledImage:
    """One image's labels.

    Args:
        file_name: its path below the folder of images.
        width, height: size in pixels that the boxes refer to.
        boxes: (N, 4) float32 corners x1 y1 x2 y2 in pixels, clipped to the image.
        classes: (N,) int32 indices into ``Labels.classes``.
        crowd: (N,) bool, COCO's ``iscrowd``: neither to be found nor wrong to find.
        scores: (N,) float32 in [0, 1] of boxes that a model proposed; None where people drew them.
    """

    file_name: str
    width: int
    height: int
    boxes: NDArray[np.float32]
    classes: NDArray[np.int32]
    crowd: NDArray[np.bool_]
    scores: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Labels:
    """A label file: class names in the order of their indices, and images in the order of the file."""

    path: Path
    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]

    def only(self, names: Iterable[str], *, source: str | Path) -> Labels:
        """Keep the images named, in that order; ``source`` is where the names come from.

        Raises:
            InputError: a name has no labels here.
        """
        by_name = {image.file_name: image for image in self.images}
        names = list(names)
        unknown = [name for name in names if name not in by_name]
        if unknown:
            fault = (
                f"{len(unknown)} of {len(names)} images have no entry in {self.path}, first {unknown[0]!r}"
            )
            raise InputError(source, fault, "name images that the label file has")
        return replace(self, images=tuple(by_name[name] for name in names))

    def without(self, names: Iterable[str]) -> Labels:
        """Leave out the images named."""
        left_out = set(names)
        return replace(self, images=tuple(i for i in self.images if i.file_name not in left_out))

    def pictures(self, folder: Path) -> tuple[Path, ...]:
        """Where the images are, below ``folder``.

        Raises:
            InputError: one is not there.
        """
        paths = tuple(folder / image.file_name for image in self.images)
        absent = [path for path in paths if not path.is_file()]
        if absent:
            fault = (
                f"{len(absent)} of {len(paths)} labelled images are not in {folder}, first {absent[0].name!r}"
            )
            raise InputError(self.path, fault, "give the folder of images that belongs to these labels")
        return paths


def read_image_list(path: str | Path) -> tuple[str, ...]:
    """Read one image name a line; blank lines are passed over.

    Raises:
        InputError: the file is absent, is no text, names nothing, or names an image twice.
    """
    names = tuple(line.strip() for line in _read_text(Path(path)).splitlines() if line.strip())
    if not names:
        raise InputError(path, "names no image", "write one image name a line")
    _refuse_repeats(names, path, "image name")
    return names


def read_coco(path: str | Path) -> Labels:
    """Read COCO detection JSON: ``images``, ``categories``, ``annotations`` with ``bbox`` x, y, w, h.

    A box that reaches over the border is clipped. Images without boxes are kept: they show what is no object.

    Raises:
        InputError: the file is absent or is no COCO JSON, it has no annotation at all, an annotation refers
            to an image or a category that is not there, or a box is not finite, has no area or lies outside.
    """
    path = Path(path)
    document = _read_document(path)
    classes = {_field(c, "id", int, path): _field(c, "name", str, path) for c in document["categories"]}
    class_index = {category_id: index for index, category_id in enumerate(classes)}
    images = {_field(entry, "id", int, path): entry for entry in document["images"]}
    _refuse_repeats([entry["id"] for entry in document["categories"]], path, "category id")
    _refuse_repeats([entry["id"] for entry in document["images"]], path, "image id")
    names = [_field(entry, "file_name", str, path) for entry in document["images"]]
    _refuse_repeats(names, path, "file_name")
    sizes = {
        i: (_positive(entry, "width", path), _positive(entry, "height", path)) for i, entry in images.items()
    }

    annotations = document["annotations"]
    if not annotations:
        raise InputError(path, "has no annotation", "label at least one object")
    image_ids: list[Any] = [a.get("image_id") for a in annotations]
    category_ids: list[Any] = [a.get("category_id") for a in annotations]
    _refuse(annotations, [not _among(i, images) for i in image_ids], path, "refer to an image not listed")
    _refuse(annotations, [not _among(c, classes) for c in category_ids], path, "have a category not listed")
    _refuse(annotations, [not _is_box(a.get("bbox")) for a in annotations], path, "have no finite bbox")

    xywh = np.array([a["bbox"] for a in annotations], dtype=np.float64)
    corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    clipped = np.clip(corners, 0, np.array([sizes[i] * 2 for i in image_ids], dtype=np.float64))
    _refuse(annotations, (xywh[:, 2:] <= 0).any(axis=1), path, "have a box without area")
    _refuse(annotations, (clipped[:, 2:] <= clipped[:, :2]).any(axis=1), path, "have a box outside the image")

    boxes = clipped.astype(np.float32)
    indices = np.array([class_index[c] for c in category_ids], dtype=np.int32)
    crowd = np.array([bool(a.get("iscrowd", 0)) for a in annotations])
    rows: dict[int, list[int]] = {image_id: [] for image_id in images}
    for row, image_id in enumerate(image_ids):
        rows[image_id].append(row)
    return Labels(
        path=path,
        classes=tuple(classes.values()),
        images=tuple(
            LabelledImage(
                name, *sizes[i], boxes=boxes[rows[i]], classes=indices[rows[i]], crowd=crowd[rows[i]]
            )
            for name, i in zip(names, images, strict=True)
        ),
    )


def split_labels(labels: Labels, train_list: Path | None, test_list: Path | None) -> tuple[Labels, Labels]:
    """The labels to learn from, by default all but the others, and those to measure on: none without a list.

    Raises:
        InputError: a list cannot be read, names what has no labels, or an image is in both.
    """
    test_names = () if test_list is None else read_image_list(test_list)
    test = labels.only(test_names, source=test_list or labels.path)
    if train_list is None:
        return labels.without(test_names), test
    train_names = read_image_list(train_list)
    both = sorted(set(train_names) & set(test_names))
    train = labels.only(train_names, source=train_list)
    if both:
        fault = f"{len(both)} of its images are in {test_list} too, first {both[0]!r}"
        raise InputError(train_list, fault, "train and measure on different drives")
    return train, test


def _read_document(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        document = json.loads(_read_text(path))
    except (ValueError, RecursionError):
        raise InputError(path, "is not JSON", _REMEDY) from None
    for part in ("images", "annotations", "categories"):
        entries = document.get(part) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(path, f"has no list of objects {part!r}", _REMEDY)
    return document  # type: ignore[no-any-return]  # the shape was checked above


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read as text ({error})", _REMEDY) from None


def _field(entry: dict[str, Any], name: str, kind: type, path: Path) -> Any:
    value = entry.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(path, f"field {name!r} of an image or category is {value!r}", _REMEDY)
    return value


def _positive(entry: dict[str, Any], name: str, path: Path) -> int:
    value = _field(entry, name, int, path)
    if value <= 0:
        raise InputError(path, f"field {name!r} of image {entry['file_name']!r} is {value}", _REMEDY)
    return int(value)


def _among(value: object, known: Mapping[int, object]) -> bool:
    return isinstance(value, int) and value in known


def _is_box(bbox: object) -> bool:
    return (
        isinstance(bbox, list)
        and len(bbox) == 4
        and all(isinstance(v, (int, float)) and abs(v) < _LARGEST_PIXEL for v in bbox)
    )


def _refuse(annotations: Sequence[dict[str, Any]], wrong: ArrayLike, path: Path, fault: str) -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        first = annotations[int(rows[0])]
        where = f"first annotation {first.get('id')} with bbox {first.get('bbox')}"
        raise InputError(path, f"{rows.size} of {len(annotations)} annotations {fault}, {where}", _REMEDY)


def _refuse_repeats(values: Sequence[object], path: str | Path, what: str) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        raise InputError(path, f"{what} {repeated[0]!r} occurs twice", _REMEDY)
