"""What a frame is worth: brightness, sharpness, motion, and which spans show nothing to learn from.

All scores are of luma at network size on the scale 0…255 of full range, so that they do not depend on the
camera's resolution or its coding of levels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image, Planes

STATIONARY, DARK, FROZEN = "stationary", "dark", "frozen"
TAGS = (STATIONARY, DARK, FROZEN)

TAG_SPAN_S = 1.0
"""A tag holds for a span of at least this long; shorter ones are part of what surrounds them."""

DARK_BELOW = 20.0
"""Mean level below which a picture is dark: a covered lens, a garage, not a lit road at night."""

STATIONARY_BELOW = 1.0
"""Motion below which the camera stands. An empty highway gives 2 and more, sensor noise less than 1."""

FROZEN_CHANGE = 1
"""Greatest change of any pixel between identical pictures, in levels: a codec rounds, a sensor does more."""

_SMALL = (40, 24)
_BLOCKS = (10, 6)
_MOTION_STEP_S = 0.2


@dataclass(frozen=True)
class FrameScores:
    """One frame's scores.

    Args:
        brightness: mean level.
        sharpness: variance of the Laplacian.
        motion: change of level over the last 0.2 s, or since the previous frame where that is longer ago: the
            upper quartile over a 10×6 grid of blocks of each block's mean absolute difference. The quartile
            keeps one passing car from looking like ego motion, and a plain sky from hiding it. NaN for the
            first frame.
        identical: whether nothing has changed since the previous frame.
    """

    brightness: float
    sharpness: float
    motion: float
    identical: bool


class Scorer:
    """Scores the frames of one file in order; remembers the last 0.2 s of them, very small."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, NDArray[np.float32]]] = deque()
        self._previous: Image | None = None

    def score(self, planes: Planes, *, time_s: float) -> FrameScores:
        """Score a picture at network scale; ``time_s`` is on the file's own clock."""
        gain, offset = (1.0, 0.0) if planes.full_range else (255 / 219, -16 * 255 / 219)
        # Halving is quick and the odd rest is not: in two steps it takes a third of the time.
        half = cv2.resize(planes.y, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        small = cv2.resize(half, _SMALL, interpolation=cv2.INTER_AREA) * np.float32(gain)
        small += np.float32(offset)
        motion = _upper_quartile(self._reference(time_s), small) if self._recent else float("nan")
        identical = _identical(self._previous, planes.y)
        self._recent.append((time_s, small))
        self._previous = planes.y
        return FrameScores(
            brightness=float(small.mean()),
            sharpness=_variance(cv2.Laplacian(planes.y, cv2.CV_16S)) * gain**2,
            motion=motion,
            identical=identical,
        )

    def _reference(self, time_s: float) -> NDArray[np.float32]:
        """The newest picture at least a motion step old; the oldest known where none is."""
        while len(self._recent) > 1 and self._recent[1][0] <= time_s - _MOTION_STEP_S + 1e-6:
            self._recent.popleft()
        return self._recent[0][1]


def frame_tags(scores: Sequence[FrameScores], times_s: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Each tag by frame, (T,) bool, for frames without a gap.

    A first frame, which has no predecessor here, goes with its successor. Repeated frames within a motion
    step are a recorder filling up its rate, and no frozen picture.
    """
    motion = np.array([s.motion for s in scores], dtype=np.float64)
    identical = np.array([s.identical for s in scores], dtype=bool)
    brightness = np.array([s.brightness for s in scores], dtype=np.float64)
    if len(scores) > 1:
        motion[0], identical[0] = motion[1], identical[1]
    frozen = _without_short_runs(identical, times_s, shortest_s=_MOTION_STEP_S)
    dark = brightness < DARK_BELOW
    # What the dark or a frozen picture hides may well be moving.
    return {STATIONARY: (motion < STATIONARY_BELOW) & ~frozen & ~dark, DARK: dark, FROZEN: frozen}


def steady(flags: NDArray[np.bool_], times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Flags by majority within half a second either side, then spans shorter than ``TAG_SPAN_S`` dropped.

    Args:
        flags: (T,) bool.
        times_s: (T,) float64, rising.
    """
    if not flags.any():
        return flags
    first = np.searchsorted(times_s, times_s - TAG_SPAN_S / 2 - 1e-6)
    last = np.searchsorted(times_s, times_s + TAG_SPAN_S / 2 + 1e-6)
    count = np.concatenate([[0], np.cumsum(flags)])
    held = 2 * (count[last] - count[first]) > last - first
    return _without_short_runs(held, times_s, shortest_s=TAG_SPAN_S)


def runs(values: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open index ranges over which a flag stays the same."""
    changes = (np.flatnonzero(values[1:] != values[:-1]) + 1).tolist()
    return list(zip([0, *changes], [*changes, len(values)], strict=True)) if len(values) else []


def _without_short_runs(
    flags: NDArray[np.bool_], times_s: NDArray[np.float64], *, shortest_s: float
) -> NDArray[np.bool_]:
    """Clear shorter spans. A frame lasts until the next; the last one as long as the one before it."""
    kept = flags.copy()
    ends_s = np.append(times_s[1:], 2 * times_s[-1] - times_s[-2]) if len(times_s) > 1 else times_s
    for start, stop in runs(flags):
        if flags[start] and ends_s[stop - 1] - times_s[start] < shortest_s - 1e-6:
            kept[start:stop] = False
    return kept


def _variance(levels: NDArray[Any]) -> float:
    """As cv2.meanStdDev squared, in a tenth of its time."""
    mean_square = float(cv2.norm(levels, cv2.NORM_L2)) ** 2 / levels.size
    return mean_square - (float(cv2.sumElems(levels)[0]) / levels.size) ** 2


def _identical(before: Image | None, after: Image) -> bool:
    if before is None or before.shape != after.shape:
        return False
    return int(cv2.absdiff(before, after).max()) <= FROZEN_CHANGE


def _upper_quartile(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    blocks = np.sort(cv2.resize(cv2.absdiff(before, after), _BLOCKS, interpolation=cv2.INTER_AREA), axis=None)
    return float(blocks[3 * blocks.size // 4])
