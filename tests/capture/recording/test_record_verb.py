"""``catseye record`` as a vehicle runs it: real speed, its file of options, its status, its end."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from command_line import Command
from recording_footage import decoded_frames
from rtsp_camera import RtspCamera

from catseye.capture import journal
from catseye.capture.calibration import Calibration
from catseye.capture.journal import SegmentClosed

PATIENCE_S = 90.0
NOWHERE = "rtsp://127.0.0.1:9/camera"


@pytest.fixture
def film(tmp_path: Path, write_video: Callable[..., Path], moving: Callable[..., Any]) -> Callable[..., Path]:
    """A video of so many seconds at 25 frames a second, a key frame in each second."""
    return lambda seconds, name="film": write_video(
        tmp_path / f"{name}.mp4", moving(), range(0, 1000 * seconds, 40)
    )


@pytest.fixture
def signals() -> Iterator[None]:
    """The verb takes over signals, and its process would end with it."""
    taken = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in taken.items():
        signal.signal(number, handler)


class Recording:
    """``catseye record`` in a process of its own, and what its status says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stderr.readline())
        assert found is not None
        self.address = found[0]

    def cameras(self) -> list[dict[str, Any]]:
        with urlopen(f"{self.address}status.json") as answer:
            cameras: list[dict[str, Any]] = json.load(answer)["cameras"]
        return cameras

    def health(self) -> int:
        try:
            with urlopen(f"{self.address}healthz") as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    def wait(self, until: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < deadline and self.process.poll() is None, self.cameras()
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Its exit code and what it printed."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in err, err
        return self.process.returncode, out


@contextmanager
def recording(*arguments: str | Path) -> Iterator[Recording]:
    command = [sys.executable, "-m", "catseye", "record", *map(str, arguments), "--status-port", "0"]
    # Tests that run in a shell's background are told to ignore it, and would hand that on.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, ours)
    with process:
        try:
            yield Recording(process)
        finally:
            process.kill()


def closed_segments(folder: Path) -> list[SegmentClosed]:
    """The journal's segments, each of which is whole and what the journal says."""
    lines = list(journal.segments(journal.read(folder)).values())
    for line in lines:
        content = (folder / line.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == line.sha256
        assert decoded_frames(folder / line.file) == line.packets
    assert not list(folder.glob("*.part"))
    return lines


def test_files_are_played_at_real_speed_until_sigterm_closes_them(
    tmp_path: Path, film: Callable[..., Path]
) -> None:
    out, began = tmp_path / "out", time.monotonic()
    sources = (f"front={film(120)}", f"rear={film(120, 'back')}")
    with recording(*sources, "--out", out, "--vehicle", "van-7", "--segment", "1", "--json") as run:
        run.wait(lambda: all(camera["segments"] >= 1 for camera in run.cameras()))
        assert run.health() == 200
        assert [camera["name"] for camera in run.cameras()] == ["front", "rear"]
        code, printed = run.end(signal.SIGTERM)
    lasted_s = time.monotonic() - began
    assert code == 0
    for camera in json.loads(printed):
        lines = closed_segments(out / "van-7" / camera["name"])
        assert len(lines) == camera["segments"] >= 2
        assert camera["packets"] == sum(line.packets for line in lines) <= 25 * lasted_s + 1


def test_an_rtsp_camera_is_recorded_and_its_loss_is_told(server: RtspCamera, tmp_path: Path) -> None:
    source = f"front={server.address}/camera"
    with recording(source, "--out", tmp_path, "--read-timeout", "1", "--segment", "1") as run:
        run.wait(lambda: run.cameras()[0]["packets"] > 20)
        assert run.health() == 200
        server.tell("stall")
        run.wait(lambda: run.health() == 503)
        server.tell("resume")
        run.wait(lambda: run.cameras()[0]["reconnects"] >= 1 and run.health() == 200)
        code, printed = run.end(signal.SIGINT)
    assert code == 0 and "front" in printed
    assert closed_segments(tmp_path / "vehicle" / "front")
    gaps = [e for e in journal.read(tmp_path / "vehicle" / "front") if isinstance(e, journal.Gap)]
    assert "sent nothing for 1 s" in {gap.reason for gap in gaps}


def test_a_killed_recorder_goes_on_where_it_was(
    tmp_path: Path, film: Callable[..., Path], catseye: Command, signals: None
) -> None:
    out = tmp_path / "out"
    with recording(f"front={film(120)}", "--out", out) as run:
        run.wait(lambda: list(out.rglob("*.part")) and run.cameras()[0]["packets"] > 60)
        called = catseye("record", f"front={NOWHERE}", "--out", out, "--duration", "1")
        assert called.code == 1
        assert "front: is being recorded to by another process" in called.line
        run.end(signal.SIGKILL)
    folder = out / "vehicle" / "front"
    assert list(folder.glob("*.part"))
    assert catseye("record", f"front={film(1, 'next')}", "--out", out).code == 0
    *_, killed, after = closed_segments(folder)
    assert killed.salvaged
    assert not after.salvaged and after.packets == 25
    reasons = [entry.reason for entry in journal.read(folder) if isinstance(entry, journal.Gap)]
    assert reasons == ["the recorder was not running"]


def test_the_vehicles_file_says_what_and_how_and_options_override_it(
    tmp_path: Path,
    film: Callable[..., Path],
    catseye: Command,
    monkeypatch: pytest.MonkeyPatch,
    signals: None,
) -> None:
    lens = Calibration(width=160, height=96, K=((100, 0, 80), (0, 100, 48), (0, 0, 1)))
    lens.save(tmp_path / "front.json")
    (tmp_path / "catseye.toml").write_text(
        f"""
        vehicle = "van-7"
        [cameras.front]
        url = "{film(1)}"
        calibration = "front.json"
        [record]
        container = "ts"
        fsync_s = 0.25
        read_timeout_s = 3
        max_gap_s = 0.5
        """
    )
    monkeypatch.chdir(tmp_path)
    asked: list[Any] = []
    from catseye.capture.recording import recorder

    real = recorder.Recorder
    monkeypatch.setattr(recorder, "Recorder", lambda *a, **k: asked.append(k["options"]) or real(*a, **k))
    assert catseye("record", "--out", "out").code == 0
    (line,) = closed_segments(tmp_path / "out" / "van-7" / "front")
    assert line.file.endswith(".ts") and line.calibration == lens.content_hash
    assert catseye("record", "--out", "again", "--container", "mp4", "--max-gap", "4").code == 0
    (line,) = closed_segments(tmp_path / "again" / "van-7" / "front")
    assert line.file.endswith(".mp4")
    told = [(o.container, o.fsync_s, o.read_timeout_s, o.max_gap_s, o.segment_s) for o in asked]
    assert told == [("ts", 0.25, 3, 0.5, 60), ("mp4", 0.25, 3, 4, 60)]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "no camera"),
        (("gone.mp4",), 1, "gone.mp4: no such file or device"),
        ((".",), 2, ". is a folder: give rtsp://"),
        (("rtps://anna:secret@10.0.0.1/a",), 2, "rtps://10.0.0.1/a: rtps:// is not read"),
        ((NOWHERE, "--proxy", "camera=ftp://10.0.0.1/a"), 2, "ftp:// is not read"),
        ((f"a={NOWHERE}", f"a={NOWHERE}"), 2, "'a' is given twice"),
        (("vordere Kamera=a.mp4",), 2, "camera 'vordere Kamera': use letters, digits"),
        (("rück=rtsp://127.0.0.1:1/a",), 2, "camera 'rück': use letters, digits"),
        ((NOWHERE, "--segment", "0"), 2, "segment_s 0.0: must be above 0"),
        ((NOWHERE, "--fsync", "-1"), 2, "fsync_s -1.0: must be above 0"),
        ((NOWHERE, "--open-timeout", "0"), 2, "open_timeout_s 0.0: must be above 0"),
        ((NOWHERE, "--read-timeout", "nan"), 2, "read_timeout_s nan: must be above 0"),
        ((NOWHERE, "--max-gap", "inf"), 2, "max_gap_s inf: must be above 0"),
        ((NOWHERE, "--duration", "-3"), 2, "--duration -3: must be above 0"),
        ((NOWHERE, "--quota", "lots"), 2, "'lots' is no amount of data"),
        ((NOWHERE, "--quota", "200"), 2, "quota 200 is 200 bytes"),
        ((NOWHERE, "--vehicle", "../x"), 2, "vehicle '../x'"),
        ((NOWHERE, "--proxy", f"rear={NOWHERE}"), 2, f"--proxy 'rear={NOWHERE}'"),
        ((NOWHERE, "--calibration", "camera=gone.json"), 1, "gone.json: no such file"),
        ((NOWHERE, "--telemetry", "gone.nmea"), 1, "gone.nmea: cannot be read"),
        ((NOWHERE, "--telemetry", "http://x"), 2, "telemetry 'http://x'"),
        ((NOWHERE, "--config", "gone.toml"), 1, "gone.toml: no such file"),
        ((NOWHERE, "--status-file", "taken/status.json"), 1, "taken/status.json: cannot be written"),
        ((NOWHERE, "--out", "taken"), 1, "taken: cannot be written"),
        ((NOWHERE, "--duration", "0.1"), 1, "nothing was recorded: "),
        ((f"a={NOWHERE}", "--duration", "0.1"), 1, "nothing was recorded: a: "),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: tuple[str, ...],
    code: int,
    told: str,
    catseye: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    signals: None,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").touch()
    out = () if "--out" in arguments else ("--out", "out")
    called = catseye("record", *arguments, *out)
    assert called.code == code
    assert told in called.line


def test_the_quota_holds_when_the_recorder_ends(
    tmp_path: Path, film: Callable[..., Path], catseye: Command, signals: None
) -> None:
    out = tmp_path / "out"
    assert catseye("record", film(1), "--out", out).code == 0
    (first,) = out.rglob("*.mp4")
    quota = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) * 3 // 2
    assert catseye("record", film(1, "next"), "--out", out, "--quota", str(quota)).code == 0
    assert not first.exists()
    assert sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) <= quota


def test_footage_that_no_disk_could_close_is_a_failure(
    tmp_path: Path,
    film: Callable[..., Path],
    catseye: Command,
    monkeypatch: pytest.MonkeyPatch,
    signals: None,
) -> None:
    from catseye.capture.recording.segment import Segment

    def full(_segment: Segment) -> SegmentClosed:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Segment, "finish", full)
    called = catseye("record", f"front={film(1)}", "--out", tmp_path / "out")
    assert called.code == 1
    assert "no segment could be closed: front: " in called.line and "No space left" in called.line
    assert called.line.endswith(f"catseye salvage {tmp_path / 'out'}")


def test_a_status_port_that_is_taken_is_one_line(catseye: Command, tmp_path: Path, signals: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        called = catseye("record", NOWHERE, "--out", tmp_path / "out", "--status-port", str(port))
    assert called.code == 1
    assert f"port {port} of 127.0.0.1: cannot be listened on" in called.line


def test_real_footage_is_recorded_as_it_is(
    shared_data: Path, tmp_path: Path, catseye: Command, signals: None
) -> None:
    source = shared_data / "video" / "highway_white_right.mp4"
    called = catseye("record", source, "--out", tmp_path, "--segment", "2", "--json")
    assert called.code == 0
    lines = closed_segments(tmp_path / "vehicle" / "camera")
    assert sum(line.packets for line in lines) == json.loads(called.out)[0]["packets"] == 221
    assert {(line.width, line.height) for line in lines} == {(960, 540)}
