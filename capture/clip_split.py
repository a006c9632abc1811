"""Where one video's frames are cut into clips. Pure arithmetic on time stamps and scores.

Frames are cut, in this order:

1. where time jumps ahead by a gap, stands still or goes back, where the caller says (another frame size,
   another shard), and where another scene begins;
2. where a tag begins or ends, so that a stationary, dark, frozen, obstructed or damaged span is a clip of its
   own;
3. into equal parts, where a clip would be longer than the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from catseye.capture.quality import FrameScores, runs, scene_cuts, tag_spans

DEFAULT_GAP_S = 1.0
GAP_IN_FRAMES = 8


@dataclass(frozen=True)
class Span:
    """Frames ``start`` … ``stop`` - 1 of a video, and the tags that hold for them."""

    start: int
    stop: int
    tags: frozenset[str]


def frame_durations(pts: NDArray[np.int64], *, gap: float) -> NDArray[np.int64]:
    """How long each frame lasts, in the unit of ``pts``.

    Args:
        pts: (T,) int64.
        gap: a longer step, like one that is not ahead, says nothing of the frame before it, which gets the
            median.
    """
    steps = np.diff(pts)
    median = median_step(pts)
    return np.append(np.where((steps > 0) & (steps <= gap), steps, median), median)[: len(pts)].astype(
        np.int64
    )


def median_step(pts: NDArray[np.int64]) -> int:
    """The median of the steps ahead between frames, at least 1, in the unit of ``pts``."""
    ahead = np.diff(pts)
    ahead = ahead[ahead > 0]
    return max(1, int(np.median(ahead))) if len(ahead) else 1


def gap_length(pts: NDArray[np.int64], time_base: Fraction, *, gap_s: float | None) -> float:
    """The longest step, in the unit of ``pts``, over which a clip goes on.

    ``gap_s`` where given; else a second, or eight median steps where a camera is slower than that.
    """
    if gap_s is not None:
        return gap_s / float(time_base)
    return max(DEFAULT_GAP_S / float(time_base), GAP_IN_FRAMES * median_step(pts))


def split(
    pts: NDArray[np.int64],
    scores: Sequence[FrameScores],
    *,
    time_base: Fraction,
    gap: float,
    breaks: Sequence[int],
    max_clip_s: float,
) -> list[Span]:
    """Cut a video into spans that cover every frame once, in order.

    Args:
        pts: (T,) int64 in units of ``time_base``.
        scores: T of them.
        gap: the longest step within a clip, in the unit of ``pts``.
        breaks: frames that must begin a clip.
        max_clip_s: longest clip in seconds.
    """
    steps = np.diff(pts)
    jumps = np.flatnonzero((steps <= 0) | (steps > gap)) + 1
    cuts = sorted({0, *jumps.tolist(), *breaks, len(pts)})
    durations = frame_durations(pts, gap=gap)
    spans: list[Span] = []
    cuts = sorted({*cuts, *_scenes(pts, scores, cuts, time_base)})
    for start, stop in pairwise(cuts):
        times_s = (pts[start:stop] - pts[start]) * float(time_base)
        ends_s = times_s + durations[start:stop] * float(time_base)
        for low, high, tags in _tagged(scores[start:stop], times_s):
            for first, last in _equal_parts(times_s[low:high], ends_s[high - 1], max_clip_s):
                spans.append(Span(start + low + first, start + low + last, tags))
    return spans


def _scenes(
    pts: NDArray[np.int64], scores: Sequence[FrameScores], cuts: Sequence[int], time_base: Fraction
) -> list[int]:
    return [
        start + cut
        for start, stop in pairwise(cuts)
        for cut in scene_cuts(scores[start:stop], (pts[start:stop] - pts[start]) * float(time_base))
    ]


def _tagged(
    scores: Sequence[FrameScores], times_s: NDArray[np.float64]
) -> list[tuple[int, int, frozenset[str]]]:
    flags = tag_spans(scores, times_s)
    cuts = sorted({index for found in flags.values() for run in runs(found) for index in run})
    return [
        (start, stop, frozenset(tag for tag, found in flags.items() if found[start]))
        for start, stop in pairwise(cuts)
    ]


def _equal_parts(times_s: NDArray[np.float64], end_s: float, max_clip_s: float) -> list[tuple[int, int]]:
    """Half-open index ranges of the fewest parts of about the same duration that are not too long."""
    parts = max(1, ceil((end_s - times_s[0]) / max_clip_s - 1e-9))
    inner = times_s[0] + (end_s - times_s[0]) / parts * np.arange(1, parts)
    cuts = sorted({0, *np.searchsorted(times_s, inner - 1e-9).tolist(), len(times_s)})
    return list(pairwise(cuts))
