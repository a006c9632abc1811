"""From packets to footage: nothing is lost unsaid, whatever the stream, the clock or the disk does."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from recording_footage import (
    START_UTC_NS,
    STEP,
    FakeClock,
    Footage,
    decoded_frames,
    live_packets,
    packets_in,
)

from catseye.capture.journal import ClockStepped, SegmentClosed
from catseye.capture.recording.footage_writer import CurrentStem
from catseye.capture.recording.options import RecordOptions
from catseye.capture.recording.packet_queue import Dropped, Lost

MakeFootage = Callable[..., Footage]


def utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(START_UTC_NS // 10**9, timezone.utc) + timedelta(seconds=seconds)


@pytest.mark.parametrize("container", ["mp4", "ts"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_every_packet_is_in_the_file_and_the_line_says_what_is(
    footage: MakeFootage, container: str, b_frames: int
) -> None:
    made = footage(options=RecordOptions(container=container), calibration="abc")  # type: ignore[arg-type]  # as a test names it
    packets = live_packets(40, b_frames=b_frames)
    made.connect()
    made.take(packets)
    made.writer.finish()
    (line,) = made.segments
    path = made.folder / line.file
    found = list(packets_in(path))
    assert [p.pts - found[0].pts for p in found] == [
        p.packet.pts - packets[0].packet.pts for p in packets
    ]  # 90 kHz in both
    assert (line.first_pts, line.last_pts) == (found[0].pts, max(p.pts for p in found))
    assert decoded_frames(path) == line.packets == 40
    assert line.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (line.size_bytes, line.codec, line.width, line.height) == (path.stat().st_size, "h264", 96, 64)
    # A P-frame that comes before its B-frames tells that the first frame was captured as much earlier.
    assert (line.start_utc, line.clock, line.calibration) == (utc(-0.04 * b_frames), "arrival", "abc")
    assert line.start_monotonic_ns == packets[0].monotonic_ns and line.boot_id
    assert not list(made.folder.glob("*.part")) and not made.gaps


def test_footage_that_states_when_it_began(footage: MakeFootage) -> None:
    from catseye.capture.sources import VideoFile

    made = footage()
    made.connect()
    made.take(live_packets(5))
    made.writer.finish()
    with VideoFile(made.folder / made.segments[0].file) as video:
        assert video.info.created == utc(0)


def test_segments_are_cut_at_the_first_key_frame_after_a_multiple_of_their_length(
    footage: MakeFootage,
) -> None:
    made = footage(options=RecordOptions(segment_s=2))
    made.connect()
    made.take(live_packets(100, gop=15))  # 4 s from an even second on; a key frame each 0.6 s
    made.writer.finish()
    starts = [(line.start_utc - utc(0)).total_seconds() for line in made.segments]
    assert starts == pytest.approx([0.0, 2.4])
    assert sum(line.packets for line in made.segments) == 100 and not made.gaps


def test_stream_without_a_key_frame_is_not_begun(footage: MakeFootage) -> None:
    made = footage()
    made.connect()
    made.take(live_packets(30, gop=10)[3:])
    made.writer.finish()
    (line,) = made.segments
    assert (line.packets, line.dropped, made.status.snapshot().dropped) == (20, 7, 7)


def test_motion_jpeg_is_copied(footage: MakeFootage) -> None:
    made = footage()
    made.connect("mjpeg")
    made.take(live_packets(5, codec="mjpeg"))
    made.take(live_packets(5, codec="mjpeg", at_s=0.2, size=(64, 48)))
    made.writer.finish()
    assert [(line.codec, line.packets, line.width) for line in made.segments] == [
        ("mjpeg", 5, 96),
        ("mjpeg", 5, 64),
    ]
    assert all(decoded_frames(made.folder / line.file) == 5 for line in made.segments)


def test_another_size_begins_a_segment_and_loses_nothing(footage: MakeFootage) -> None:
    made = footage()
    made.connect()
    made.take(live_packets(20))
    made.take(live_packets(20, at_s=0.8, size=(64, 48)))
    made.writer.finish()
    assert [(line.width, line.height, line.packets) for line in made.segments] == [(96, 64, 20), (64, 48, 20)]
    assert [decoded_frames(made.folder / line.file) for line in made.segments] == [20, 20]
    assert not made.gaps


def test_repeated_and_missing_stamps_are_repaired(footage: MakeFootage) -> None:
    packets = live_packets(30)
    packets[0].packet.pts = packets[0].packet.dts = None  # as RTSP begins
    packets[7].packet.dts = packets[7].packet.pts = packets[6].packet.dts
    packets[12].packet.pts = packets[12].packet.dts = None
    packets[20].packet.dts = packets[20].packet.pts = packets[20].packet.pts - STEP - 5
    made = footage()
    made.connect()
    made.take(packets)
    made.writer.finish()
    (line,) = made.segments
    found = [packet.dts for packet in packets_in(made.folder / line.file)]
    assert line.packets == 30 and all(a < b for a, b in pairwise(found))
    expected = [number * STEP for number in range(30)]
    expected[7], expected[20] = expected[6] + 1, expected[19] + 1
    assert found == expected
    assert not made.gaps


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_time_that_jumps_begins_a_segment_and_is_noted(footage: MakeFootage, jump_s: float) -> None:
    made = footage()
    made.connect()
    made.take(live_packets(20))
    made.take(live_packets(20, at_s=0.8, pts_offset=int((0.8 + jump_s) * 90_000)))
    made.writer.finish()
    assert [line.packets for line in made.segments] == [20, 20]
    assert [line.first_pts for line in made.segments] == [0, 0]
    (gap,) = made.gaps
    assert gap.reason == f"the stream's time jumps by {jump_s:+.1f} s"
    assert (gap.to_utc - gap.from_utc).total_seconds() == pytest.approx(0.04, abs=1e-6)


def test_stall_is_told_from_a_jump(footage: MakeFootage) -> None:
    made = footage()
    made.connect()
    made.take(live_packets(20))
    made.take(live_packets(20, at_s=10))
    made.writer.finish()
    (gap,) = made.gaps
    assert gap.reason == "no packet for 9.2 s"
    assert (gap.from_utc, gap.to_utc) == (utc(0.76), utc(10))
    assert made.status.snapshot().gap_s == pytest.approx(9.24)


def test_lost_connection_is_a_gap_that_ends_with_the_next_key_frame(footage: MakeFootage) -> None:
    made = footage()
    made.connect()
    made.take(live_packets(25))
    made.take([Lost("broke off"), Lost("did not answer within 10 s")])
    made.connect()
    made.take(live_packets(25, at_s=30, pts_offset=0)[5:])
    made.writer.finish()
    assert [(line.packets, line.dropped) for line in made.segments] == [(25, 0), (15, 5)]
    (gap,) = made.gaps
    assert (gap.from_utc, gap.to_utc, gap.reason) == (utc(0.96), utc(30.4), "broke off")


def test_camera_that_never_answers_is_noted_at_the_end(footage: MakeFootage, fake_clock: FakeClock) -> None:
    made = footage()
    made.take([Lost("did not answer within 10 s")])
    fake_clock.go_on(60)
    made.writer.finish()
    (gap,) = made.gaps
    assert (gap.from_utc, gap.to_utc, gap.reason) == (utc(0), utc(60), "did not answer within 10 s")


def test_time_between_two_runs_is_noted(footage: MakeFootage) -> None:
    first = footage()
    first.connect()
    first.take(live_packets(20))
    first.writer.finish()
    second = footage()
    second.connect()
    second.take(live_packets(20, at_s=100))
    second.writer.finish()
    (gap,) = second.gaps
    assert (gap.from_utc, gap.to_utc, gap.reason) == (utc(0.76), utc(100), "the recorder was not running")


def test_films_of_long_ago_tell_no_gap_between_two_runs(footage: MakeFootage) -> None:
    for day in (100, 1):
        made = footage()
        made.connect()
        made.take(live_packets(20, utc_s=-86_400 * day, clock="file"))
        made.writer.finish()
    assert len(made.segments) == 2 and not made.gaps


def test_a_film_after_a_camera_ends_the_gap_at_the_time_of_playing(footage: MakeFootage) -> None:
    first = footage()
    first.connect()
    first.take(live_packets(20))
    first.writer.finish()
    second = footage()
    second.connect()
    second.take(live_packets(20, at_s=100, utc_s=-86_400, clock="file"))
    second.writer.finish()
    (gap,) = second.gaps
    assert gap.reason == "the recorder was not running" and gap.from_utc < gap.to_utc
    assert gap.to_utc == utc(0)  # the clock stands still


def test_packets_that_went_with_the_connection_are_counted(footage: MakeFootage) -> None:
    made = footage()
    made.connect()
    made.take([*live_packets(20), Lost("broke off", packets=1), *live_packets(20, at_s=30)])
    made.writer.finish()
    assert [line.dropped for line in made.segments] == [0, 1]
    assert made.status.snapshot().dropped == 1


def test_camera_that_does_not_answer_after_a_restart_is_told_from_the_time_before(
    footage: MakeFootage, fake_clock: FakeClock
) -> None:
    first = footage()
    first.connect()
    first.take(live_packets(20))
    first.writer.finish()
    fake_clock.go_on(50)
    second = footage()
    second.take([Lost("did not answer within 10 s")])
    second.connect()
    second.take(live_packets(20, at_s=100))
    second.writer.finish()
    assert [(gap.from_utc, gap.to_utc, gap.reason) for gap in second.gaps] == [
        (utc(0.76), utc(50), "the recorder was not running"),
        (utc(50), utc(100), "did not answer within 10 s"),
    ]


def test_drops_of_a_slow_disk_are_counted_and_noted(footage: MakeFootage) -> None:
    made = footage()
    made.connect()
    made.take([*live_packets(20), Dropped(50), *live_packets(20, at_s=2.8)])
    made.writer.finish()
    assert [(line.packets, line.dropped) for line in made.segments] == [(20, 0), (20, 50)]
    assert [gap.reason for gap in made.gaps] == ["the disk could not keep up"]
    assert made.status.snapshot().dropped == 50


@pytest.mark.parametrize("step_s", [-7200.0, 86_400.0])
def test_clock_that_is_set_leaves_names_in_order_and_is_journalled(
    footage: MakeFootage, fake_clock: FakeClock, step_s: float
) -> None:
    made = footage()
    made.connect()
    made.take(live_packets(15))
    fake_clock.set_by(step_s)
    made.take(live_packets(30, utc_s=step_s)[15:])
    made.writer.finish()
    names = [line.file for line in made.segments]
    assert names == sorted(set(names)) and len(names) == 2
    assert sum(line.packets for line in made.segments) == 30
    (stepped,) = [entry for entry in made.entries if isinstance(entry, ClockStepped)]
    assert (stepped.to_utc - stepped.from_utc).total_seconds() == pytest.approx(step_s)
    assert (made.segments[1].start_utc - made.segments[0].start_utc).total_seconds() == pytest.approx(
        0.8 + step_s
    )
    assert not made.gaps


def test_sender_reports_tell_the_start_in_hindsight(footage: MakeFootage) -> None:
    made = footage()
    made.connect()
    made.take(live_packets(10))
    made.take(live_packets(30, clock="rtcp", utc_s=-0.125)[10:])
    made.writer.finish()
    (line,) = made.segments
    assert (line.clock, line.start_utc) == ("rtcp", utc(-0.125))


def test_burst_after_connecting_does_not_make_footage_late(footage: MakeFootage) -> None:
    made = footage()
    made.connect()
    packets = live_packets(40)
    late = live_packets(10, at_s=0.9, pts_offset=0)  # the first 10 waited for the rest to be probed
    made.take([*late, *packets[10:]])
    made.writer.finish()
    assert made.segments[0].start_utc == utc(0)


def test_full_disk_is_written_on_once_old_footage_went(
    footage: MakeFootage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write, is_full, asked = os.write, [False], []

    def write(descriptor: int, content: Any) -> int:
        if is_full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, content[: max(1, len(content) // 2)])

    def make_room() -> list[Path]:
        asked.append(True)
        is_full[0] = len(asked) < 3
        return [Path("old.mp4")]

    monkeypatch.setattr(os, "write", write)
    made = footage(make_room=make_room)
    made.connect()
    made.take(live_packets(20))
    is_full[0] = True
    made.take(live_packets(60)[20:])
    assert len(asked) == 3 and made.status.snapshot().last_error == "the disk is full"
    made.writer.finish()
    (line,) = made.segments
    assert line.packets == 60 == decoded_frames(made.folder / line.file) and not made.gaps


def test_disk_that_turns_read_only_and_back(
    footage: MakeFootage, fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = {name: getattr(os, name) for name in ("write", "open", "fdatasync", "fsync")}
    failing = [False]

    def refusing(name: str) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if failing[0]:
                raise OSError(errno.EROFS, "Read-only file system")
            return real[name](*given, **named)

        return call

    for name in real:
        monkeypatch.setattr(os, name, refusing(name))
    made = footage()
    made.connect()
    made.take(live_packets(50))
    failing[0] = True
    made.take(live_packets(100)[50:])
    made.take([None])
    failing[0] = False
    fake_clock.go_on(60)
    made.take(live_packets(30, at_s=60))
    made.writer.finish()
    closed = {line.file: line for line in made.segments}
    salvaged = [line for line in closed.values() if line.salvaged]
    assert [line.packets for line in closed.values()] == [30, salvaged[0].packets][::1] or len(closed) == 2
    assert sum(line.packets for line in closed.values()) + made.status.snapshot().dropped == 130
    assert all(decoded_frames(made.folder / line.file) == line.packets for line in closed.values())
    (gap,) = made.gaps
    assert gap.reason == "the disk fails (Read-only file system)" and gap.to_utc == utc(60)


class Telemetry:
    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[tuple[Path, datetime, datetime, float]] = []
        self.fails = fails

    def write_for(self, path_stem: Path, start_utc: datetime, end_utc: datetime, first_pts_s: float) -> str:
        if self.fails:
            raise RuntimeError("the receiver is gone")
        self.asked.append((path_stem, start_utc, end_utc, first_pts_s))
        return f"{path_stem.name}.telemetry.csv"


def test_telemetry_is_asked_for_each_segment(footage: MakeFootage) -> None:
    telemetry = Telemetry()
    made = footage(telemetry=telemetry)
    made.connect()
    made.take(live_packets(20))
    made.writer.finish()
    (line,) = made.segments
    stem = made.folder / line.file.removesuffix(".mp4")
    assert telemetry.asked == [(stem, utc(0), utc(0.76), 0.0)]
    assert line.telemetry == f"{stem.name}.telemetry.csv"


def test_telemetry_that_fails_does_not_cost_the_footage(footage: MakeFootage) -> None:
    made = footage(telemetry=Telemetry(fails=True))
    made.connect()
    made.take(live_packets(20))
    made.writer.finish()
    assert [(line.packets, line.telemetry) for line in made.segments] == [(20, "")]


def test_proxy_takes_the_name_of_the_segment_beside_it(footage: MakeFootage) -> None:
    current = CurrentStem()
    options = RecordOptions(segment_s=2)
    main = footage(current=current, options=options)
    proxy = footage(current=current, options=options, is_proxy=True)
    main.connect()
    proxy.connect()
    for big, small in zip(live_packets(100), live_packets(100, size=(64, 48), utc_s=0.007), strict=True):
        main.take([big])
        proxy.take([small])
    proxy.take([Lost("broke off")])
    proxy.connect()
    proxy.take(live_packets(20, size=(64, 48), at_s=5))
    main.writer.finish()
    proxy.writer.finish()
    files = [line.file for line in main.segments if isinstance(line, SegmentClosed)]
    own = sorted(file for file in files if ".proxy" not in file)
    small_ones = sorted(file for file in files if ".proxy" in file)
    assert len(own) == 2 and len(small_ones) == 3
    assert small_ones[:2] == [file.replace(".mp4", ".proxy.mp4") for file in own]
    assert [gap.reason for gap in main.gaps] == ["proxy stream: broke off"]
