"""Each segment gets the part of the log that is its own; a gpsd that comes and goes is heard again."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from catseye.capture.gpsd import GpsdLog
from catseye.capture.telemetry import read_telemetry
from catseye.capture.telemetry_log import open_telemetry
from catseye.errors import InputError, UsageError

START = datetime(2026, 5, 4, 3, 2, 0, tzinfo=timezone.utc)


def csv_log(seconds: range) -> str:
    times = [(START + timedelta(seconds=s)).isoformat() for s in seconds]
    return "utc,lat,lon,speed\n" + "".join(
        f"{t},48.5,11.25,{s}\n" for t, s in zip(times, seconds, strict=True)
    )


def test_a_segment_gets_its_own_part_on_its_own_clock(tmp_path: Path) -> None:
    (tmp_path / "drive.csv").write_text(csv_log(range(100)))
    stem = tmp_path / "20260504T030220.500Z"
    with open_telemetry(str(tmp_path / "drive.csv")) as log:
        begin = START + timedelta(seconds=20.5)
        name = log.write_for(stem, start_utc=begin, end_utc=begin + timedelta(seconds=10), first_pts_s=7.0)
        assert log.write_for(stem, START - timedelta(hours=2), START - timedelta(hours=1), 0.0) == ""
    assert name == "20260504T030220.500Z.telemetry.csv"
    lines = (tmp_path / name).read_text().splitlines()
    assert lines[0] == "time_s,speed_mps,latitude_deg,longitude_deg,heading_deg"
    assert lines[1] == "6.5,20.0,48.5,11.25,"
    found = read_telemetry(tmp_path / name)
    # One second more on either side, so that the first and the last frame have a sample on both.
    np.testing.assert_allclose(found.speed_mps, np.arange(20, 32))
    np.testing.assert_allclose(found.time_s, 7.0 + np.arange(20, 32) - 20.5)
    np.testing.assert_array_equal(found.latitude_deg, np.full(12, 48.5))


def test_a_log_that_grows_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "drive.csv"
    path.write_text(csv_log(range(10)))
    with open_telemetry(str(path)) as log:
        path.write_text(csv_log(range(50)))
        end = START + timedelta(seconds=45)
        assert log.write_for(tmp_path / "a", end - timedelta(seconds=5), end, 0.0) == "a.telemetry.csv"
        path.unlink()
        with pytest.raises(InputError, match="cannot be read"):
            log.write_for(tmp_path / "b", end - timedelta(seconds=5), end, 0.0)


def test_what_names_no_telemetry(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        open_telemetry(str(tmp_path / "none.csv"))
    for source in ("http://localhost", "gpsd://", "gpsd://host:port", "gpsd://host:99999"):
        with pytest.raises(UsageError, match="must be a file or gpsd://"):
            open_telemetry(source)


class FakeGpsd:
    """Speaks gpsd's protocol: greets, waits for ``?WATCH``, then sends what it is given."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[bytes] = []
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def tell(self, *lines: bytes) -> None:
        for line in lines:
            self._lines.put(line)

    def hang_up(self) -> None:
        self._lines.put(None)

    def close(self) -> None:
        self._is_closed = True
        self.hang_up()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._is_closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as requests:
                connection.sendall(b'{"class":"VERSION","release":"3.22"}\r\n')
                self.requests.append(requests.readline())
                while (line := self._lines.get()) is not None:
                    connection.sendall(line)


@pytest.fixture
def gpsd() -> Iterator[FakeGpsd]:
    server = FakeGpsd()
    yield server
    server.close()


def tpv(second: float, **values: object) -> bytes:
    at = (START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
    record = {"class": "TPV", "mode": 3, "time": at, "lat": 48.5, "lon": 11.25, "speed": second, **values}
    return json.dumps(record).encode() + b"\r\n"


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "nothing came"
        time.sleep(0.01)


def test_a_gpsd_is_heard_again_after_it_has_gone(gpsd: FakeGpsd, tmp_path: Path) -> None:
    with GpsdLog("127.0.0.1", gpsd.port, longest_wait_s=0.05) as log:
        gpsd.tell(tpv(1), b'{"class":"SKY"}\r\n', b"{torn", b"\r\n", tpv(2, mode=1), tpv(3))
        wait_for(lambda: len(log.fixes()) == 2)
        gpsd.hang_up()
        wait_for(lambda: log.connections == 2)
        gpsd.tell(tpv(4))
        wait_for(lambda: len(log.fixes()) == 3)
        fixes = log.fixes()
    np.testing.assert_allclose(fixes.utc_s - START.timestamp(), [1, 3, 4])
    np.testing.assert_allclose(fixes.speed_mps, [1, 3, 4])
    assert [json.loads(r.strip().removeprefix(b"?WATCH=").rstrip(b";")) for r in gpsd.requests] == [
        {"enable": True, "json": True}
    ] * 2


def test_a_gpsd_gives_segments_their_telemetry(gpsd: FakeGpsd, tmp_path: Path) -> None:
    with open_telemetry(f"gpsd://127.0.0.1:{gpsd.port}") as log:
        gpsd.tell(tpv(1), tpv(2))
        end = START + timedelta(seconds=2)
        wait_for(lambda: log.write_for(tmp_path / "a", START, end, 0.0) != "")
        wait_for(lambda: log.write_for(tmp_path / "a", end, end, 0.0) != "" and rows(tmp_path) == 2)
    assert not [thread for thread in threading.enumerate() if thread.name == "gpsd"]


def rows(folder: Path) -> int:
    return len((folder / "a.telemetry.csv").read_text().splitlines()) - 1


def test_what_is_kept_of_a_gpsd_is_bounded(gpsd: FakeGpsd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catseye.capture.gpsd._KEPT", 5)
    with GpsdLog("127.0.0.1", gpsd.port) as log:
        gpsd.tell(*(tpv(second) for second in range(20)))
        wait_for(lambda: len(log.fixes()) > 0 and log.fixes().utc_s[-1] == START.timestamp() + 19)
        np.testing.assert_allclose(log.fixes().speed_mps, [15, 16, 17, 18, 19])


def test_a_gpsd_that_is_not_there_ends_with_the_log() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with GpsdLog("127.0.0.1", port) as log:
        assert len(log.fixes()) == 0
