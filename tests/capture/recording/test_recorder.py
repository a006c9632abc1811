"""The recorder against a real RTSP server that misbehaves: all of it is survived and accounted for."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from av.packet import Packet
from recording_footage import Journalled, decoded_frames
from rtsp_camera import RtspCamera

from catseye.capture import journal
from catseye.capture.journal import Gap, SegmentClosed
from catseye.capture.recording.options import RecordOptions, SourceSpec
from catseye.capture.recording.recorder import Recorder, record
from catseye.capture.recording.status import CameraStatus
from catseye.errors import InputError, UsageError

QUICK = RecordOptions(segment_s=2, read_timeout_s=1, open_timeout_s=20, longest_backoff_s=0.2, max_gap_s=0.9)
PATIENCE_S = 60.0


class Running(Journalled):
    """A recorder in a thread of its own."""

    def __init__(self, recorder: Recorder, folder: Path) -> None:
        self.recorder, self.folder = recorder, folder

    @property
    def status(self) -> CameraStatus:
        return self.recorder.status()[0]

    def wait(self, until: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < deadline, self.status
            time.sleep(0.02)

    def more_packets(self, count: int) -> None:
        goal = self.status.packets + count
        self.wait(lambda: self.status.packets >= goal)


@contextmanager
def recording(out: Path, *sources: SourceSpec, **options: Any) -> Iterator[Running]:
    stop = threading.Event()
    recorder = Recorder(sources, out, options=QUICK, **options)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            recorder.run(stop=stop)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Running(recorder, sources[0].folder(out))
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive() and not failed, failed


def check_files(run: Running) -> None:
    """Every closed segment decodes whole, and is what the journal says."""
    for line in run.segments:
        path = run.folder / line.file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == line.sha256
        assert decoded_frames(path) == line.packets
    assert not list(run.folder.glob("*.part"))


def check_account(run: Running) -> None:
    """Between two segments there is no time that no gap tells of, but for a few frames."""
    lines = [line for line in run.segments if ".proxy" not in line.file]
    for before, after in pairwise(sorted(lines, key=lambda line: line.file)):
        end = before.start_utc + timedelta(seconds=before.duration_s)
        untold = after.start_utc - end
        for gap in run.gaps:
            untold -= max(timedelta(0), min(gap.to_utc, after.start_utc) - max(gap.from_utc, end))
        assert untold.total_seconds() < 0.3, (before, after, run.gaps)


def front(url: str, **given: Any) -> SourceSpec:
    return SourceSpec("front", url, "car", **given)


def test_tcp_is_recorded_by_the_cameras_own_clock(server: RtspCamera, tmp_path: Path) -> None:
    clock = "rtcp" if hasattr(Packet, "has_sidedata") else "arrival"  # before PyAV 14 nothing tells
    with recording(tmp_path, front(f"{server.address}/camera")) as run:
        run.wait(lambda: len(run.segments) >= 3 and any(line.clock == clock for line in run.segments))
        assert run.status.connected and run.status.last_error == ""
    check_files(run)
    check_account(run)
    assert not run.gaps and not run.status.connected
    assert run.status.packets == sum(line.packets for line in run.segments)
    starts = [line.start_utc for line in run.segments]
    assert all(second - first < timedelta(seconds=3.5) for first, second in pairwise(starts))


def test_udp_is_recorded(server: RtspCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "QUICK", RecordOptions(transport="udp", segment_s=1))
    with recording(tmp_path, front(f"{server.address}/camera")) as run:
        run.wait(lambda: len(run.segments) >= 2)
    check_files(run)
    check_account(run)
    assert (run.segments[0].width, run.segments[0].height) == (320, 240)


def test_camera_that_drops_out_again_and_again(server: RtspCamera, tmp_path: Path) -> None:
    with recording(tmp_path, front(f"{server.address}/camera")) as run:
        for drops in range(1, 6):
            run.more_packets(10)
            server.tell("drop")
            run.wait(lambda drops=drops: run.status.reconnects >= drops)
        run.more_packets(20)
    check_files(run)
    check_account(run)
    assert len(run.gaps) >= 5 and run.status.gap_s > 0


def test_camera_that_stalls(server: RtspCamera, tmp_path: Path) -> None:
    with recording(tmp_path, front(f"{server.address}/camera")) as run:
        run.more_packets(20)
        server.tell("stall")
        run.wait(lambda: not run.status.connected)
        server.tell("resume")
        run.more_packets(20)
    check_files(run)
    check_account(run)
    assert "sent nothing for 1 s" in {gap.reason for gap in run.gaps}


def test_camera_that_changes_its_size(server: RtspCamera, tmp_path: Path) -> None:
    with recording(tmp_path, front(f"{server.address}/camera")) as run:
        run.more_packets(20)
        server.tell("resize 256 144")
        run.wait(lambda: any(line.width == 256 for line in run.segments))
    check_files(run)
    check_account(run)
    assert run.segments[0].width == 320
    assert not run.gaps and run.status.reconnects == 0 and run.status.dropped == 0


def test_camera_whose_time_jumps(server: RtspCamera, tmp_path: Path) -> None:
    with recording(tmp_path, front(f"{server.address}/camera")) as run:
        run.more_packets(100)
        server.tell("jump -2")
        run.more_packets(60)
    check_files(run)
    assert any("jumps by" in gap.reason for gap in run.gaps)
    assert run.status.reconnects == 0


def test_proxy_is_recorded_beside(server: RtspCamera, tmp_path: Path) -> None:
    source = front(f"{server.address}/camera", proxy_url=f"{server.address}/proxy")
    with recording(tmp_path, source) as run:
        run.wait(lambda: sum(".proxy" in line.file for line in run.segments) >= 2)
    check_files(run)
    proxies = [line for line in run.segments if ".proxy" in line.file]
    assert {(line.width, line.height) for line in proxies} == {(160, 120)}
    names = {line.file for line in run.segments}
    assert any(line.file.replace(".proxy", "") in names for line in proxies)


def test_one_camera_that_fails_stops_no_other(
    tmp_path: Path, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> None:
    film = write_video(tmp_path / "film.mp4", moving(), range(0, 1000, 40))
    away = SourceSpec("rear", "rtsp://user:secret@127.0.0.1:9/camera", "car")
    with recording(tmp_path / "out", front(str(film)), away) as run:
        run.wait(lambda: run.status.segments == 1)
        rear = run.recorder.status()[1]
        assert "cannot be opened" in rear.last_error and not rear.connected
    check_files(run)
    (gap,) = journal.read(away.folder(tmp_path / "out"))
    assert isinstance(gap, Gap) and "cannot be opened" in gap.reason and "secret" not in gap.reason


def test_files_are_recorded_to_their_end(
    tmp_path: Path, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> None:
    film = write_video(tmp_path / "film.mp4", moving(), range(0, 1000, 40), b_frames=2)
    told: list[tuple[CameraStatus, ...]] = []
    status = record([front(str(film))], tmp_path / "out", on_status=told.append)
    (line,) = journal.read(tmp_path / "out" / "car" / "front")
    assert isinstance(line, SegmentClosed) and line.packets == 25 and line.codec == "h264"
    assert status == told[-1] and (status[0].packets, status[0].segments) == (25, 1)


def test_what_an_earlier_run_left_is_salvaged_first(tmp_path: Path) -> None:
    folder = tmp_path / "car" / "front"
    folder.mkdir(parents=True)
    (folder / "20260504T030201.500Z.mp4.part").write_bytes(b"torn")
    record([front("rtsp://127.0.0.1:9/camera")], tmp_path, duration_s=0.1)
    assert (folder / "20260504T030201.500Z.mp4.bad").exists()


def test_room_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    def make_room() -> list[Path]:
        raise RuntimeError("no")

    record([front("rtsp://127.0.0.1:9/camera")], tmp_path, duration_s=0.1, make_room=make_room)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="cannot be written"):
        record([front("rtsp://127.0.0.1:9/camera")], tmp_path / "out")


def test_options_are_checked() -> None:
    with pytest.raises(UsageError, match="segment_s 0: must be above 0"):
        RecordOptions(segment_s=0)
    with pytest.raises(UsageError, match="container 'avi': must be one of mp4, ts"):
        RecordOptions(container="avi")  # type: ignore[arg-type]  # as a user may have it
    with pytest.raises(UsageError, match=r"camera '\.\./x'"):
        SourceSpec("../x", "rtsp://camera", "car")
    with pytest.raises(UsageError, match="given twice"):
        Recorder([front("rtsp://a"), front("rtsp://b")], Path("out"))
    with pytest.raises(UsageError, match="at least one"):
        Recorder([], Path("out"))
