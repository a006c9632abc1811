from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from bright_engine import BrightEngine

from catseye.capture.sources import Frame, VideoFile
from catseye.errors import InputError
from catseye.runtime.benchmark import live_replay
from catseye.runtime.benchmark.live_replay import LiveReplay, frame_rate
from catseye.runtime.benchmark.streams import highest_rate, most_streams, run_trial
from catseye.runtime.engines.base import EngineOutput, Inputs
from catseye.runtime.manifest import Manifest


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 6, 7, 16, 64, 99])
def test_the_most_streams_are_found(limit: int) -> None:
    asked: list[int] = []

    def keeps_up(streams: int) -> bool:
        asked.append(streams)
        return streams <= limit

    assert most_streams(keeps_up, most=64) == min(limit, 64)
    assert len(asked) == len(set(asked)) and max(asked) <= 64


@pytest.mark.parametrize("limit", [3.0, 24.0, 30.0, 31.0, 200.0])
def test_the_highest_rate_is_found_within_a_tenth(limit: float) -> None:
    asked: list[float] = []

    def keeps_up(rate: float) -> bool:
        asked.append(rate)
        return rate <= limit

    found = highest_rate(keeps_up, 30.0, known=limit >= 30)
    assert found is not None and found <= limit < 1.1 * found
    assert len(asked) == len(set(asked)) and 30.0 not in asked


def test_rates_without_a_limit_and_without_hope() -> None:
    assert highest_rate(lambda rate: True, 30.0, known=True) == 30.0 * 2**6
    assert highest_rate(lambda rate: False, 30.0, known=False) is None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time that passes only in sleep."""
    fake = SimpleNamespace(at=100.0)

    def sleep(seconds: float) -> None:
        fake.at += seconds

    monkeypatch.setattr(live_replay, "time", SimpleNamespace(perf_counter=lambda: fake.at, sleep=sleep))
    return fake


def test_a_replay_gives_each_frame_at_its_time_and_begins_anew(lamps: Path, clock: SimpleNamespace) -> None:
    replay = LiveReplay(lamps, name="a", rate=400.0, for_s=0.15, after_s=0.01)
    frames, times = [], []
    for frame in replay.frames():
        frames.append(frame)
        times.append(clock.at)
    due = [frame.arrived_s for frame in frames]
    assert due == pytest.approx([100.01 + k / 400 for k in range(60)])
    assert times == pytest.approx(due)
    assert [frame.epoch for frame in frames] == [0] * 40 + [1] * 20
    assert (frames[0].width, frames[0].height, replay.live, replay.due) == (320, 192, True, 60)


def test_what_could_not_be_decoded_in_time_is_lost(lamps: Path, clock: SimpleNamespace) -> None:
    """Whoever takes the frames takes ten times as long as they are apart, as a decoder that is too slow."""
    replay = LiveReplay(lamps, name="a", rate=1000.0, for_s=0.1)
    ages = []
    for frame in replay.frames():
        ages.append(clock.at - frame.arrived_s)
        clock.at += 0.0101
    assert (replay.due, len(ages)) == (100, 10)
    assert ages == pytest.approx([0.0091 * k for k in range(10)])
    closed = LiveReplay(lamps, name="a", rate=10.0, for_s=60.0)
    stream = closed.frames()
    next(stream)
    closed.close()
    assert next(stream, None) is None


def test_a_trial_counts_what_is_lost(lamps: Path, manifest: Manifest) -> None:
    class Slow(BrightEngine):
        """Takes 30 ms a frame: a tenth of what is due."""

        def infer(self, inputs: Inputs) -> EngineOutput:
            time.sleep(0.03)
            return super().infer(inputs)

    trial = run_trial(Slow(manifest), manifest, lamps, streams=2, rate=150.0, seconds=0.5)
    assert (trial.streams, trial.due) == (2, 150)
    assert 1 <= trial.processed <= 22 and trial.lost_share == 1 - trial.processed / 150
    assert trial.age is not None and trial.age.count == trial.processed and trial.age.p50_ms > 30


def test_frames_that_a_slow_decoder_has_not_come_to_are_lost_too(
    lamps: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SlowFile(VideoFile):
        def frames(self) -> Iterator[Frame]:
            for frame in super().frames():
                time.sleep(0.03)
                yield frame

    monkeypatch.setattr(live_replay, "VideoFile", SlowFile)
    trial = run_trial(BrightEngine(manifest), manifest, lamps, streams=1, rate=150.0, seconds=0.4)
    assert trial.due == 60 and 1 <= trial.processed <= 14


def test_rate_of_a_video(lamps: Path, tmp_path: Path) -> None:
    assert frame_rate(lamps) == pytest.approx(25.0)  # four of five gaps are of 40 ms
    with pytest.raises(InputError, match="no such file"):
        frame_rate(tmp_path / "gone.mp4")
