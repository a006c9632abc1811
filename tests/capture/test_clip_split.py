"""Where a video is cut."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catseye.capture.clip_split import Span, frame_durations, gap_length, median_step, split
from catseye.capture.quality import DARK, FROZEN, STATIONARY, FrameScores

MS = Fraction(1, 1000)
GOOD = FrameScores(brightness=100, sharpness=100, motion=10, identical=False)
BLACK = FrameScores(brightness=3, sharpness=1, motion=10, identical=False)
STILL = FrameScores(brightness=100, sharpness=100, motion=0.1, identical=False)
SAME = FrameScores(brightness=100, sharpness=100, motion=0.0, identical=True)


def cut(pts: list[int], scores: list[FrameScores] | None = None, **options: Any) -> list[tuple[int, int]]:
    return [(span.start, span.stop) for span in spans(pts, scores, **options)]


def spans(
    pts: list[int],
    scores: list[FrameScores] | None = None,
    *,
    gap_s: float | None = None,
    breaks: list[int] | None = None,
    max_clip_s: float = 1000,
) -> list[Span]:
    array = np.array(pts, dtype=np.int64)
    return split(
        array,
        scores or [GOOD] * len(pts),
        time_base=MS,
        gap=gap_length(array, MS, gap_s=gap_s),
        breaks=breaks or [],
        max_clip_s=max_clip_s,
    )


def test_a_gap_is_a_second_or_eight_frames_or_what_is_given() -> None:
    assert len(cut([*range(0, 2000, 40), *range(2960, 5000, 40)])) == 1
    assert len(cut([*range(0, 2000, 40), *range(2961, 5000, 40)])) == 2
    assert len(cut([*range(0, 2000, 40), *range(2300, 4000, 40)], gap_s=0.2)) == 2
    slow = [*range(0, 20_000, 500), *range(23_000, 40_000, 500)]
    assert len(cut(slow)) == 1
    assert len(cut([*range(0, 20_000, 500), *range(23_600, 40_000, 500)])) == 2


def test_time_that_stands_still_or_goes_back_ends_a_clip() -> None:
    assert cut([0, 40, 80, 80, 120]) == [(0, 3), (3, 5)]
    assert cut([5000, 5040, 5080, 0, 40]) == [(0, 3), (3, 5)]


def test_long_clips_are_cut_into_equal_parts() -> None:
    assert cut(list(range(0, 10_040, 40)), max_clip_s=10) == [(0, 126), (126, 251)]
    assert cut(list(range(0, 10_000, 40)), max_clip_s=10) == [(0, 250)]
    assert cut(list(range(0, 30_000, 40)), max_clip_s=10) == [(0, 250), (250, 500), (500, 750)]


def test_variable_rates_are_cut_by_time_and_not_by_count() -> None:
    pts = [*range(0, 6000, 20), *range(6000, 12_001, 200)]
    assert cut(pts, max_clip_s=6.1) == [(0, 301), (301, 331)]


def test_breaks_are_kept() -> None:
    assert cut(list(range(0, 4000, 40)), breaks=[30]) == [(0, 30), (30, 100)]


@pytest.mark.parametrize(("scores", "tag"), [(BLACK, DARK), (STILL, STATIONARY), (SAME, FROZEN)])
def test_a_tagged_span_is_a_clip_of_its_own(scores: FrameScores, tag: str) -> None:
    found = spans(list(range(0, 6000, 40)), [GOOD] * 50 + [scores] * 50 + [GOOD] * 50)
    assert [(span.start, span.stop) for span in found] == [(0, 50), (50, 100), (100, 150)]
    assert [span.tags for span in found] == [frozenset(), {tag}, frozenset()]


def test_tags_may_overlap() -> None:
    both = FrameScores(brightness=3, sharpness=0, motion=0.0, identical=True)
    found = spans(list(range(0, 6000, 40)), [BLACK] * 50 + [both] * 50 + [SAME] * 50)
    assert [set(span.tags) for span in found] == [{DARK}, {DARK, FROZEN}, {FROZEN}]


def test_the_first_frame_after_a_gap_goes_with_its_successor() -> None:
    jump = FrameScores(brightness=100, sharpness=100, motion=80, identical=False)
    pts = [*range(0, 2000, 40), *range(9000, 11_000, 40)]
    found = spans(pts, [GOOD] * 50 + [jump] + [SAME] * 49)
    assert [(span.start, span.stop, set(span.tags)) for span in found] == [
        (0, 50, set()),
        (50, 100, {FROZEN}),
    ]


def test_a_frame_lasts_until_the_next_and_the_median_before_a_gap() -> None:
    pts = np.array([0, 40, 70, 110, 5000, 5040])
    np.testing.assert_array_equal(frame_durations(pts, gap=1000), [40, 30, 40, 40, 40, 40])
    np.testing.assert_array_equal(frame_durations(np.array([7]), gap=1000), [1])
    assert median_step(np.array([5, 5, 5])) == 1


@given(
    steps=st.lists(st.integers(-50, 3000), min_size=0, max_size=80),
    kinds=st.lists(st.sampled_from([GOOD, BLACK, STILL, SAME]), min_size=81, max_size=81),
    max_clip_s=st.floats(2, 20),
)
def test_every_frame_is_in_one_clip_and_time_rises_in_each(
    steps: list[int], kinds: list[FrameScores], max_clip_s: float
) -> None:
    pts = np.concatenate([[1000], 1000 + np.cumsum(steps)]).astype(np.int64)
    gap = gap_length(pts, MS, gap_s=None)
    found = split(pts, kinds[: len(pts)], time_base=MS, gap=gap, breaks=[], max_clip_s=max_clip_s)
    assert [span.start for span in found] == [0, *(span.stop for span in found[:-1])]
    assert found[-1].stop == len(pts)
    for span in found:
        inside = np.diff(pts[span.start : span.stop])
        assert ((inside > 0) & (inside <= gap)).all()
        assert (pts[span.stop - 1] - pts[span.start]) / 1000 <= max_clip_s
