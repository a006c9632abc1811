"""``catseye run`` as a user and as systemd calls it."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from command_line import Command
from ending import sigterm_once

from catseye.capture.calibration import Calibration
from catseye.capture.sources import VideoFile
from catseye.runtime.results import SCHEMA_FILE

CAMERA = Calibration(width=320, height=192, K=((300, 0, 160), (0, 300, 96), (0, 0, 1)))


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    yield
    ours = ("decode", "prepare", "output", "watch")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(ours)]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


def records(path: Path) -> list[dict[str, Any]]:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for record in found:
        validator.validate(record)
    return found


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd listens at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield end


def told(systemd: socket.socket) -> list[str]:
    words = []
    while True:
        try:
            words.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return words


def watchdogs(words: list[str]) -> int:
    return sum("WATCHDOG=1" in word for word in words)


def test_the_vehicles_cameras_until_sigterm(
    catseye: Command,
    tiny_bundle: Path,
    camera: str,
    tmp_path: Path,
    systemd: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    CAMERA.save(tmp_path / "front.json")
    (tmp_path / "catseye.toml").write_text(
        f'[cameras.front]\nurl = "{camera}"\ncalibration = "front.json"\n[cameras.rear]\nurl = "{camera}"\n'
    )
    monkeypatch.chdir(tmp_path)
    Path("tracks.jsonl").write_text('{"an earlier": "run"}\n{"half a li')
    words: list[str] = []

    def all_is_well() -> bool:
        words.extend(told(systemd))
        seen = Path("tracks.jsonl").read_text()
        return all(name in seen for name in ('"front"', '"rear"')) and watchdogs(words) >= 2

    with sigterm_once(all_is_well):
        called = catseye(
            "run", tiny_bundle, "--jsonl", "tracks.jsonl", "--video", "drawn", "--threads", "1", "--json"
        )
    assert called.code == 0, called.err
    summary = json.loads(called.out)
    first, *lines = Path("tracks.jsonl").read_text().splitlines()
    assert first == '{"an earlier": "run"}'
    Path("new.jsonl").write_text("\n".join(lines))
    written = records(Path("new.jsonl"))
    for stream in summary["streams"]:
        name = stream["stream"]
        mine = [record for record in written if record["stream"] == name]
        assert stream["frames_in"] == stream["processed"] + stream["dropped"] > 0
        assert len(mine) == stream["processed"] and stream["attempts"] >= 1 and not stream["error"]
        assert {record["capture_source"] for record in mine} == {"arrival"}
        assert {record["calibration"] for record in mine} == {
            CAMERA.content_hash if name == "front" else None
        }
        drawn = sorted(Path("drawn").glob(f"{name}*.mp4"))
        assert len(drawn) == stream["epochs"] and f"{name}.mp4" in {path.name for path in drawn}
    words += told(systemd)
    assert "READY=1" in words[0] and "STATUS=front" in words[0] and words[-1] == "STOPPING=1"
    assert watchdogs(words) >= 2


def test_a_camera_for_so_long_to_standard_output(catseye: Command, tiny_bundle: Path, camera: str) -> None:
    called = catseye("run", tiny_bundle, camera, "--jsonl", "-", "--duration", "0.7", "--threads", "1")
    assert called.code == 0
    lines = [json.loads(line) for line in called.out.splitlines()]
    assert lines and {line["stream"] for line in lines} == {"camera"}
    assert "frames in" in called.err and "secret" not in called.out + called.err


def test_a_folder_of_files_of_which_one_is_none(
    catseye: Command, tiny_bundle: Path, film: Path, tmp_path: Path
) -> None:
    for name in ("a.ts", "c.ts"):
        (tmp_path / name).write_bytes(film.read_bytes())
    (tmp_path / "b.mp4").write_text("no video")
    tracks, drawn = tmp_path / "tracks.jsonl", tmp_path / "drawn"
    called = catseye("run", tiny_bundle, tmp_path, "--jsonl", tracks, "--video", drawn, "--threads", "1")
    assert called.code == 1 and "1 of 3 files failed" in called.line and "b.mp4" in called.line
    found = records(tracks)
    assert [r["stream"] for r in found] == [str(tmp_path / "a.ts")] * 10 + [str(tmp_path / "c.ts")] * 10
    assert len(list(drawn.iterdir())) == 2
    for path in drawn.iterdir():
        with VideoFile(path) as video:
            assert sum(1 for _ in video.frames()) == 10


def test_a_file_that_a_signal_cuts_short_leaves_what_is_done(
    catseye: Command, tiny_bundle: Path, lamps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from catseye.runtime import results

    line_of, count = results.line_of, iter(range(1000))

    def counted(record: dict[str, Any]) -> bytes:
        if next(count) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(0.02)
        return line_of(record)

    monkeypatch.setattr(results, "line_of", counted)
    called = catseye("run", tiny_bundle, lamps, "--jsonl", tmp_path / "tracks.jsonl", "--threads", "1")
    assert called.code == 128 + signal.SIGTERM
    frames = [record["frame"] for record in records(tmp_path / "tracks.jsonl")]
    assert frames == list(range(len(frames))) and 4 <= len(frames) < 40


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "no source"),
        (["FILE", "rtsp://127.0.0.1:9/a"], 2, "stands beside camera"),
        (["a=FILE", "b=FILE", "--video", "both.mp4"], 2, "give a folder"),
        (["a=FILE", "b=FILE", "--calibration", "c=c.json"], 2, "the streams are a, b"),
        (["a=FILE", "--calibration", "1.json", "--calibration", "2.json"], 2, "write each as NAME=FILE"),
        (["FILE", "--jsonl", "-", "--json"], 2, "choose one"),
        (["FILE", "--duration", "0"], 2, "--duration 0"),
        (["FILE", "--config", "gone.toml"], 1, "gone.toml: no such file"),
    ],
)
def test_what_cannot_be_is_one_line(
    catseye: Command, tiny_bundle: Path, lamps: Path, arguments: list[str], code: int, words: str
) -> None:
    called = catseye("run", tiny_bundle, *(word.replace("FILE", str(lamps)) for word in arguments))
    assert called.code == code and words in called.line
