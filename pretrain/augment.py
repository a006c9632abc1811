"""Labelled stills as network input: exactly as deployed, or varied for training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from catseye.capture.geometry import PAD_VALUE, Image, letterbox, rgb_to_network
from catseye.pretrain.detection_head import STRIDE

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in a picture's brightness, by ITU-R BT.601."""

_SMALLEST_BOX = 3.0
_LEAST_VISIBLE = 0.3
_GAMMA = 0.35
_CONTRAST = 0.2
_SATURATION = 0.4
_TINT = 0.08


@dataclass(frozen=True)
class Still:
    """A picture and what is in it.

    Args:
        rgb: (H, W, 3) uint8.
        boxes: (N, 4) float32 corners in the picture's pixels.
        classes: (N,) int32.
        ignored: (N,) bool, boxes that are neither to be found nor wrong to find.
        weights: (N,) float32 in [0, 1], how much finding each counts; None is 1 for all.
    """

    rgb: Image
    boxes: NDArray[np.float32]
    classes: NDArray[np.int32]
    ignored: NDArray[np.bool_]
    weights: NDArray[np.float32] | None = None


def fit(still: Still, *, width: int, height: int) -> Still:
    """Letterbox a still to the network's size, as at inference."""
    box = letterbox(still.rgb.shape[1], still.rgb.shape[0], width, height)
    boxes = box.boxes_to_network(still.boxes)
    return Still(rgb_to_network(still.rgb, box), boxes, still.classes, still.ignored, still.weights)


def vary(
    still: Still,
    rng: Generator,
    *,
    width: int,
    height: int,
    zoom: float,
    crop: tuple[int, int] | None = None,
) -> Still:
    """Zoom, shift, mirror and recolour a still into a network frame (height, width), or a crop of one.

    The picture is up to ``zoom`` times as large, or as small, as in the letterbox. Boxes that are mostly cut
    off, or too small to be seen, become ignored ones; what is left of the others is what is to be found.

    Args:
        crop: width and height of what is taken of the frame, by default all of it. A crop has one of the
            still's objects in it, as chance will have it, where there are any.
    """
    source_height, source_width = still.rgb.shape[:2]
    scale = min(width / source_width, height / source_height) * zoom ** rng.uniform(-1, 1)
    around: tuple[float | None, float | None] = (None, None)
    if crop is not None:
        width, height = crop
        wanted = still.boxes[~still.ignored]
        if len(wanted):
            box = wanted[rng.integers(len(wanted))]
            around = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    columns = _span(source_width, width, scale, rng, around=around[0])
    rows = _span(source_height, height, scale, rng, around=around[1])
    rgb = _paste(recolour(_cut(still.rgb, columns, rows), rng), columns, rows, width=width, height=height)
    scales, shifts = (np.array([getattr(columns, f), getattr(rows, f)] * 2) for f in ("scale", "shift"))
    moved = still.boxes * scales + shifts
    if rng.random() < 0.5:
        rgb = rgb[:, ::-1]
        moved = np.stack([width - moved[:, 2], moved[:, 1], width - moved[:, 0], moved[:, 3]], axis=1)
    clipped = np.clip(moved, 0, np.array([width, height] * 2))
    visible = _area(clipped) / _area(moved)
    small = (clipped[:, 2:] - clipped[:, :2]).min(axis=1, initial=np.inf) < _SMALLEST_BOX
    seen = visible > 0
    ignored = still.ignored | small | (visible < _LEAST_VISIBLE)
    # However far away, what is marked as neither object nor background must not become background.
    clipped[still.ignored] = _at_least(clipped[still.ignored], STRIDE)
    return Still(
        rgb=np.ascontiguousarray(rgb),
        boxes=clipped[seen].astype(np.float32),
        classes=still.classes[seen],
        ignored=ignored[seen],
        weights=None if still.weights is None else still.weights[seen],
    )


def recolour(rgb: Image, rng: Generator) -> Image:
    """Vary exposure, contrast, saturation and tint of a picture (H, W, 3) uint8."""
    gamma = np.exp(rng.uniform(-_GAMMA, _GAMMA))
    contrast = 1 + rng.uniform(-_CONTRAST, _CONTRAST)
    saturation = 1 + rng.uniform(-_SATURATION, _SATURATION)
    tint = 1 + rng.uniform(-_TINT, _TINT, 3)
    levels = np.arange(256) / 255
    curve = np.clip((levels**gamma - 0.5) * contrast + 0.5, 0, 1) * 255
    mixing = tint[:, None] * (saturation * np.eye(3) + (1 - saturation) * LUMA)
    return np.asarray(cv2.transform(cv2.LUT(rgb, curve.astype(np.uint8)), mixing), dtype=np.uint8)


class _Span(NamedTuple):
    """Along one axis, source pixels start…stop become ``size`` frame pixels from ``offset`` on."""

    start: int
    stop: int
    offset: int
    size: int

    @property
    def scale(self) -> float:
        return self.size / (self.stop - self.start)

    @property
    def shift(self) -> float:
        return self.offset - self.start * self.scale


def _span(source: int, room: int, scale: float, rng: Generator, *, around: float | None) -> _Span:
    """Choose what is seen of an axis: a part that fills the frame, or all of it somewhere in the frame.

    Args:
        around: a place on the axis that the part has to hold.
    """
    seen = min(source, math.ceil(room / scale))
    first, last = 0, source - seen
    if around is not None:
        first, last = max(first, math.ceil(around) - seen), min(last, math.floor(around))
    start = int(rng.integers(first, last + 1))
    size = max(1, round(seen * scale))
    return _Span(start, start + seen, int(rng.integers(max(0, room - size) + 1)), size)


def _cut(rgb: Image, columns: _Span, rows: _Span) -> Image:
    """The part of a picture that is seen, at its size in the frame."""
    shrinks = columns.scale <= 1 and rows.scale <= 1
    part = cv2.resize(
        rgb[rows.start : rows.stop, columns.start : columns.stop],
        (columns.size, rows.size),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    return np.asarray(part, dtype=np.uint8)


def _paste(part: Image, columns: _Span, rows: _Span, *, width: int, height: int) -> Image:
    """Put a part into a frame. It lands on whole pixels, so that nothing is resampled twice."""
    frame = np.full((height, width, 3), PAD_VALUE, dtype=np.uint8)
    part = part[: height - rows.offset, : width - columns.offset]
    frame[rows.offset : rows.offset + part.shape[0], columns.offset : columns.offset + part.shape[1]] = part
    return frame


def _at_least(boxes: NDArray[np.floating], side: float) -> NDArray[np.floating]:
    """Boxes (N, 4) about the same centres, no side shorter than ``side``: so they hold a cell's centre."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.maximum((boxes[:, 2:] - boxes[:, :2]) / 2, side / 2)
    return np.concatenate([centres - half, centres + half], axis=1)


def _area(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), dtype=np.float64)
