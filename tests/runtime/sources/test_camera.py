"""Cameras that end, fall silent, drop their connections and change: the source and the pipeline go on."""

from __future__ import annotations

import threading
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import rtsp_camera

from catseye.runtime.pipeline import track_streams
from catseye.runtime.results import FrameResult
from catseye.runtime.sources.camera import CameraSource
from catseye.runtime.sources.opening import SourceSpec

PATIENCE_S = 20.0
FRAMES = 10


def test_each_connection_is_an_epoch_with_times_of_arrival(camera: str) -> None:
    source = CameraSource(camera)
    before_s, before_ns = time.perf_counter(), time.time_ns()
    frames = list(islice(source.frames(), 2 * FRAMES + 1))
    assert "secret" not in source.name and source.attempts == 3
    assert [frame.epoch for frame in frames] == [0] * FRAMES + [1] * FRAMES + [2]
    assert [frame.frame.index for frame in frames] == [*range(FRAMES), *range(FRAMES), 0]
    for frame in frames:
        assert frame.clock == "arrival" and (frame.width, frame.height) == (320, 192)
        assert before_s <= frame.arrived_s <= time.perf_counter()
        assert frame.captured_utc_ns is not None and before_ns <= frame.captured_utc_ns <= time.time_ns()


def test_a_camera_that_falls_silent_is_connected_to_anew(camera: str) -> None:
    source = CameraSource(f"{camera}silent", read_timeout_s=0.3)
    # The last frame of a film without an end is never complete.
    epochs = [frame.epoch for frame in islice(source.frames(), 2 * FRAMES - 3)]
    assert epochs[0] == 0 and epochs[-1] == 1


def test_a_camera_that_is_away_is_tried_until_closed() -> None:
    source = CameraSource("http://127.0.0.1:9/", open_timeout_s=0.3)
    ended = threading.Event()
    threading.Thread(target=lambda: (list(source.frames()), ended.set())).start()
    deadline = time.monotonic() + PATIENCE_S
    while source.attempts < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    source.close()
    assert ended.wait(PATIENCE_S)


def test_a_file_is_played_at_its_pace_and_ends(film: Path) -> None:
    source = CameraSource(str(film), name="front")
    began = time.perf_counter()
    frames = list(islice(source.frames(), FRAMES + 1))
    assert (len(frames), source.attempts, source.name) == (FRAMES, 1, "front")
    for frame in frames:
        assert frame.arrived_s - began >= frame.frame.time_s - frames[0].frame.time_s - 1e-6


@pytest.mark.skipif(not rtsp_camera.is_installed(), reason=rtsp_camera.NEEDS)
def test_an_rtsp_camera_that_changes_in_every_way_is_tracked_on(engine: Any) -> None:
    """Another size, a jump of its clock and a lost connection: each an epoch with tracks of its own."""
    server = rtsp_camera.RtspCamera()
    stop = threading.Event()
    results: list[FrameResult] = []
    told = iter(["resize 160 120", "jump 2", "drop"])  # back it could go to its start at most, a second ago

    def sink(frame: object, result: FrameResult) -> None:
        results.append(result)
        if sum(r.epoch == result.epoch for r in results) == 8:
            words = next(told, None)
            if words is None:
                stop.set()
            else:
                server.tell(words)

    overdue = threading.Timer(PATIENCE_S, stop.set)
    overdue.start()
    try:
        source = SourceSpec("front", f"{server.address}/camera").open()
        (summary,) = track_streams(engine, engine.manifest, [source], threshold=0.4, sinks=[sink], stop=stop)
    finally:
        overdue.cancel()
        server.stop()
    epochs = [result.epoch for result in results]
    assert epochs == sorted(epochs) and set(epochs) == {0, 1, 2, 3}
    assert [results[epochs.index(k)].width for k in range(4)] == [320, 160, 160, 320]
    ids = [{i for r in results if r.epoch == k for i in r.tracks.ids.tolist()} for k in range(4)]
    assert all(ids) and sum(map(len, ids)) == len(set().union(*ids))
    assert summary.attempts == 2 and summary.frames_in == summary.processed + summary.dropped
    assert {result.clock for result in results} <= {"arrival", "rtcp"}
