from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest
from command_line import Command

from catseye.capture.calibration import Calibration
from catseye.capture.sources import Frame, VideoFile
from catseye.capture.writer import VideoWriter
from catseye.errors import InputError, UsageError
from catseye.runtime import run, video_run
from catseye.runtime.bundle import open_bundle
from catseye.runtime.engines.base import EngineOutput, Inputs
from catseye.runtime.manifest import Manifest
from catseye.runtime.pipeline import track_video
from catseye.runtime.results import SCHEMA_FILE, FrameResult
from catseye.runtime.stream_summary import StreamSummary

from .conftest import DEPTH, BrightEngine, make_manifest, shaken

CAMERA = Calibration(width=320, height=192, K=((300, 0, 160), (0, 300, 96), (0, 0, 1)))


pytestmark = pytest.mark.usefixtures("no_thread_left")


def track(
    engine: BrightEngine, path: Path, *, calibration: Calibration | None = None
) -> tuple[StreamSummary, list[FrameResult]]:
    results: list[FrameResult] = []
    with VideoFile(path) as file:
        summary = track_video(
            engine,
            engine.manifest,
            file,
            calibration=calibration,
            threshold=0.4,
            sinks=[lambda frame, result: results.append(result)],
        )
    return summary, results


def frames_of(path: Path) -> list[Frame]:
    with VideoFile(path) as file:
        return list(file.frames())


def test_two_lamps_are_two_tracks_at_their_places(engine: BrightEngine, lamps: Path) -> None:
    summary, results = track(engine, lamps, calibration=CAMERA)
    assert (summary.frames_in, summary.processed, summary.dropped, summary.tracks) == (40, 40, 0, 2)
    assert summary.output_age is not None and summary.output_age.count == 40
    assert [result.frame for result in results] == list(range(40))
    times_s = [float(result.pts * result.time_base) for result in results]
    assert times_s[0] == pytest.approx(2.04)
    for k, result in enumerate(results):
        assert result.tracks.ids.tolist() == [1, 2]
        expected = [[20 + 5 * k, 40, 70 + 5 * k, 70], [260 - 5 * k, 120, 300 - 5 * k, 160]]
        assert np.abs(result.tracks.boxes_xyxy - expected).max() < 8
        assert result.distances.metres == pytest.approx(DEPTH * 150 / 160, rel=1e-3)
    assert results[-1].tracks.ages_s == pytest.approx(times_s[-1] - times_s[0])


@pytest.mark.parametrize("batch", [3, 7])
def test_batches_give_what_single_frames_give(engine: BrightEngine, lamps: Path, batch: int) -> None:
    """40 frames in threes or sevens leave a last batch that is not full."""
    _, single = track(engine, lamps)
    batched = BrightEngine(make_manifest(batch=batch))
    summary, results = track(batched, lamps)
    assert summary.processed == 40
    assert batched.calls == -(-40 // batch)
    for a, b in zip(single, results, strict=True):
        assert a.frame == b.frame and np.array_equal(a.tracks.boxes_xyxy, b.tracks.boxes_xyxy)


def test_damaged_packets_are_counted_and_the_account_balances(
    engine: BrightEngine, lamps: Path, tmp_path: Path
) -> None:
    content = bytearray(lamps.read_bytes())
    start = content.index(b"mdat") + 4
    middle = start + (content.index(b"moov") - start) // 2
    content[middle : middle + 60] = b"\xff" * 60
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    summary, results = track(engine, damaged)
    assert summary.corrupt_packets > 0
    assert summary.frames_in == summary.processed + summary.dropped == len(results) < 40


def test_frames_whose_time_does_not_rise_are_dropped(
    engine: BrightEngine, lamps: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = frames_of(lamps)
    frames[5] = replace(frames[5], pts=frames[4].pts)
    frames[9] = replace(frames[9], pts=frames[3].pts)
    results: list[FrameResult] = []
    with VideoFile(lamps) as file, caplog.at_level(logging.WARNING):
        file.frames = lambda: iter(frames)  # type: ignore[method-assign] # a clock that stumbles
        summary = track_video(
            engine, engine.manifest, file, threshold=0.4, sinks=[lambda f, r: results.append(r)]
        )
    assert (summary.frames_in, summary.processed, summary.dropped) == (40, 38, 2)
    assert [r.frame for r in results] == [k for k in range(40) if k not in (5, 9)]
    assert "frame 5 is dropped" in caplog.text


class FailingEngine(BrightEngine):
    def __init__(self, manifest: Manifest, error: BaseException) -> None:
        super().__init__(manifest)
        self.error = error

    def infer(self, inputs: Inputs) -> EngineOutput:
        if self.calls == 10:
            raise self.error
        return super().infer(inputs)


def test_engine_that_fails_is_one_error_and_what_was_done_is_put_out(lamps: Path) -> None:
    results: list[FrameResult] = []
    engine = FailingEngine(make_manifest(), RuntimeError("device lost"))
    with VideoFile(lamps) as file, pytest.raises(RuntimeError, match="device lost"):
        track_video(engine, engine.manifest, file, threshold=0.4, sinks=[lambda f, r: results.append(r)])
    assert [result.frame for result in results] == list(range(10))


def test_output_that_fails_is_one_error(engine: BrightEngine, lamps: Path) -> None:
    def full(frame: Frame, result: FrameResult) -> None:
        if result.frame == 3:
            raise OSError(28, "No space left on device")

    with VideoFile(lamps) as file, pytest.raises(OSError, match="No space left"):
        track_video(engine, engine.manifest, file, threshold=0.4, sinks=[full])
    assert engine.calls < 40


def test_decoder_that_fails_is_one_error(engine: BrightEngine, lamps: Path) -> None:
    def frames() -> Iterator[Frame]:
        yield from frames_of(lamps)[:4]
        raise MemoryError("no picture buffer")

    with VideoFile(lamps) as file, pytest.raises(MemoryError, match="no picture buffer"):
        file.frames = frames  # type: ignore[method-assign] # a decoder out of memory
        track_video(engine, engine.manifest, file, threshold=0.4)
    assert engine.calls == 4


def test_video_without_a_frame(engine: BrightEngine, lamps: Path) -> None:
    with VideoFile(lamps) as file, pytest.raises(InputError, match="no frame that can be decoded"):
        file.frames = lambda: iter(())  # type: ignore[method-assign] # nothing decodes
        track_video(engine, engine.manifest, file, threshold=0.4)


def test_a_picture_size_that_changes_begins_tracking_anew(engine: BrightEngine, lamps: Path) -> None:
    frames = frames_of(lamps)
    for k in range(20, 40):
        planes = frames[k].planes
        small = replace(planes, y=planes.y[:, :300], u=planes.u[:, :150], v=planes.v[:, :150])
        frames[k] = replace(frames[k], planes=small)
    results: list[FrameResult] = []
    with VideoFile(lamps) as file:
        file.frames = lambda: iter(frames)  # type: ignore[method-assign] # a camera set anew
        summary = track_video(
            engine, engine.manifest, file, threshold=0.4, sinks=[lambda f, r: results.append(r)]
        )
    assert (summary.processed, summary.epochs, summary.tracks) == (40, 2, 4)
    assert [(r.epoch, r.width, r.tracks.ids.tolist()) for r in results] == [
        *[(0, 320, [1, 2])] * 20,
        *[(1, 300, [3, 4])] * 20,
    ]
    boxes = np.array([[20 + 5 * 25, 40, 70 + 5 * 25, 70], [260 - 5 * 25, 120, 300 - 5 * 25, 160]])
    assert np.abs(results[25].tracks.boxes_xyxy - boxes).max() < 8


def test_calibration_of_another_camera_is_refused(engine: BrightEngine, lamps: Path) -> None:
    square = Calibration(width=640, height=640, K=((500, 0, 320), (0, 500, 320), (0, 0, 1)))
    with pytest.raises(InputError, match="640x640 pixels, the video of 320x192"):
        track(engine, lamps, calibration=square)


def test_progress_ends_at_the_whole(engine: BrightEngine, lamps: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with VideoFile(lamps) as file:
        track_video(engine, engine.manifest, file, threshold=0.4, progress=lambda *step: told.append(step))
    assert len(told) == 40 and all(0 <= done <= total for _, done, total in told)
    assert told[-1][1] > 0.9 * told[-1][2] > 0


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch, engine: BrightEngine) -> Path:
    """A path that opens as a bundle of the bright engine."""
    opened = SimpleNamespace(manifest=engine.manifest, sha256="0" * 64)
    monkeypatch.setattr(video_run, "open_bundle", lambda path: opened)
    monkeypatch.setattr(video_run, "load_engine", lambda bundle, **options: engine)
    return Path("bright.catseye")


@pytest.mark.parametrize("live", [False, True])
def test_only_of_files_two_frames_share_the_cores(
    live: bool, bundle: Path, engine: BrightEngine, lamps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(
        video_run, "load_engine", lambda bundle, *, overlap, **options: asked.append(overlap) or engine
    )
    over = threading.Event()
    over.set()
    run(bundle, "rtsp://127.0.0.1:1/front" if live else lamps, stop=over)
    assert asked == [not live]


def test_run_writes_valid_records_and_a_video_at_the_sources_times(
    bundle: Path, engine: BrightEngine, lamps: Path, tmp_path: Path
) -> None:
    CAMERA.save(tmp_path / "calibration.json")
    lines, video = tmp_path / "tracks.jsonl", tmp_path / "tracked.mp4"
    summary = run(bundle, lamps, jsonl=lines, video=video, calibration=tmp_path / "calibration.json")
    assert (summary.frames_in, summary.processed, summary.tracks) == (40, 40, 2)
    assert summary.fps > 0 and engine.closed

    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    source, drawn = frames_of(lamps), frames_of(video)
    for record in records:
        validator.validate(record)
    assert [record["pts"] for record in records] == [frame.pts for frame in source]
    assert {record["calibration"] for record in records} == {CAMERA.content_hash}
    assert [frame.time_s for frame in drawn] == pytest.approx([frame.time_s for frame in source])
    assert (drawn[0].planes.width, drawn[0].planes.height) == (3 * 320, 3 * 192)
    middles = drawn[20].planes.y[1::3, 1::3].astype(int)
    changed = np.abs(middles - source[20].planes.y)
    assert changed.max() > 60 and np.median(changed) < 4


def test_run_takes_the_cameras_jerks_out_where_asked_to(
    bundle: Path, catseye: Command, tmp_path: Path
) -> None:
    video = tmp_path / "shaken.mp4"
    with VideoWriter(video, width=320, height=192, time_base=Fraction(1, 10), crf=10) as writer:
        for number, picture in enumerate(shaken()):
            writer.write_rgb(picture, pts=number)
    tracks = {}
    for options in ((), ("--camera-motion",)):
        called = catseye("run", bundle, video, "--json", *options)
        assert called.code == 0, called.err
        tracks[options] = json.loads(called.out)["streams"][0]["tracks"]
    assert tracks["--camera-motion",] == 2 < tracks[()]


def test_run_interrupted_finishes_its_files(
    bundle: Path,
    lamps: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stopped = FailingEngine(make_manifest(), KeyboardInterrupt())
    monkeypatch.setattr(video_run, "load_engine", lambda bundle, **options: stopped)
    lines, video = tmp_path / "tracks.jsonl", tmp_path / "tracked.mp4"
    with pytest.raises(KeyboardInterrupt), caplog.at_level(logging.WARNING):
        run(bundle, lamps, jsonl=lines, video=video)
    assert len(lines.read_text().splitlines()) == 10
    assert len(frames_of(video)) == 10
    assert stopped.closed and "interrupted" in caplog.text


def test_run_that_fails_keeps_its_records_aside(
    bundle: Path, lamps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = FailingEngine(make_manifest(), RuntimeError("device lost"))
    monkeypatch.setattr(video_run, "load_engine", lambda bundle, **options: failing)
    with pytest.raises(RuntimeError, match="device lost"):
        run(bundle, lamps, jsonl=tmp_path / "tracks.jsonl", video=tmp_path / "tracked.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["tracks.jsonl.part"]
    assert len((tmp_path / "tracks.jsonl.part").read_text().splitlines()) == 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"min_likeness": 1.5}, "min_likeness is 1.5: must be from 0 to 1"),
        ({"video": "tracked.avi"}, "tracked.avi"),
    ],
)
def test_options_that_cannot_be(bundle: Path, lamps: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run(bundle, lamps, **options)


def test_likeness_asks_for_embeddings(
    lamps: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = open_bundle(tiny_bundle)
    silent = tiny.manifest.model_copy(update={"embedding_dim": None})
    monkeypatch.setattr(video_run, "open_bundle", lambda path: replace(tiny, manifest=silent))
    with pytest.raises(UsageError, match=r"min_likeness is 0\.7: .*tiny\.catseye gives no embeddings"):
        run(tiny_bundle, lamps, min_likeness=0.7)


def test_the_source_is_never_written_over(bundle: Path, lamps: Path) -> None:
    before = lamps.read_bytes()
    with pytest.raises(UsageError, match="source"):
        run(bundle, lamps, video=lamps.parent / "." / lamps.name)
    assert lamps.read_bytes() == before


class OverlappingEngine(BrightEngine):
    """Two calls may be under way; it remembers what was asked of it in what order."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self.asked: list[str] = []
        self.under_way: dict[int, Inputs] = {}

    def start(self, inputs: Inputs) -> int:
        number = self.asked.count("start") % 2
        self.asked.append("start")
        self.under_way[number] = inputs
        assert len(self.under_way) <= 2
        return number

    def finish(self, number: int) -> EngineOutput:
        self.asked.append("finish")
        return self.infer(self.under_way.pop(number))


@pytest.mark.parametrize("batch", [1, 3])
def test_an_engine_that_can_works_ahead_and_changes_nothing(batch: int, lamps: Path) -> None:
    plain, ahead = BrightEngine(make_manifest(batch=batch)), OverlappingEngine(make_manifest(batch=batch))
    told = [
        [(result.frame, result.tracks.ids.tolist(), result.tracks.boxes_xyxy.tolist()) for result in results]
        for _, results in (track(plain, lamps), track(ahead, lamps))
    ]
    assert told[0] == told[1] and len(told[0]) == 40
    assert ahead.asked[:4] == ["start", "start", "finish", "start"]
    assert ahead.asked.count("start") == ahead.asked.count("finish") == -(-40 // batch)
    assert not ahead.under_way


def test_a_call_under_way_is_finished_when_the_run_is_left(lamps: Path) -> None:
    engine = OverlappingEngine(make_manifest())

    def stop(frame: Frame, result: FrameResult) -> None:
        raise InputError("sink", "is full", "empty it")

    with VideoFile(lamps) as file, pytest.raises(InputError, match="is full"):
        track_video(engine, engine.manifest, file, threshold=0.4, sinks=[stop])
    assert not engine.under_way
