"""What those see who look at a run while it goes on."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import Command
from shown_frames import grey
from shown_frames import result as shown

from catseye.capture.sources import Frame
from catseye.http_server import WebServer
from catseye.runtime import live_board
from catseye.runtime.draw import Annotator
from catseye.runtime.latency import Latency
from catseye.runtime.live_board import LiveBoard
from catseye.runtime.live_page import routes
from catseye.runtime.results import FrameResult
from catseye.runtime.stream_summary import StreamSummary


class Clock:
    """Stands in for ``time.monotonic``."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("catseye.runtime.live_board.time.monotonic", clock)
    return clock


@pytest.fixture
def board(clock: Clock) -> LiveBoard:
    return LiveBoard(["front", "rear"])


@pytest.fixture
def server(board: LiveBoard) -> Iterator[WebServer]:
    with WebServer(routes(board), 0) as server:
        yield server


def get(server: WebServer, path: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def summary(stream: str, processed: int, **changes: object) -> StreamSummary:
    whole = StreamSummary(
        stream=stream,
        frames_in=processed + 2,
        processed=processed,
        dropped=2,
        corrupt_packets=0,
        tracks=3,
        epochs=1,
        attempts=1,
        restarts=0,
        most_waiting=1,
        seconds=processed / 20,
        output_age=Latency(10.0, 20.0, 30.0, 40.0, processed),
        ended=False,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def seen(stream: str, index: int, *, box: tuple[float, float, float, float]) -> tuple[Frame, FrameResult]:
    """A grey frame of 320x180 in a source of 640x360, with one track."""
    frame = Frame(index=index, pts=index, time_base=Fraction(1, 20), planes=grey(320, 180), key=True)
    found = shown([list(box)], [7], pts=index)
    return frame, replace(found, stream=stream, width=640, height=360)


def test_before_the_first_frame(server: WebServer) -> None:
    assert get(server, "/")[0] == 200
    assert get(server, "/streams/0.jpg")[0] == get(server, "/streams/1.json")[0] == 503
    assert json.loads(get(server, "/status.json")[2])["streams"] == []
    code, _, text = get(server, "/streams/2.jpg")
    assert code == 404 and b"/streams/1.jpg" in text


def test_the_newest_frame_is_drawn_with_its_track_in_place(server: WebServer, board: LiveBoard) -> None:
    board.show(*seen("rear", 0, box=(0, 0, 40, 40)))
    board.show(*seen("rear", 1, box=(320, 180, 560, 300)))
    code, kind, picture = get(server, "/streams/1.jpg")
    assert (code, kind) == (200, "image/jpeg")
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None and decoded.shape == (540, 960, 3)
    coloured = np.ptp(decoded.astype(int), axis=2) > 60
    rows, columns = np.nonzero(coloured)
    assert abs(columns.min() - 480) <= 4 and abs(columns.max() - 840) <= 4
    assert abs(rows.max() - 450) <= 4 and rows.min() > 220
    record = json.loads(get(server, "/streams/1.json")[2])
    assert (record["frame"], record["tracks"][0]["id"]) == (1, 7)
    assert get(server, "/streams/0.jpg")[0] == 503


def test_a_frame_is_drawn_once_however_many_look(board: LiveBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[FrameResult] = []
    draw = live_board.drawn

    def counted(frame: Frame, result: FrameResult, annotator: Annotator) -> bytes:
        drawn.append(result)
        return draw(frame, result, annotator)

    monkeypatch.setattr(live_board, "drawn", counted)
    board.show(*seen("front", 0, box=(0, 0, 40, 40)))
    assert drawn == []
    pictures = {board.picture("front") for _ in range(3)}
    assert len(drawn) == len(pictures) == 1
    board.show(*seen("front", 1, box=(40, 40, 80, 80)))
    assert board.picture("front") not in pictures


def test_figures_rate_and_health(server: WebServer, board: LiveBoard, clock: Clock) -> None:
    board.tell([summary("front", 0), summary("rear", 0)])
    assert get(server, "/healthz")[0] == 503
    clock.now += 2
    board.show(*seen("front", 0, box=(0, 0, 40, 40)))
    board.show(*seen("rear", 0, box=(0, 0, 40, 40)))
    board.tell([summary("front", 50), summary("rear", 20)])
    document = json.loads(get(server, "/status.json")[2])
    assert [stream["rate"] for stream in document["streams"]] == [25.0, 10.0]
    assert document["well"] and get(server, "/healthz")[0] == 200
    clock.now += live_board.SILENT_S - 1
    board.show(*seen("front", 1, box=(0, 0, 40, 40)))
    clock.now += 1
    code, _, text = get(server, "/healthz")
    assert code == 503 and b"rear" in text and b"front" not in text
    board.tell([summary("front", 60), summary("rear", 20, ended=True)])
    assert get(server, "/healthz")[0] == 200
    board.tell([summary("front", 60), summary("rear", 20, ended=True, error="rear: is gone; check it")])
    assert get(server, "/healthz")[0] == 503


def test_prometheus_has_every_stream(server: WebServer, board: LiveBoard) -> None:
    board.tell([summary("front", 50), summary("rear", 0, output_age=None)])
    board.show(*seen("front", 0, box=(0, 0, 40, 40)))
    _, kind, text = get(server, "/metrics")
    lines = text.decode().splitlines()
    assert kind.startswith("text/plain; version=0.0.4")
    assert 'catseye_run_processed_total{stream="front"} 50' in lines
    assert 'catseye_run_output_age_seconds{stream="front",quantile="0.99"} 0.03' in lines
    assert 'catseye_run_silent_seconds{stream="front"} 0.0' in lines


def test_a_run_shows_its_newest_frame_until_it_ends(
    catseye: Command, tiny_bundle: Path, lamps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[tuple[int, str, bytes]] = []
    show = LiveBoard.show

    def shown(board: LiveBoard, frame: Frame, found: FrameResult) -> None:
        show(board, frame, found)
        if not looked:
            looked.append(get(servers[0], "/streams/0.jpg"))

    servers: list[WebServer] = []
    enter = WebServer.__enter__
    monkeypatch.setattr(WebServer, "__enter__", lambda server: servers.append(server) or enter(server))
    monkeypatch.setattr(LiveBoard, "show", shown)
    done = catseye("run", tiny_bundle, lamps, "--port", "0")
    assert done.code == 0 and f"look at http://127.0.0.1:{servers[0].port}/" in done.err
    assert looked[0][:2] == (200, "image/jpeg")
    with WebServer({}, 0) as other:
        busy = catseye("run", tiny_bundle, lamps, "--port", str(other.port))
    assert busy.code == 1 and f"port {other.port} of 127.0.0.1: cannot be listened on" in busy.line
