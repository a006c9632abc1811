"""The journal: what a crash leaves of it is read, and what comes after stands on lines of its own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from catseye.capture import journal
from catseye.capture.journal import Gap, Removed, SegmentClosed, Uploaded
from catseye.errors import InputError

START = datetime(2026, 5, 4, 3, 2, 1, 500_000, tzinfo=timezone.utc)


def segment(file: str, *, after_s: float = 0.0) -> SegmentClosed:
    return SegmentClosed(
        file=file,
        sha256="0" * 64,
        size_bytes=10,
        codec="h264",
        width=640,
        height=360,
        time_base=(1, 90_000),
        first_pts=90_000,
        last_pts=450_000,
        start_utc=START + timedelta(seconds=after_s),
        start_monotonic_ns=5,
        clock="rtcp",
        packets=100,
        dropped=0,
    )


def test_entries_come_back_as_written(tmp_path: Path) -> None:
    entries = [
        segment("a.mp4"),
        Gap(from_utc=START, to_utc=START + timedelta(seconds=3), reason="the camera was away"),
        Uploaded(file="a.mp4", sha256="0" * 64, at_utc=START, url="s3://bucket/a.mp4"),
        Removed(file="a.mp4", at_utc=START, reason="uploaded"),
    ]
    for entry in entries:
        journal.append(tmp_path, entry)
    assert journal.read(tmp_path) == entries


def test_no_journal_is_no_entry(tmp_path: Path) -> None:
    assert journal.read(tmp_path) == []


@pytest.mark.parametrize("kept", [1, 20, 100])
def test_a_torn_line_costs_itself_only(tmp_path: Path, kept: int) -> None:
    journal.append(tmp_path, segment("a.mp4"))
    journal.append(tmp_path, segment("b.mp4"))
    path = tmp_path / journal.JOURNAL_NAME
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:kept])
    journal.append(tmp_path, segment("c.mp4"))
    assert [entry.file for entry in journal.read(tmp_path) if isinstance(entry, SegmentClosed)] == [
        "a.mp4",
        "c.mp4",
    ]


def test_zeros_left_by_a_power_cut_are_passed_over(tmp_path: Path) -> None:
    journal.append(tmp_path, segment("a.mp4"))
    path = tmp_path / journal.JOURNAL_NAME
    path.write_bytes(path.read_bytes() + bytes(300))
    journal.append(tmp_path, segment("b.mp4"))
    assert list(journal.segments(journal.read(tmp_path))) == ["a.mp4", "b.mp4"]


def test_segments_are_those_still_there_oldest_first() -> None:
    entries = [
        segment("late.mp4", after_s=60),
        segment("early.mp4"),
        segment("gone.mp4", after_s=30),
        Removed(file="gone.mp4", at_utc=START, reason="room"),
    ]
    assert list(journal.segments(entries)) == ["early.mp4", "late.mp4"]


def test_duration_is_in_seconds() -> None:
    assert segment("a.mp4").duration_s == 4.0


def test_a_newer_major_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / journal.JOURNAL_NAME).write_text('{"event": "segment", "schema_version": "2.0"}\n')
    with pytest.raises(InputError, match=r"version 2\.0; upgrade"):
        journal.read(tmp_path)


def test_camera_folders_are_found_below_the_footage(tmp_path: Path) -> None:
    for name in ("car/front", "car/rear"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        journal.append(folder, segment("a.mp4"))
    (tmp_path / "other").mkdir()
    assert journal.camera_folders(tmp_path) == [tmp_path / "car/front", tmp_path / "car/rear"]
