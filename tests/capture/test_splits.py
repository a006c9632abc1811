"""Which drives go where."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from catseye.capture.splits import TEST, TRAIN, VALIDATION, assign_splits

NAMES = [f"drive-{i}" for i in range(400)]


def assign(drives: list[str], *, held_out: set[str] | None = None, fraction: float = 0.1) -> dict[str, str]:
    return assign_splits(drives, held_out=held_out or set(), usable=set(drives), validation_fraction=fraction)


def test_about_the_fraction_is_for_validation_and_more_footage_moves_nothing() -> None:
    many = assign(NAMES)
    assert 20 <= sum(split == VALIDATION for split in many.values()) <= 60
    more = assign([*NAMES, *(f"later-{i}" for i in range(100))])
    assert {drive: more[drive] for drive in NAMES} == many


def test_no_fraction_is_no_validation() -> None:
    assert set(assign(NAMES[:9], fraction=0).values()) == {TRAIN}


def test_a_single_drive_is_not_torn() -> None:
    assert [assign([name], fraction=0.9)[name] for name in NAMES[:20]] == [TRAIN] * 20


def test_a_drive_without_a_usable_clip_is_no_validation_set() -> None:
    for fraction in (0.05, 0.9):
        splits = assign_splits(NAMES[:3], held_out=set(), usable=set(NAMES[:2]), validation_fraction=fraction)
        assert {splits[NAMES[0]], splits[NAMES[1]]} == {TRAIN, VALIDATION}


@given(
    drives=st.lists(st.text(min_size=1), min_size=2, unique=True),
    fraction=st.floats(0.01, 0.99),
    held_out=st.integers(0, 3),
)
def test_each_side_has_a_drive_and_what_is_held_out_is_test(
    drives: list[str], fraction: float, held_out: int
) -> None:
    kept_out = set(drives[:held_out])
    splits = assign(drives, held_out=kept_out, fraction=fraction)
    assert {drive for drive, split in splits.items() if split == TEST} == kept_out
    assert splits == assign(drives[::-1], held_out=kept_out, fraction=fraction)
    rest = [splits[drive] for drive in drives if drive not in kept_out]
    assert set(rest) == ({TRAIN, VALIDATION} if len(rest) > 1 else {TRAIN} if rest else set())
