from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from catseye.capture.sources import VideoFile
from catseye.errors import InputError, UsageError
from catseye.files import sha256_of
from catseye.runtime import bench, benchmark
from catseye.runtime.latency import Latency

from .conftest import BrightEngine, make_manifest


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> BrightEngine:
    made = BrightEngine(make_manifest(batch=getattr(request, "param", 1)))
    opened = SimpleNamespace(manifest=made.manifest, sha256="ab" * 32)
    monkeypatch.setattr(benchmark, "open_bundle", lambda path: opened)
    monkeypatch.setattr(benchmark, "load_engine", lambda bundle, **options: made)
    return made


@pytest.mark.parametrize("engine", [1, 3], indirect=True)
def test_report_of_a_video(engine: BrightEngine, lamps: Path) -> None:
    report = bench("x.catseye", lamps, calls=12, warm_up=3, frames=20, threads=2)
    batch = engine.manifest.network.batch
    assert report.engine_only.count == 12
    assert report.end_to_end.count == {1: 20, 3: 21}[batch]
    assert engine.calls == 1 + (3 + 12) + {1: 3 + 20, 3: 1 + 7}[batch] + {1: 23, 3: 8}[batch]
    assert engine.closed
    for latency in (report.engine_only, report.end_to_end):
        assert 0 < latency.p50_ms <= latency.p90_ms <= latency.p99_ms <= latency.max_ms
    assert report.throughput_fps > 0 and report.cold_start_s > 0 and report.peak_memory_mib > 10
    print_ = report.fingerprint
    assert (print_.engine, print_.threads, print_.bundle_sha256) == ("bright", 2, "ab" * 32)
    assert (print_.input, print_.input_sha256) == ("lamps.mp4", sha256_of(lamps))
    assert {"numpy", "av"} <= set(print_.libraries) and print_.cores > 0 and print_.cpu

    document = json.loads(json.dumps(report.to_json()))
    assert document["schema_version"] == "1.0"
    assert document["end_to_end"]["p99_ms"] == pytest.approx(report.end_to_end.p99_ms, abs=1e-3)
    assert document["fingerprint"]["libraries"] == print_.libraries
    rows = dict(report.table())
    assert f"{report.engine_only.p90_ms:.2f}" in rows["engine only"]
    assert set(report.figures()) >= {"engine_p50_ms", "end_to_end_p50_ms", "frames_per_second"}


def test_without_a_source_a_clip_is_rendered(engine: BrightEngine) -> None:
    report = bench("x.catseye", calls=2, warm_up=0, frames=500)
    assert report.fingerprint.input == "rendered 1280x720"
    assert report.end_to_end.count == 120


def test_rendered_clip_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        benchmark.render(tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with VideoFile(tmp_path / "a.mp4") as file:
        frame = next(iter(file.frames()))
    assert (frame.planes.width, frame.planes.height) == (1280, 720)
    assert frame.planes.y.max() > 200


def test_percentiles_are_times_that_occurred() -> None:
    latency = Latency.of([k / 1000 for k in range(1, 101)])
    assert latency == Latency(50.0, 90.0, 99.0, 100.0, 100)
    assert Latency.of([]) is None


def test_video_shorter_than_the_warm_up(engine: BrightEngine, lamps: Path) -> None:
    with pytest.raises(InputError, match="no more than 50 frames"):
        bench("x.catseye", lamps, calls=1, warm_up=50)


def test_options_and_source_that_cannot_be(engine: BrightEngine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="calls is 0"):
        bench("x.catseye", calls=0)
    with pytest.raises(InputError, match="no such file"):
        bench("x.catseye", tmp_path / "gone.mp4")
