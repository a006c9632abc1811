"""Labelled stills in memory, and batches of them that depend on nothing but a seed and a step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from catseye.capture.geometry import Image, letterbox
from catseye.errors import InputError
from catseye.picture_files import read_rgb
from catseye.pretrain.augment import Still, vary
from catseye.pretrain.detection_loss import Target
from catseye.pretrain.labels import LabelledImage, Labels
from catseye.pretrain.picture_size import labelled_pictures
from catseye.pretrain.repeat_factors import still_at
from catseye.progress import Progress, silent

_SPARE_RESOLUTION = 1.5
_AHEAD = 2
_MOST_OBJECTS = 1000


class Batch(NamedTuple):
    """Pictures (B, 3, H, W) uint8 RGB, and what is in each."""

    rgb: Tensor
    targets: list[Target]


@dataclass(frozen=True)
class Draw:
    """How batches are drawn.

    Args:
        width, height: of the network.
        batch: pictures a batch.
        zoom: largest factor by which a picture is enlarged or shrunk.
        seed: of order and variation.
        crop: width and height of what is taken of a frame; None takes all of it.
        rank, world: which process of how many; each draws other pictures.
        extra: how many of a batch, its last ones, are of the extra stills.
    """

    width: int
    height: int
    batch: int
    zoom: float
    seed: int
    crop: tuple[int, int] | None = None
    rank: int = 0
    world: int = 1
    extra: int = 0


@dataclass(frozen=True)
class StillPool:
    """What batches are drawn from.

    Args:
        stills: labelled ones.
        factors: how often each of them is seen, see ``repeat_factors``; by default once a round.
        extra: others, such as with proposals for labels.
    """

    stills: Sequence[Still]
    factors: Sequence[float] = ()
    extra: Sequence[Still] = ()


def read_picture(path: Path, label: LabelledImage) -> Image:
    """Decode one picture as RGB (H, W, 3) uint8.

    Raises:
        InputError: it is no picture, or not of the size its labels refer to.
    """
    rgb = read_rgb(path)
    if rgb is None:
        raise InputError(path, "is not a readable picture", "copy it again, or take it out of the labels")
    height, width = rgb.shape[:2]
    if (width, height) != (label.width, label.height):
        fault = f"is {width}x{height}, but its labels are for {label.width}x{label.height}"
        raise InputError(path, fault, "give the pictures that were labelled")
    return rgb


def load_stills(
    labels: Labels, folder: Path, *, width: int, height: int, progress: Progress = silent
) -> list[Still]:
    """Decode all pictures once, none kept much larger than a network of (height, width) can use.

    Raises:
        InputError: a picture is absent or does not fit its labels.
    """
    paths = labelled_pictures(labels, folder)
    stills = []
    for label, path in zip(labels.images, paths, strict=True):
        stills.append(_bounded(read_picture(path, label), label, width=width, height=height))
        progress("read stills", len(stills), len(paths))
    return stills


def batches(pool: StillPool, draw: Draw, *, first_step: int, steps: int) -> Iterator[Batch]:
    """Batches of steps ``first_step`` … ``steps`` − 1, made ahead of their use in a thread."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[Batch]] = deque()
        for step in range(first_step, steps):
            waiting.append(thread.submit(draw_batch, pool, draw, step))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def draw_batch(pool: StillPool, draw: Draw, step: int) -> Batch:
    """The batch of one step: stills in an order that is shuffled anew each time all have been seen."""
    rng = np.random.default_rng([draw.seed, step, draw.rank])
    turn = step * draw.world + draw.rank
    labelled, extra = draw.batch - draw.extra, draw.extra
    factors = pool.factors or (1.0,) * len(pool.stills)
    chosen = [pool.stills[still_at(turn * labelled + n, factors, seed=draw.seed)] for n in range(labelled)]
    once = (1.0,) * len(pool.extra)
    chosen += [pool.extra[still_at(turn * extra + n, once, seed=draw.seed)] for n in range(extra)]
    size = {"width": draw.width, "height": draw.height}
    varied = [vary(still, rng, **size, zoom=draw.zoom, crop=draw.crop) for still in chosen]
    rgb = torch.from_numpy(np.stack([still.rgb for still in varied])).permute(0, 3, 1, 2)
    return Batch(rgb, [to_target(still) for still in varied])


def to_target(still: Still) -> Target:
    """A still's boxes as tensors. Of more than a thousand objects the largest are to be found."""
    found = ~still.ignored
    rows = np.flatnonzero(found)
    if len(rows) > _MOST_OBJECTS:
        sides = still.boxes[rows, 2:] - still.boxes[rows, :2]
        found[rows[np.argsort(-sides.prod(axis=1), kind="stable")[_MOST_OBJECTS:]]] = False
    return Target(
        boxes=torch.from_numpy(still.boxes[found]),
        classes=torch.from_numpy(still.classes[found]).long(),
        ignored=torch.from_numpy(still.boxes[~found]),
        weights=None if still.weights is None else torch.from_numpy(still.weights[found]),
    )


def _bounded(rgb: Image, label: LabelledImage, *, width: int, height: int) -> Still:
    source_height, source_width = rgb.shape[:2]
    box = letterbox(source_width, source_height, width, height)
    share = min(1.0, _SPARE_RESOLUTION * max(box.scale_x, box.scale_y))
    boxes = label.boxes
    if share < 1:
        size = (max(1, round(source_width * share)), max(1, round(source_height * share)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        scale = np.array([size[0] / source_width, size[1] / source_height] * 2)
        boxes = (boxes * scale).astype(np.float32)
    return Still(rgb, boxes, label.classes, label.crowd, label.scores)
