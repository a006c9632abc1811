"""Frames and results for what draws them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from catseye.capture.geometry import Planes
from catseye.runtime.distance import Distances
from catseye.runtime.results import FrameResult
from catseye.runtime.tracker import Tracks


def grey(width: int = 320, height: int = 192, *, level: int = 90, full_range: bool = False) -> Planes:
    half = ((height + 1) // 2, (width + 1) // 2)
    chroma = np.full(half, 128, np.uint8)
    return Planes(np.full((height, width), level, np.uint8), chroma, chroma.copy(), full_range=full_range)


def result(boxes: list[list[float]], ids: list[int], pts: int = 0, metres: float = np.nan) -> FrameResult:
    count = len(ids)
    tracks = Tracks(
        ids=np.array(ids, np.int64),
        boxes_xyxy=np.array(boxes, np.float32).reshape(count, 4),
        scores=np.full(count, 0.9, np.float32),
        classes=np.zeros(count, np.int32),
        detection_index=np.arange(count, dtype=np.int32),
        ages_s=np.zeros(count, np.float32),
    )
    unknown = np.full(count, np.nan, np.float32)
    return FrameResult(
        stream="s",
        frame=pts,
        pts=pts,
        time_base=Fraction(1, 25),
        width=320,
        height=192,
        output_age_s=0.0,
        classes=("car",),
        tracks=tracks,
        distances=Distances(unknown, np.full(count, metres, np.float32), unknown),
    )
