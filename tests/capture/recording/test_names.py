"""Names of segments: unique, in order, and fit for any file system."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from catseye.capture import journal
from catseye.capture.recording.names import SegmentNames, stem_of

AT = datetime(2026, 5, 4, 3, 2, 1, 500_000, tzinfo=timezone.utc)
AT_NS = round(AT.timestamp() * 1e3) * 10**6


def test_name_is_the_time_to_the_millisecond(tmp_path: Path) -> None:
    assert SegmentNames(tmp_path).next(AT_NS + 999_999) == "20260504T030201.500Z"


def test_names_rise_though_the_clock_falls(tmp_path: Path) -> None:
    names = SegmentNames(tmp_path)
    made = [names.next(AT_NS + shift * 10**9) for shift in (0, 0, -3600, 1)]
    assert made == [
        "20260504T030201.500Z",
        "20260504T030201.501Z",
        "20260504T030201.502Z",
        "20260504T030202.500Z",
    ]


@pytest.mark.parametrize("suffix", [".mp4", ".mp4.part", ".ts", ".mp4.bad", ".proxy.mp4"])
def test_names_follow_what_is_in_the_folder(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"20260504T030201.500Z{suffix}").touch()
    assert SegmentNames(tmp_path).next(AT_NS) == "20260504T030201.501Z"


def test_names_of_what_is_gone_are_not_given_again(tmp_path: Path) -> None:
    line = journal.SegmentClosed(
        file="20260504T030201.500Z.mp4", sha256="0" * 64, size_bytes=1, codec="h264", width=2, height=2,
        time_base=(1, 1000), first_pts=0, last_pts=1, start_utc=AT, start_monotonic_ns=None, clock="rtcp",
        packets=2, dropped=0,
    )  # fmt: skip
    journal.append(tmp_path, line)
    assert SegmentNames(tmp_path).next(AT_NS) == "20260504T030201.501Z"


@pytest.mark.parametrize("name", ["journal.jsonl", "20260504.mp4", "a20260504T030201.500Z.mp4"])
def test_other_names_have_no_stem(name: str) -> None:
    assert stem_of(name) is None
