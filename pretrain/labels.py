"""Detection labels in memory, and lists of image names. ``label_formats`` reads and writes the files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catseye.errors import InputError
from catseye.pretrain.label_faults import read_text, refuse_repeats

_LIST_REMEDY = "write one image name a line"


@dataclass(frozen=True)
class LabelledImage:
    """One image's labels.

    Args:
        file_name: its path below the folder of images.
        width, height: size in pixels that the boxes refer to.
        boxes: (N, 4) float32 corners x1 y1 x2 y2 in pixels, clipped to the image.
        classes: (N,) int32 indices into ``Labels.classes``.
        crowd: (N,) bool, COCO's ``iscrowd``: neither to be found nor wrong to find.
        scores: (N,) float32 in [0, 1], how sure a detector was; None for labels that people drew.
    """

    file_name: str
    width: int
    height: int
    boxes: NDArray[np.float32]
    classes: NDArray[np.int32]
    crowd: NDArray[np.bool_]
    scores: NDArray[np.float32] | None = None

    def kept(self, rows: NDArray[np.bool_]) -> LabelledImage:
        """Keep the boxes for which (N,) is true."""
        scores = None if self.scores is None else self.scores[rows]
        return replace(
            self, boxes=self.boxes[rows], classes=self.classes[rows], crowd=self.crowd[rows], scores=scores
        )


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

    def without_crowd(self) -> Labels:
        """Leave out the crowd boxes, whose places then count as empty."""
        return replace(self, images=tuple(image.kept(~image.crowd) for image in self.images))

    def digest(self) -> str:
        """Hex SHA-256 of what the labels say, whatever file and format they come from."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for image in self.images:
            digest.update(repr((image.file_name, image.width, image.height, len(image.boxes))).encode())
            for part in (image.boxes, image.classes, image.crowd, image.scores):
                digest.update(b"none" if part is None else np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

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
    lines = read_text(Path(path), remedy=_LIST_REMEDY).split("\n")
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise InputError(path, "names no image", _LIST_REMEDY)
    refuse_repeats(names, path, "image name", "name each image once")
    return names


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
