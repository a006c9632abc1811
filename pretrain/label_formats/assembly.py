"""What all formats have in common: boxes as arrays, checked and sorted into their images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catseye.errors import InputError
from catseye.pretrain.label_faults import refuse, refuse_repeats
from catseye.pretrain.labels import LabelledImage, Labels

LARGEST_PIXEL = 1e6
"""No picture is wider or taller, and no coordinate is as large."""


class Picture(NamedTuple):
    """An image that labels are for; width and height in pixels."""

    file_name: str
    width: int
    height: int


class Wording(NamedTuple):
    """How a format speaks of its boxes: what they are called, in the plural, how to name one, what to do."""

    boxes: str
    first: Callable[[int], str]
    remedy: str


@dataclass(frozen=True)
class Boxes:
    """All boxes of a file, in its order.

    Args:
        images: (N,) int64 indices of their pictures.
        classes: (N,) int32 indices of their classes.
        corners: (N, 4) float64 x1 y1 x2 y2 in pixels.
        crowd: (N,) bool.
        scores: (N,) float64, NaN where none is given.
    """

    images: NDArray[np.int64]
    classes: NDArray[np.int32]
    corners: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    scores: NDArray[np.float64]


def assemble(
    path: Path,
    classes: Sequence[str],
    pictures: Sequence[Picture],
    boxes: Boxes,
    wording: Wording,
    *,
    clip: bool,
) -> Labels:
    """Check the boxes and sort them into their images.

    Where some boxes of an image have a score and others, which a person added, have none, those get a score
    of 1.

    Args:
        clip: cut boxes off at the border of their image; else those that reach over it are left as they are.

    Raises:
        InputError: there is no box, a picture is named twice, a box is not finite, has no area as float32 or
            lies outside its image, or a score is not within 0 and 1.
    """
    refuse_repeats([picture.file_name for picture in pictures], path, "file_name", wording.remedy)
    if not len(boxes.corners):
        raise InputError(path, "has no annotation", "label at least one object")

    def check(wrong: ArrayLike, fault: str) -> None:
        refuse(wrong, path, wording.boxes, fault, wording.first, wording.remedy)

    finite = np.isfinite(boxes.corners) & (np.abs(boxes.corners) < 2 * LARGEST_PIXEL)
    check(~finite.all(axis=1), "have no finite bbox")
    sizes = np.array([(p.width, p.height) for p in pictures], dtype=np.float64)[boxes.images]
    corners = boxes.corners.astype(np.float32)
    clipped = np.clip(boxes.corners, 0, np.tile(sizes, 2)).astype(np.float32)
    check((corners[:, 2:] <= corners[:, :2]).any(axis=1), "have a box without area")
    check((clipped[:, 2:] <= clipped[:, :2]).any(axis=1), "have a box outside the image")
    check((boxes.scores < 0) | (boxes.scores > 1), "have a score outside 0 to 1")

    order = np.argsort(boxes.images, kind="stable")
    ends = np.searchsorted(boxes.images[order], np.arange(len(pictures) + 1)).tolist()
    chosen = (clipped if clip else corners)[order]
    kinds, crowd = boxes.classes[order].astype(np.int32), boxes.crowd[order]
    scores = boxes.scores[order].astype(np.float32)
    images = []
    for picture, start, stop in zip(pictures, ends, ends[1:], strict=False):
        rows = slice(start, stop)
        images.append(
            LabelledImage(
                *picture,
                boxes=chosen[rows],
                classes=kinds[rows],
                crowd=crowd[rows],
                scores=_filled(scores[rows]),
            )
        )
    return Labels(path=path, classes=tuple(classes), images=tuple(images))


def _filled(scores: NDArray[np.float32]) -> NDArray[np.float32] | None:
    given = ~np.isnan(scores)
    return np.where(given, scores, np.float32(1)) if given.any() else None
