"""What a run's network makes of single frames: features to compare them by, and what it doubts in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from catseye.capture.geometry import Image, letterbox, rgb_to_network
from catseye.pretrain.checkpoint import fitting, load_checkpoint, submodule_state
from catseye.pretrain.detection_head import HeadOutputs
from catseye.pretrain.detector import Detector, load_detector
from catseye.pretrain.doubt import Doubt, best_cells, doubt_of, mirror
from catseye.pretrain.encoder import Encoder, to_rgb

T = TypeVar("T")

_LEVELS = (1, 2)
"""The encoder's maps that are pooled: strides 8 and 16, in which a distant vehicle still has cells."""

_TOP = 0.02
"""Share of a map's cells that its strongest answers are taken of: what a few small vehicles fill."""

_BATCH = 4
_VIEW = (40, 24)
_EPSILON = 1e-6

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Eye:
    """A run's network in evaluation mode on the CPU, at the size that it was taught at.

    Args:
        encoder: of the run.
        detector: the same encoder's, of a fine-tuning run; None for a pretraining run.
        width, height: network size in pixels.
    """

    encoder: Encoder
    detector: Detector | None
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Looks:
    """What is known of N pictures by looking at them.

    Args:
        pooled: (N, D) features as they are pooled, see ``standardised``.
        views: (N, P) unit-length thumbnails in grey; the product of two is their correlation.
        levels: (N,) mean grey level, 0 … 255.
        doubts: N of them with a detector, otherwise none.
    """

    pooled: Floats
    views: Floats
    levels: Floats
    doubts: tuple[Doubt, ...]

    def __len__(self) -> int:
        return len(self.pooled)


def load_eye(run: str | Path) -> Eye:
    """The network of a finished run of either kind.

    Raises:
        InputError: the folder is no finished run, or its weights do not fit.
    """
    info, state = load_checkpoint(run)
    if info.kind == "finetune":
        detector, _ = load_detector(run)
        return Eye(detector.encoder, detector, info.width, info.height)
    encoder = Encoder(info.encoder)
    with fitting(run, remedy="pretrain again"):
        encoder.load_state_dict(submodule_state(state, "encoder"))
    return Eye(encoder.eval(), None, info.width, info.height)


@torch.no_grad()
def look_at(eye: Eye, pictures: Iterable[Image]) -> Looks:
    """Look at RGB pictures (h, w, 3) uint8 of any sizes, a few at a time."""
    pooled: list[Floats] = []
    views: list[Floats] = []
    levels: list[float] = []
    doubts: list[Doubt] = []
    for group in _grouped(pictures, _BATCH):
        frames = np.stack([_to_network(picture, eye) for picture in group])
        rgb = to_rgb(frames)
        maps = eye.encoder(rgb)
        head = None
        if eye.detector is not None:
            head = eye.detector.head(eye.detector.neck(maps))
            doubts += _doubts(eye, rgb, head)
        pooled += list(_pool(maps, head).numpy())
        for picture in group:
            view, level = _view(picture)
            views.append(view)
            levels.append(level)
    return Looks(
        pooled=np.stack(pooled) if pooled else np.zeros((0, 1), dtype=np.float32),
        views=np.stack(views) if views else np.zeros((0, _VIEW[0] * _VIEW[1]), dtype=np.float32),
        levels=np.array(levels, dtype=np.float32),
        doubts=tuple(doubts),
    )


def standardised(looks: Looks, *, by: Looks) -> Floats:
    """Pooled features (N, D) of unit length, after each has been centred and scaled as it varies over ``by``.

    So the product of two is 0 where they have no more in common than any two of ``by``.
    """
    spread = by.pooled.std(axis=0)
    # A feature that hardly varies is numerical noise, and scaling would make it count like any other.
    scale = np.where(spread > _EPSILON, spread, np.inf)
    centred = (looks.pooled - by.pooled.mean(axis=0)) / scale
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(length, _EPSILON), dtype=np.float32)


def _pool(maps: Sequence[Tensor], head: HeadOutputs | None) -> Tensor:
    """Maps (B, C, h, w) as one row each, (B, D): the mean of every channel, which is the scene; the mean of
    its strongest answers, to which a small vehicle adds as much as a large one; and with a detector the mean
    over the cells in which it sees something, which is what the vehicles look like."""
    parts = []
    for level in _LEVELS:
        cells = maps[level].flatten(2).float()
        few = max(1, round(_TOP * cells.shape[2]))
        parts += [cells.mean(dim=2), cells.topk(few, dim=2).values.mean(dim=2)]
        if head is not None:
            scores = torch.sigmoid(head.many_logits.float()).amax(dim=1, keepdim=True)
            weights = F.adaptive_max_pool2d(scores, maps[level].shape[-2:]).flatten(2)
            parts.append((cells * weights).sum(dim=2) / weights.sum(dim=2).clamp(min=1.0))
    return torch.cat(parts, dim=1)


def _doubts(eye: Eye, rgb: Tensor, head: HeadOutputs) -> Iterator[Doubt]:
    assert eye.detector is not None
    turned = eye.detector.head(eye.detector.neck(eye.encoder(rgb.flip(3))))
    one = best_cells(head.one_logits, head.boxes)
    many = best_cells(head.many_logits, head.boxes, suppress=True)
    mirrored = best_cells(turned.one_logits, turned.boxes)
    for here, there, other in zip(one, many, mirrored, strict=True):
        yield doubt_of(here, there, mirror(other, width=eye.width))


def _to_network(picture: Image, eye: Eye) -> Image:
    box = letterbox(picture.shape[1], picture.shape[0], eye.width, eye.height)
    return rgb_to_network(picture, box)


def _view(picture: Image) -> tuple[Floats, float]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, _VIEW, interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    level = float(small.mean())
    centred = small - level
    return centred / max(float(np.linalg.norm(centred)), _EPSILON), level


def _grouped(items: Iterable[T], size: int) -> Iterator[list[T]]:
    items = iter(items)
    while group := list(islice(items, size)):
        yield group
