"""Drives from the recorder's journals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catseye.capture import journal
from catseye.capture.calibration import Calibration
from catseye.capture.drives import connected, drive_name, drive_starts, join_drives, recorded_files
from catseye.capture.ingest_file import set_aside
from catseye.capture.ingestion import ingest
from catseye.capture.manifest import Clip

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def segment(name: str, start: datetime, *, seconds: float = 60, **change: Any) -> journal.SegmentClosed:
    values: dict[str, Any] = {
        "file": name,
        "sha256": "0" * 64,
        "size_bytes": 1,
        "codec": "h264",
        "width": 160,
        "height": 96,
        "time_base": (1, 1000),
        "first_pts": 0,
        "last_pts": int(1000 * seconds),
        "start_utc": start,
        "start_monotonic_ns": None,
        "clock": "arrival",
        "packets": 1,
        "dropped": 0,
    }
    return journal.SegmentClosed(**{**values, **change})


def record(footage: Path, vehicle: str, camera: str, *segments: journal.SegmentClosed) -> Path:
    folder = footage / vehicle / camera
    folder.mkdir(parents=True, exist_ok=True)
    for entry in segments:
        journal.append(folder, entry)
    return folder


def test_a_drive_is_all_cameras_of_a_vehicle_up_to_ten_minutes_of_nothing(tmp_path: Path) -> None:
    front = record(
        tmp_path, "van", "front",
        segment("1.mp4", NOON),
        segment("2.mp4", NOON + 12 * MINUTE),  # 11 minutes after, but the rear camera recorded in between
        segment("3.mp4", NOON + 23 * MINUTE),  # 10 minutes after the end of the last: the same drive
        segment("4.mp4", NOON + 34 * MINUTE + timedelta(seconds=1)),
    )  # fmt: skip
    rear = record(tmp_path, "van", "rear", segment("1.mp4", NOON + 5 * MINUTE))
    record(tmp_path, "truck", "front", segment("1.mp4", NOON))
    found = recorded_files([front, rear, tmp_path / "truck/front", tmp_path / "no/journal"])
    assert {str(path.relative_to(tmp_path)): entry.drive for path, entry in found.items()} == {
        "van/front/1.mp4": "van-20260504T120000Z",
        "van/front/2.mp4": "van-20260504T120000Z",
        "van/front/3.mp4": "van-20260504T120000Z",
        "van/rear/1.mp4": "van-20260504T120000Z",
        "van/front/4.mp4": "van-20260504T123401Z",
        "truck/front/1.mp4": "truck-20260504T120000Z",
    }
    assert {(entry.vehicle, entry.camera) for entry in found.values()} == {
        ("van", "front"),
        ("van", "rear"),
        ("truck", "front"),
    }


def test_segments_that_are_gone_and_cameras_not_asked_for_still_count(tmp_path: Path) -> None:
    front = record(tmp_path, "van", "front", segment("1.mp4", NOON), segment("2.mp4", NOON + 8 * MINUTE))
    journal.append(front, journal.Removed(file="1.mp4", at_utc=NOON, reason="room"))
    record(tmp_path, "van", "rear", segment("1.mp4", NOON - 5 * MINUTE))
    assert recorded_files([front])[front / "2.mp4"].drive == "van-20260504T115500Z"


def test_a_name_is_of_utc_and_sorts_by_time() -> None:
    berlin = timezone(timedelta(hours=2))
    assert drive_name("van", datetime(2026, 5, 4, 14, tzinfo=berlin)) == "van-20260504T120000Z"


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 900)), min_size=1, max_size=30))
def test_drives_are_apart_by_more_than_the_gap_and_hold_together_within(spans: list[tuple[int, int]]) -> None:
    times = [(NOON + timedelta(seconds=a), NOON + timedelta(seconds=a + b)) for a, b in spans]
    starts = drive_starts(times)
    covered: dict[datetime, list[tuple[datetime, datetime]]] = {}
    for start, span in zip(starts, times, strict=True):
        covered.setdefault(start, []).append(span)
    ordered = sorted(covered.items())
    for start, members in ordered:
        assert start == min(first for first, _ in members)
        until = start
        for first, last in sorted(members):
            assert first - until <= timedelta(minutes=10)
            until = max(until, last)
    for (_, members), (later, _) in pairwise(ordered):
        assert later - max(last for _, last in members) > timedelta(minutes=10)


def row(vehicle: str, drive: str, start: datetime | None, *, seconds: int = 60) -> Clip:
    empty = set_aside("/x.mp4", "ab" * 32, "short", "is short")
    return dataclasses.replace(
        empty,
        vehicle=vehicle,
        drive=drive,
        start_time=start,
        pts=np.array([0, seconds - 1]),
        durations=np.array([seconds - 1, 1]),
    )


def test_names_that_came_from_parts_of_the_journals_are_joined() -> None:
    rows = [
        row("van", "van-20260504T120000Z", NOON),
        row("van", "van-20260504T120100Z", NOON + 3 * MINUTE),
        row("van", "van-20260504T120100Z", NOON + 30 * MINUTE),  # its journal knew what lay in between
        row("van", "van-20260504T130000Z", NOON + 60 * MINUTE),
        row("truck", "truck-20260504T120000Z", NOON),
        row("van", "given by hand", NOON),
        row("", "file-12345678", None),
    ]
    assert [clip.drive for clip in join_drives(rows)] == [
        *["van-20260504T120000Z"] * 3,
        "van-20260504T130000Z",
        "truck-20260504T120000Z",
        "given by hand",
        "file-12345678",
    ]


def test_what_is_connected_has_one_name() -> None:
    assert connected([("c", "b"), ("e", "d"), ("b", "a"), ("f", "f")]) == {
        "a": "a", "b": "a", "c": "a", "d": "d", "e": "d", "f": "f",
    }  # fmt: skip
    assert connected([]) == {}


K = ((120.0, 0.0, 80.0), (0.0, 120.0, 48.0), (0.0, 0.0, 1.0))


@pytest.fixture
def footage(tmp_path: Path, drive: Callable[..., Path]) -> Path:
    """A van with two cameras, and a later drive of one of them; the front camera's calibration is there."""
    calibration = Calibration(camera="left as it is", width=160, height=96, K=K)
    for seed, (camera, name, minutes) in enumerate(
        [("front", "1", 0), ("rear", "1", 0), ("front", "2", 1), ("front", "3", 60)]
    ):
        start = NOON + minutes * MINUTE
        calibrated = calibration.content_hash if camera == "front" else "cd" * 32
        folder = record(
            tmp_path / "footage",
            "van",
            camera,
            segment(f"{name}.mp4", start, seconds=3, calibration=calibrated),
        )
        drive(f"footage/van/{camera}/{name}.mp4", seed=seed, pts=range(500, 3500, 40))
        calibration.save(folder / "calibration.json")
    (tmp_path / "footage/van/front/1.proxy.mp4").write_bytes(b"small")
    return tmp_path / "footage"


def test_recorded_footage_brings_its_vehicle_camera_time_and_calibration(
    footage: Path, tmp_path: Path
) -> None:
    dataset = ingest([footage], tmp_path / "dataset", width=160, height=96, jobs=1)
    found = {"/".join(Path(clip.source).parts[-2:]): clip for clip in dataset.clips}
    assert sorted(found) == ["front/1.mp4", "front/2.mp4", "front/3.mp4", "rear/1.mp4"]
    first, rear, later = found["front/1.mp4"], found["rear/1.mp4"], found["front/3.mp4"]
    assert (first.vehicle, first.camera, first.drive) == ("van", "front", "van-20260504T120000Z")
    assert rear.drive == first.drive == found["front/2.mp4"].drive and rear.split == first.split
    assert later.drive == "van-20260504T130000Z"
    assert first.start_time == NOON and later.start_time == NOON + 60 * MINUTE
    assert first.intrinsics is not None and len(first.calibration_hash) == 64
    assert rear.intrinsics is None and rear.calibration_hash == "cd" * 32


def test_the_time_of_a_later_clip_of_a_file_goes_on_from_the_journals(
    tmp_path: Path, drive: Callable[..., Path]
) -> None:
    record(tmp_path, "van", "front", segment("a.mp4", NOON))
    path = drive("van/front/a.mp4", pts=[*range(500, 2500, 40), *range(6500, 8500, 40)])
    one, other = ingest([path], tmp_path / "dataset", width=160, height=96, jobs=1).clips
    assert one.start_time == NOON and other.start_time == NOON + timedelta(seconds=6)


def test_in_turns_or_at_once_drives_are_the_same(footage: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"width": 160, "height": 96, "jobs": 1}
    at_once = ingest([footage], tmp_path / "at-once", **options)
    ingest([footage / "van/front/2.mp4"], tmp_path / "in-turns", **options)
    in_turns = ingest([footage], tmp_path / "in-turns", **options)
    assert in_turns.fingerprint == at_once.fingerprint
    assert [clip.drive for clip in in_turns.clips] == [clip.drive for clip in at_once.clips]


def test_cameras_that_come_one_by_one_without_the_others_journals_make_one_drive(
    tmp_path: Path, drive: Callable[..., Path]
) -> None:
    for seed, (place, camera, minutes) in enumerate((("disk", "rear", 1), ("cloud", "front", 0))):
        record(tmp_path / place, "van", camera, segment("1.mp4", NOON + minutes * MINUTE, seconds=3))
        drive(f"{place}/van/{camera}/1.mp4", seed=seed)
    options: dict[str, Any] = {"width": 160, "height": 96, "jobs": 1}
    (alone,) = ingest([tmp_path / "disk"], tmp_path / "dataset", **options).clips
    assert alone.drive == "van-20260504T120100Z"
    both = ingest([tmp_path / "cloud"], tmp_path / "dataset", **options).clips
    assert [clip.drive for clip in both] == ["van-20260504T120000Z"] * 2
    assert len({clip.split for clip in both}) == 1


def test_a_drive_named_on_the_command_line_counts_more(footage: Path, tmp_path: Path) -> None:
    dataset = ingest(
        [footage], tmp_path / "dataset", width=160, height=96, jobs=1, drive_from=r"/(front|rear)/"
    )
    assert {clip.drive for clip in dataset.clips} == {"front", "rear"}
