"""Several streams at once: who waits for whom, what is dropped, and what a fault in one does to others."""

from __future__ import annotations

import logging
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catseye.capture.sources import VideoFile
from catseye.errors import InputError
from catseye.runtime import perception, stream
from catseye.runtime.engines.base import EngineOutput, Inputs
from catseye.runtime.manifest import Manifest
from catseye.runtime.network_input import stacked
from catseye.runtime.pipeline import track_streams, track_video
from catseye.runtime.results import FrameResult
from catseye.runtime.sources.base import Source
from catseye.runtime.sources.files import FileSource
from catseye.runtime.stream_summary import StreamSummary

from .conftest import BrightEngine, make_manifest, shaken
from .scripted import PATIENCE_S, ScriptedSource, source_frame

pytestmark = pytest.mark.usefixtures("no_thread_left")


@pytest.fixture(autouse=True)
def _no_wait_before_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_RESTART_AFTER_S", 0.0)


class Results:
    """A sink that keeps all, and sets an event when so many have come."""

    def __init__(self, until: int = 1) -> None:
        self.all: list[FrameResult] = []
        self.until, self.reached = until, threading.Event()

    def __call__(self, frame: object, result: FrameResult) -> None:
        self.all.append(result)
        if len(self.all) >= self.until:
            self.reached.set()

    def wait(self) -> None:
        assert self.reached.wait(PATIENCE_S), f"only {len(self.all)} of {self.until} results came"

    def of(self, name: str) -> list[FrameResult]:
        return [result for result in self.all if result.stream == name]


def track(
    engine: BrightEngine, sources: Sequence[Source], sink: Callable[..., None], **options: Any
) -> list[StreamSummary]:
    return track_streams(engine, engine.manifest, sources, threshold=0.4, sinks=[sink], **options)


@pytest.mark.parametrize("batch", [1, 3])
def test_files_at_the_same_time_give_what_each_gives_alone(batch: int, lamps: Path) -> None:
    alone = Results()
    with VideoFile(lamps) as file:
        engine = BrightEngine(make_manifest())
        track_video(engine, engine.manifest, file, threshold=0.4, sinks=[alone])
    engine, results = BrightEngine(make_manifest(batch=batch)), Results()
    summaries = track(engine, [FileSource(VideoFile(lamps), name=name) for name in ("a", "b")], results)
    assert engine.calls == -(-80 // batch)
    for name, summary in zip(("a", "b"), summaries, strict=True):
        assert (summary.stream, summary.frames_in, summary.processed, summary.tracks) == (name, 40, 40, 2)
        for one, other in zip(alone.all, results.of(name), strict=True):
            assert one.frame == other.frame and one.tracks.ids.tolist() == other.tracks.ids.tolist()
            assert np.array_equal(one.tracks.boxes_xyxy, other.tracks.boxes_xyxy)


def test_camera_motion_in_frames_that_a_decoder_has_scaled() -> None:
    """Planes of a quarter of the source's size, in whose pixels tracks are."""
    ids = {}
    for camera_motion in (False, True):
        frames = [
            replace(source_frame(number, size=(320, 192), time_s=number / 10), width=1280, height=768)
            for number in range(20)
        ]
        for frame, picture in zip(frames, shaken(), strict=True):
            frame.frame.planes.y[:] = picture[:, :, 0]
        engine, results = BrightEngine(make_manifest()), Results()
        track(engine, [ScriptedSource(frames, live=False)], results, camera_motion=camera_motion)
        ids[camera_motion] = {id_ for result in results.all for id_ in result.tracks.ids.tolist()}
    assert ids[True] == {1, 2} and len(ids[False]) > 2


class RepaintedEngine(BrightEngine):
    """What it sees looks like something else from its eleventh call on."""

    def infer(self, inputs: Inputs) -> EngineOutput:
        output = super().infer(inputs)
        look = (0, 1) if self.calls > 10 else (1, 0)
        looks = np.tile(np.array(look, np.float32), (*output.scores.shape, 1))
        return replace(output, embeddings=looks)


@pytest.mark.parametrize(("min_likeness", "ids"), [(0.0, {1}), (0.7, {1, 2})])
def test_what_looks_otherwise_after_a_while_is_another(min_likeness: float, ids: set[int]) -> None:
    frames = [source_frame(number, size=(320, 192), time_s=number / 10) for number in range(20)]
    for frame in frames[5:10]:
        frame.frame.planes.y[:] = 40
    results = Results()
    source = ScriptedSource(frames, live=False)
    track(RepaintedEngine(make_manifest()), [source], results, min_likeness=min_likeness)
    assert {id_ for result in results.all for id_ in result.tracks.ids.tolist()} == ids


class GatedEngine(BrightEngine):
    """Its first call lasts until it is let go."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self.entered, self.go = threading.Event(), threading.Event()

    def infer(self, inputs: Inputs) -> EngineOutput:
        self.entered.set()
        assert self.go.wait(PATIENCE_S)
        return super().infer(inputs)


def test_a_live_stream_keeps_the_newest_and_drops_before_resizing(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, results = GatedEngine(make_manifest()), Results()
    resized: list[int] = []
    prepare = perception.prepare
    monkeypatch.setattr(
        stream, "prepare", lambda f, *a, **k: (resized.append(f.frame.index), prepare(f, *a, **k))[1]
    )
    stop = threading.Event()

    def end(frame: object, result: FrameResult) -> None:
        results(frame, result)
        if result.frame == 9:
            stop.set()

    steps = [source_frame(0), lambda: engine.entered.wait(PATIENCE_S)]
    steps += [source_frame(k) for k in range(1, 10)]
    (summary,) = track(engine, [ScriptedSource([*steps, engine.go.set])], end, stop=stop)
    seen = [result.frame for result in results.all]
    # One more may have been made ready while the engine was busy.
    assert seen[0] == 0 and seen[-1] == 9 and len(seen) <= 3
    assert resized == seen
    assert (summary.frames_in, summary.processed, summary.dropped) == (10, len(seen), 10 - len(seen))
    assert summary.most_waiting == 1


@pytest.mark.parametrize(("live", "thread"), [(False, "decode scripted"), (True, "prepare")])
def test_a_files_frames_are_resized_by_its_decoder_and_live_ones_after_the_choice(
    live: bool, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    prepare = perception.prepare
    monkeypatch.setattr(
        stream,
        "prepare",
        lambda *a, **k: (names.append(threading.current_thread().name), prepare(*a, **k))[1],
    )
    results, stop = Results(), threading.Event()
    source = ScriptedSource([source_frame(0), results.wait, stop.set], live=live)
    track(BrightEngine(make_manifest()), [source], results, stop=stop)
    assert names == [thread]


def test_a_file_that_cannot_be_resized_ends_with_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = perception.prepare

    def prepare_fails(frame: Any, *arguments: Any, **options: Any) -> Any:
        if frame.frame.index == 7:
            raise ZeroDivisionError("singular")
        return prepare(frame, *arguments, **options)

    monkeypatch.setattr(stream, "prepare", prepare_fails)
    results = Results()
    files = [
        ScriptedSource([source_frame(k) for k in range(count)], name=str(count), live=False)
        for count in (20, 5)
    ]
    failed, whole = track(BrightEngine(make_manifest()), files, results)
    assert (failed.error, failed.frames_in, failed.processed, failed.dropped) == ("singular", 8, 7, 1)
    assert [result.frame for result in results.of("20")] == list(range(7))
    assert (whole.error, whole.processed) == ("", 5)


@pytest.mark.parametrize("live", [False, True])
def test_the_first_result_waits_for_no_second_frame(live: bool) -> None:
    """And of a file the second may: two are put out in a row."""
    results, stop = Results(), threading.Event()
    source = ScriptedSource([source_frame(0), results.wait, source_frame(1), stop.set], live=live)
    (summary,) = track(BrightEngine(make_manifest()), [source], results, stop=stop)
    assert summary.frames_in == 2 and summary.frames_in == summary.processed + summary.dropped


class OverlappingEngine(BrightEngine):
    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self.under_way: dict[int, Inputs] = {}

    def start(self, inputs: Inputs) -> int:
        self.under_way[0 if 1 in self.under_way else 1] = inputs
        return max(self.under_way) if len(self.under_way) == 1 else 0

    def finish(self, number: int) -> EngineOutput:
        return self.infer(self.under_way.pop(number))


@pytest.mark.parametrize("kind", [BrightEngine, OverlappingEngine])
def test_a_live_frame_waits_neither_for_a_full_batch_nor_for_the_next(kind: type[BrightEngine]) -> None:
    """Each frame comes only when the result of the one before is out."""
    stop = threading.Event()
    results = Results()

    def one(number: int) -> list[Any]:
        def arrived() -> None:
            results.wait()
            results.until += 1
            results.reached.clear()

        return [source_frame(number), arrived]

    source = ScriptedSource([step for k in range(4) for step in one(k)] + [stop.set])
    (summary,) = track(kind(make_manifest(batch=4)), [source], results, stop=stop)
    assert [result.frame for result in results.all] == [
        0,
        1,
        2,
        3,
    ] and summary.dropped == summary.restarts == 0


def test_a_batch_is_filled_from_all_cameras() -> None:
    engine, results = GatedEngine(make_manifest(batch=4)), Results(until=5)
    stop, meet = threading.Event(), threading.Barrier(4, action=engine.go.set, timeout=PATIENCE_S)
    first = ScriptedSource(
        [source_frame(0), lambda: engine.entered.wait(PATIENCE_S), source_frame(1), meet.wait], name="0"
    )
    others = [
        ScriptedSource([lambda: engine.entered.wait(PATIENCE_S), source_frame(0), meet.wait], name=str(k))
        for k in (1, 2, 3)
    ]
    threading.Thread(target=lambda: (results.wait(), stop.set())).start()
    summaries = track(engine, [first, *others], results, stop=stop)
    assert [summary.processed for summary in summaries] == [2, 1, 1, 1]
    assert engine.calls <= 3  # the first alone, perhaps one that was made ready early, and the others


def test_a_camera_connected_to_anew_or_set_anew_gets_new_tracks() -> None:
    numbers = iter(range(100))
    steps = [
        *[source_frame(next(numbers), time_s=10 + k / 25) for k in range(3)],
        *[source_frame(next(numbers), time_s=k / 25, epoch=1) for k in range(3)],  # a reconnection
        *[source_frame(next(numbers), time_s=500 + k / 25, epoch=1) for k in range(3)],  # a jump forward
        *[source_frame(next(numbers), time_s=100 + k / 25, epoch=1) for k in range(3)],  # and one back
        *[source_frame(next(numbers), size=(300, 192), time_s=101 + k / 25, epoch=1) for k in range(3)],
    ]
    results, stop = Results(), threading.Event()
    paced: list[Any] = []
    for step in steps:
        paced += [step, lambda: (results.wait(), results.reached.clear())]
    (summary,) = track(
        BrightEngine(make_manifest()), [ScriptedSource([*paced, stop.set])], results, stop=stop
    )
    assert [(r.epoch, r.tracks.ids.tolist()) for r in results.all] == [
        (epoch, [epoch + 1]) for epoch in range(5) for _ in range(3)
    ]
    assert (summary.epochs, summary.tracks, summary.dropped, summary.restarts) == (5, 5, 0, 0)


def test_a_decoder_that_dies_is_taken_up_again_and_its_tracks_end(lamps: Path) -> None:
    results, stop = Results(until=45), threading.Event()
    steps: list[Any] = []
    for k in range(5):
        if k in (1, 3):
            steps.append(RuntimeError("bad pixel format"))
        steps.append(source_frame(k))
    source = ScriptedSource([s for step in steps for s in (step, lambda: threading.Event().wait(0.05))])
    threading.Thread(target=lambda: (results.wait(), stop.set())).start()
    camera, file = track(
        BrightEngine(make_manifest()), [source, FileSource(VideoFile(lamps), name="file")], results, stop=stop
    )
    assert (camera.restarts, camera.epochs, camera.error) == (2, 3, "")
    assert [r.epoch for r in results.of("scripted")] == [0, 1, 1, 2, 2]
    assert [r.tracks.ids.tolist() for r in results.of("scripted")] == [[1], [2], [2], [3], [3]]
    assert (file.processed, file.restarts) == (40, 0)


def test_a_decoder_that_dies_all_the_time_is_given_up_and_the_others_go_on(
    lamps: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [RuntimeError(f"fault {k}") for k in range(9)]
    results = Results()
    broken, file = track(
        BrightEngine(make_manifest()),
        [ScriptedSource(faults, name="broken"), FileSource(VideoFile(lamps), name="file")],
        results,
    )
    assert (broken.restarts, broken.error) == (stream.MOST_RESTARTS, "fault 5")
    assert (file.processed, file.error) == (40, "")
    assert "fault 5" in caplog.text


def test_when_all_are_dead_the_run_fails() -> None:
    sources = [
        ScriptedSource([RuntimeError(f"{name} {k}") for k in range(9)], name=name) for name in ("a", "b")
    ]
    with pytest.raises(RuntimeError, match="a 5"):
        track(BrightEngine(make_manifest()), sources, Results())


@pytest.mark.parametrize("where", ["resizing", "tracking"])
def test_a_fault_in_a_frame_costs_it_and_is_got_over(
    where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In tracking it ends the tracks, whose state nobody knows."""
    update, prepare = perception.Tracker.update, perception.prepare

    def update_fails(self: Any, *arguments: Any, time_s: float, **options: Any) -> Any:
        if time_s == 0.08:
            raise ZeroDivisionError("singular")
        return update(self, *arguments, time_s=time_s, **options)

    def prepare_fails(frame: Any, *arguments: Any, **options: Any) -> Any:
        if frame.frame.index == 2:
            raise ZeroDivisionError("singular")
        return prepare(frame, *arguments, **options)

    if where == "tracking":
        monkeypatch.setattr(perception.Tracker, "update", update_fails)
    else:
        monkeypatch.setattr(stream, "prepare", prepare_fails)
    results, stop = Results(), threading.Event()
    steps: list[Any] = []
    for k in range(5):
        steps.append(source_frame(k))
        if k != 2:
            steps.append(lambda: (results.wait(), results.reached.clear()))
        else:
            steps.append(lambda: threading.Event().wait(0.1))
    with caplog.at_level(logging.WARNING):
        (summary,) = track(
            BrightEngine(make_manifest()), [ScriptedSource([*steps, stop.set])], results, stop=stop
        )
    anew = int(where == "tracking")
    assert [(r.frame, r.epoch, r.tracks.ids.tolist()) for r in results.all] == [
        (0, 0, [1]),
        (1, 0, [1]),
        (3, anew, [1 + anew]),
        (4, anew, [1 + anew]),
    ]
    assert (summary.frames_in, summary.processed, summary.dropped, summary.restarts) == (5, 4, 1, 1)
    assert "singular" in caplog.text


def test_a_file_among_others_that_cannot_be_decoded_is_told(lamps: Path) -> None:
    def nothing() -> Iterator[Any]:
        raise InputError("b.mp4", "cannot be decoded", "copy it again")
        yield

    bad = FileSource(VideoFile(lamps), name="bad")
    bad._file.frames = nothing  # type: ignore[method-assign] # a decoder that gives up
    first, second = track(BrightEngine(make_manifest()), [bad, FileSource(VideoFile(lamps))], Results())
    assert first.error == "b.mp4: cannot be decoded; copy it again" and first.frames_in == 0
    assert second.processed == 40


def test_what_has_been_decoded_when_told_to_stop_is_put_out(lamps: Path) -> None:
    stop, seen = threading.Event(), Results()

    def slow(frame: object, result: FrameResult) -> None:
        if result.frame == 3:
            stop.set()
            assert source.closed.wait(PATIENCE_S)
        seen(frame, result)

    file = VideoFile(lamps)
    source = ScriptedSource([*(source_frame(k) for k in range(400))], live=False)
    (summary,) = track(BrightEngine(make_manifest()), [source], slow, stop=stop)
    file.close()
    frames = [result.frame for result in seen.all]
    # Behind frame 3: some in the output's queue and the engine, one made ready, four decoded.
    assert frames == list(range(len(frames))) and 8 <= len(frames) <= 16
    assert summary.frames_in == summary.processed + summary.dropped < 20


def test_how_the_streams_fare_is_told_meanwhile() -> None:
    told: list[Sequence[StreamSummary]] = []
    stop = threading.Event()

    def on_status(streams: Sequence[StreamSummary]) -> None:
        told.append(streams)
        stop.set()

    results = Results()
    source = ScriptedSource([source_frame(0), results.wait])
    track(BrightEngine(make_manifest()), [source], results, stop=stop, on_status=on_status)
    ((status,), *_) = told
    assert status.stream == "scripted" and not status.ended


def test_no_frame_is_copied_on_its_way_to_the_engine(shared_data: Path) -> None:
    """From the decoder's memory straight to the network's size: nothing as large as a frame is made."""
    with VideoFile(shared_data / "video" / "forest_road.mp4") as file:
        (frame,) = islice(file.frames(), 1)
        assert not frame.planes.y.flags.owndata
        manifest = make_manifest()
        perception.prepare(frame, manifest)
        tracemalloc.start()
        try:
            item = perception.prepare(frame, manifest)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        (batch,) = stacked([item.inputs]).values()
    assert peak < frame.planes.y.nbytes / 2
    assert np.shares_memory(batch, item.inputs["frames"])
