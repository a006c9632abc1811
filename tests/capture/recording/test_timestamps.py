"""Repair of time stamps: whatever comes, what goes out is in order, and known times are kept."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catseye.capture.recording.timestamps import JumpError, Stamps, TimestampRepair

MILLISECOND = Fraction(1, 1000)


def repaired(stamps: list[tuple[int | None, int | None]], *, duration: int | None = 40) -> list[Stamps]:
    repair = TimestampRepair(time_base=MILLISECOND, longest_step_s=2)
    return [repair.repair(pts=pts, dts=dts, duration=duration) for pts, dts in stamps]


def dts_of(stamps: list[Stamps]) -> list[int]:
    return [stamp.dts for stamp in stamps]


def test_sound_stamps_are_moved_to_nought_only() -> None:
    made = repaired([(980, 900), (1100, 940), (1020, 985), (1060, 1020)])
    assert [(stamp.pts, stamp.dts) for stamp in made] == [(80, 0), (200, 40), (120, 85), (160, 120)]


def test_repeated_stamp_moves_by_one() -> None:
    assert dts_of(repaired([(0, 0), (40, 40), (40, 40), (120, 120)])) == [0, 40, 41, 120]


def test_small_step_back_shifts_what_follows() -> None:
    made = dts_of(repaired([(0, 0), (40, 40), (-900, -900), (-860, -860)]))
    assert made == [0, 40, 80, 120]


def test_missing_stamps_follow_at_the_step() -> None:
    assert dts_of(repaired([(None, None), (50, 50), (None, None), (130, 130)])) == [0, 40, 80, 120]


def test_missing_dts_is_the_pts() -> None:
    made = repaired([(100, None), (140, None)])
    assert [(stamp.pts, stamp.dts) for stamp in made] == [(0, 0), (40, 40)]


def test_slow_camera_keeps_its_rate() -> None:
    assert dts_of(repaired([(0, 0), (1500, 1500), (None, None)], duration=None)) == [0, 1500, 3000]


@pytest.mark.parametrize(("to", "step_s"), [(2041, 2.001), (-1961, -2.001)])
def test_longer_step_is_a_jump_and_changes_nothing(to: int, step_s: float) -> None:
    repair = TimestampRepair(time_base=MILLISECOND, longest_step_s=2)
    for at in (0, 40):
        repair.repair(pts=at, dts=at, duration=40)
    with pytest.raises(JumpError, match=r"jumps by [+-]2\.0 s") as caught:
        repair.repair(pts=to, dts=to, duration=40)
    assert caught.value.step_s == pytest.approx(step_s)
    assert repair.repair(pts=80, dts=80, duration=40).dts == 80


def test_next_segment_starts_at_nought() -> None:
    repair = TimestampRepair(time_base=MILLISECOND, longest_step_s=2)
    repair.repair(pts=0, dts=0, duration=40)
    repair.restart()
    assert repair.repair(pts=9000, dts=9000, duration=40) == Stamps(pts=0, dts=0, duration=40)


@given(
    st.lists(st.tuples(st.none() | st.integers(-500, 500), st.none() | st.integers(-500, 500)), min_size=2),
    st.none() | st.integers(0, 100),
)
def test_whatever_comes_dts_rises_and_pts_is_not_before(
    stamps: list[tuple[int | None, int | None]], duration: int | None
) -> None:
    made = repaired(stamps, duration=duration)
    assert all(before.dts < after.dts for before, after in pairwise(made))
    assert all(stamp.pts >= stamp.dts >= 0 and stamp.duration > 0 for stamp in made)
