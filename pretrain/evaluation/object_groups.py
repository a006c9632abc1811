"""Recall by what objects look like and where they are, so that it shows whom a network fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catseye.pretrain.augment import LUMA, Still
from catseye.pretrain.evaluation.outcomes import StillOutcome
from catseye.pretrain.evaluation.summary import ObjectGroup
from catseye.pretrain.labels import LabelledImage

_HEIGHTS = (10, 20, 40)
_COUNTS = (1, 4, 8)


@dataclass(frozen=True)
class _Aspect:
    """Which group each object and each false find of every still is in, by its index in ``groups``."""

    name: str
    groups: tuple[str, ...]
    objects: list[NDArray[np.int64]]
    false: list[NDArray[np.int64]]


def groups_of(
    reader: Literal["probe", "detector"],
    outcomes: Sequence[StillOutcome],
    images: Sequence[LabelledImage],
    stills: Sequence[Still],
) -> tuple[ObjectGroup, ...]:
    """Group by height in source pixels, place from left to right, and the still's light and objects.

    Light is by the terciles of the stills' mean brightness.
    """
    false = [outcome.false for outcome in outcomes]
    return tuple(
        group
        for aspect in (
            _by_height(images, false),
            _by_place(images, false),
            _by_light(images, false, stills),
            _by_count(images, false),
        )
        for group in _count(reader, aspect, outcomes)
    )


def _count(
    reader: Literal["probe", "detector"], aspect: _Aspect, outcomes: Sequence[StillOutcome]
) -> list[ObjectGroup]:
    group = np.concatenate(aspect.objects)
    asked = np.concatenate([outcome.asked for outcome in outcomes])
    found = np.concatenate([outcome.found for outcome in outcomes])
    false = np.concatenate(aspect.false)
    counted = []
    for number, name in enumerate(aspect.groups):
        there = asked & (group == number)
        objects, wrong = int(there.sum()), int((false == number).sum())
        if objects or wrong:
            recall = float(found[there].mean()) if objects else None
            counted.append(
                ObjectGroup(
                    reader=reader, aspect=aspect.name, name=name, objects=objects, recall=recall, false=wrong
                )
            )
    return counted


def _by_height(images: Sequence[LabelledImage], false: Sequence[NDArray[np.float32]]) -> _Aspect:
    def band(boxes: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.asarray(np.digitize(boxes[:, 3] - boxes[:, 1], _HEIGHTS), dtype=np.int64)

    low, middle, high = _HEIGHTS
    names = (f"under {low} px", f"{low} to {middle} px", f"{middle} to {high} px", f"{high} px and over")
    return _Aspect("height", names, [band(image.boxes) for image in images], [band(boxes) for boxes in false])


def _by_place(images: Sequence[LabelledImage], false: Sequence[NDArray[np.float32]]) -> _Aspect:
    def third(boxes: NDArray[np.float32], image: LabelledImage) -> NDArray[np.int64]:
        centre = (boxes[:, 0] + boxes[:, 2]) / 2 / image.width
        return np.asarray(np.digitize(centre, (1 / 3, 2 / 3)), dtype=np.int64)

    return _Aspect(
        "place",
        ("left third", "middle third", "right third"),
        [third(image.boxes, image) for image in images],
        [third(boxes, image) for boxes, image in zip(false, images, strict=True)],
    )


def _by_light(
    images: Sequence[LabelledImage], false: Sequence[NDArray[np.float32]], stills: Sequence[Still]
) -> _Aspect:
    light = np.array([float((still.rgb.reshape(-1, 3).mean(axis=0) * LUMA).sum()) for still in stills])
    group = np.digitize(light, np.quantile(light, (1 / 3, 2 / 3)))
    return _of_stills("light", ("dark third", "middle third", "bright third"), group, images, false)


def _by_count(images: Sequence[LabelledImage], false: Sequence[NDArray[np.float32]]) -> _Aspect:
    group = np.digitize([int((~image.crowd).sum()) for image in images], _COUNTS)
    names = ("none in the still", "1 to 3 in the still", "4 to 7 in the still", "8 or more in the still")
    return _of_stills("objects", names, group, images, false)


def _of_stills(
    name: str,
    groups: tuple[str, ...],
    group: NDArray[np.int64],
    images: Sequence[LabelledImage],
    false: Sequence[NDArray[np.float32]],
) -> _Aspect:
    return _Aspect(
        name,
        groups,
        [np.full(len(image.boxes), number) for number, image in zip(group, images, strict=True)],
        [np.full(len(boxes), number) for number, boxes in zip(group, false, strict=True)],
    )
