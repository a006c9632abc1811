"""Frames with what was seen in them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Planes
from catseye.capture.sources import Frame
from catseye.runtime.distance import Distances
from catseye.runtime.results import FrameResult
from catseye.runtime.tracker import Tracks

WIDTH, HEIGHT = 320, 192
STARTED_NS = 1_764_000_000_000_000_000
CAMERA = Calibration(width=640, height=384, K=((600, 0, 320), (0, 600, 192), (0, 0, 1)))


def a_frame(number: int, *, width: int = WIDTH, height: int = HEIGHT, noise: bool = False) -> Frame:
    """Grey with a bright lamp, or all noise, 25 a second."""
    luma = np.full((height, width), 40, np.uint8)
    if noise:
        luma = np.random.default_rng(number).integers(0, 256, luma.shape, dtype=np.uint8)
    luma[40:80, 100:160] = 250
    chroma = np.full((height // 2, width // 2), 128, np.uint8)
    return Frame(
        index=number,
        pts=40 * number,
        time_base=Fraction(1, 1000),
        planes=Planes(luma, chroma, chroma, full_range=True),
        key=number == 0,
    )


def a_result(number: int, *, stream: str = "front", live: bool = False) -> FrameResult:
    """A car 30 m away, and a truck nobody knows how far."""
    metres = np.array([30.0, np.nan], np.float32)
    return FrameResult(
        stream=stream,
        frame=number,
        pts=40 * number,
        time_base=Fraction(1, 1000),
        width=WIDTH,
        height=HEIGHT,
        output_age_s=0.01,
        classes=("car", "truck"),
        tracks=Tracks(
            ids=np.array([3, 8]),
            boxes_xyxy=np.array([[100, 40, 160, 80], [200.126, 0, 320, 60]], np.float32),
            scores=np.array([0.91, 0.5], np.float32),
            classes=np.array([0, 1], np.int32),
            detection_index=np.array([0, 1], np.int32),
            ages_s=np.array([0.4, 0.0], np.float32),
        ),
        distances=Distances(relative=metres / 2, metres=metres, sigma_m=metres / 10),
        captured_utc_ns=STARTED_NS + 40_000_000 * number if live else None,
        clock="rtcp" if live else "file",
    )


def crowded(result: FrameResult, tracks: int) -> FrameResult:
    """The same with so many tracks."""
    rows = np.zeros(tracks, np.int64)
    seen, far = result.tracks, result.distances
    return replace(
        result,
        tracks=replace(
            seen,
            ids=np.arange(1, tracks + 1),
            boxes_xyxy=seen.boxes_xyxy[rows],
            scores=seen.scores[rows],
            classes=seen.classes[rows],
            detection_index=seen.detection_index[rows],
            ages_s=seen.ages_s[rows],
        ),
        distances=Distances(far.relative[rows], far.metres[rows], far.sigma_m[rows]),
    )
