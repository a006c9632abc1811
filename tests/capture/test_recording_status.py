"""The recorder's figures as machines read them."""

from __future__ import annotations

import json
import os
import re
import socket
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from catseye.capture.recording.status import CameraStatus
from catseye.capture.recording_status import (
    StatusFile,
    prometheus_text,
    serve_status,
    status_document,
    write_status,
)
from catseye.capture.systemd import sd_notify, watchdog_interval_s
from catseye.errors import InputError


def camera(**changes: Any) -> CameraStatus:
    return replace(
        CameraStatus(
            name="front",
            connected=True,
            last_packet_utc=datetime(2026, 5, 4, 3, 2, 1, tzinfo=timezone.utc),
            packets=1500,
            bytes=9_000_000_000_000_001,
            dropped=3,
            reconnects=2,
            segments=1,
            gap_s=4.25,
            last_error="it hung up",
        ),
        **changes,
    )


SILENT = camera(name='re"ar\\\n', connected=False, last_packet_utc=None)


def test_every_figure_is_in_the_json() -> None:
    document = json.loads(json.dumps(status_document([camera(), SILENT])))
    assert document["healthy"] is False and datetime.fromisoformat(document["at_utc"]).tzinfo is not None
    assert document["cameras"][0] == {
        "name": "front",
        "connected": True,
        "last_packet_utc": "2026-05-04T03:02:01+00:00",
        "packets": 1500,
        "bytes": 9_000_000_000_000_001,
        "dropped": 3,
        "reconnects": 2,
        "segments": 1,
        "gap_s": 4.25,
        "last_error": "it hung up",
    }
    assert document["cameras"][1]["last_packet_utc"] is None


def test_prometheus_reads_every_line() -> None:
    text = prometheus_text([camera(), SILENT])
    assert text.endswith("\n") and "\n\n" not in text
    sample = re.compile(r'([a-z_]+)\{camera="((?:[^"\\\n]|\\[\\n"])*)"\} (\S+)')
    typed: dict[str, str] = {}
    values: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            typed[name] = kind
        elif not line.startswith("# HELP "):
            found = sample.fullmatch(line)
            assert found is not None and found[1] in typed, line
            values[found[1], found[2]] = float(found[3])
    assert all((kind == "counter") == name.endswith("_total") for name, kind in typed.items())
    assert values["catseye_record_bytes_total", "front"] == 9_000_000_000_000_001
    assert values["catseye_record_last_packet_timestamp_seconds", "front"] == 1777863721
    rear = r"re\"ar\\\n"
    assert values["catseye_record_connected", rear] == 0
    assert ("catseye_record_last_packet_timestamp_seconds", rear) not in values


def test_the_server_answers_with_the_figures_of_now() -> None:
    cameras = [camera()]
    with serve_status(lambda: cameras, 0) as server:

        def get(path: str) -> tuple[int, str, str]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=20) as answer:
                    return answer.status, answer.headers["Content-Type"], answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.headers["Content-Type"], error.read().decode()

        assert get("/healthz")[0] == 200
        cameras[:] = [camera(packets=7), SILENT]
        assert get("/metrics?x=1") == (
            200,
            "text/plain; version=0.0.4; charset=utf-8",
            prometheus_text(cameras),
        )
        status, kind, text = get("/status.json")
        assert (status, kind, json.loads(text)["cameras"][0]["packets"]) == (200, "application/json", 7)
        status, _, text = get("/healthz")
        assert status == 503 and "not connected" in text
        assert get("/")[0] == 404
        port = server.port
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port)).close()


def test_the_status_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    for packets in (1, 2):
        write_status(path, [camera(packets=packets)])
        assert json.loads(path.read_text())["cameras"][0]["packets"] == packets
    assert list(tmp_path.iterdir()) == [path]


def test_a_status_file_that_fails_is_warned_of_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    status = StatusFile(folder / "status.json", [camera()])
    rmtree(folder)
    folder.touch()
    for _ in range(3):
        status.write([camera()])
    assert caplog.text.count("the status cannot be written") == 1
    folder.unlink()
    status.write([camera()])
    assert (folder / "status.json").exists()
    with pytest.raises(InputError, match=r"status\.json: cannot be written"):
        StatusFile(folder / "status.json" / "status.json", [camera()])


def test_systemd_is_told_over_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not sd_notify("READY=1")
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        assert sd_notify("READY=1") and systemd.recv(100) == b"READY=1"
    assert not sd_notify("READY=1")  # nobody listens any more
    name = f"catseye-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}")
        systemd.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert sd_notify("WATCHDOG=1") and systemd.recv(100) == b"WATCHDOG=1"


def test_the_watchdog_is_fed_twice_as_often_as_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    assert watchdog_interval_s() == 30.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_interval_s() is None
    monkeypatch.delenv("WATCHDOG_PID")
    monkeypatch.delenv("WATCHDOG_USEC")
    assert watchdog_interval_s() is None
