from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from bright_engine import BrightEngine, make_manifest

from catseye.capture.sources import VideoFile
from catseye.errors import CatseyeError, InputError, UsageError
from catseye.files import sha256_of
from catseye.runtime import BenchReport, bench
from catseye.runtime.benchmark import measuring, render
from catseye.runtime.engines.base import EngineOutput, Inputs

QUERIES = {"queries": 12, "warm_up": 3}
TIMED = ("SingleStream", "MultiStream", "Server", "Offline")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> BrightEngine:
    made = BrightEngine(make_manifest(batch=getattr(request, "param", 1)))
    opened = SimpleNamespace(manifest=made.manifest, sha256="ab" * 32)
    monkeypatch.setattr(measuring, "open_bundle", lambda path: opened)
    monkeypatch.setattr(measuring, "load_engine", lambda bundle, **options: made)
    return made


@pytest.mark.parametrize("engine", [1, 3], indirect=True)
def test_every_scenario_puts_its_queries(engine: BrightEngine, lamps: Path) -> None:
    report = bench("x.catseye", lamps, scenarios=TIMED, threads=2, **QUERIES)
    batch = engine.manifest.network.batch
    assert engine.closed
    found = {(m.load, m.scenario): m for m in report.measurements}
    frames = {1: 12, 3: 10}[batch]  # of 40 frames, 9 of which warm up, ten whole batches and one of a frame
    expected = {
        ("engine", "SingleStream"): (12, batch),
        ("engine", "MultiStream"): (12, 8),
        ("engine", "Server"): (12, batch),
        ("engine", "Offline"): (12, batch),
        ("end to end", "SingleStream"): (min(12, frames + 1), batch),
        ("end to end", "Server"): (min(12, frames + 1), batch),
        ("end to end", "Offline"): ({1: 12, 3: 36}[batch], 1),
    }
    assert {key: (len(m.times_ms), m.samples_per_query) for key, m in found.items()} == expected
    calls = 3 + 12 + 12 * -(-8 // batch) + 12 + 3 + 12 + 2 * (3 + min(12, frames + 1)) + {1: 12, 3: 12}[batch]
    assert engine.calls == calls
    for (_, scenario), m in found.items():
        assert m.seconds > 0 and m.samples_per_s > 0
        assert (m.latency is None) == (scenario == "Offline")
        assert (m.rate_per_s is None) == (m.arrivals is None) == (scenario != "Server")
        if scenario == "Offline":  # gaps between answers, which make up all of the time
            assert sum(m.times_ms) / 1e3 == pytest.approx(m.seconds, abs=1e-5)
    single, server = found["engine", "SingleStream"], found["engine", "Server"]
    assert single.latency is not None and server.rate_per_s is not None
    assert server.rate_per_s == pytest.approx(0.6 * 12 / single.seconds, rel=1e-6)
    print_ = report.fingerprint
    assert (print_.engine, print_.threads, print_.bundle_sha256) == ("bright", 2, "ab" * 32)
    assert (print_.precision, print_.network) == ("fp32", f"160x96 x{batch} rgb8")
    assert (print_.input, print_.input_sha256) == ("lamps.mp4", sha256_of(lamps))
    assert {"numpy", "av"} <= set(print_.libraries) and print_.cores > 0 and print_.cpu
    assert sum("too few to bound it" in told for told in report.notes()) == 5


def test_a_report_is_read_as_it_was_written(engine: BrightEngine, lamps: Path, tmp_path: Path) -> None:
    report = bench("x.catseye", lamps, scenarios=("SingleStream", "Offline"), **QUERIES)
    report.save(tmp_path / "report.json")
    again = BenchReport.load(tmp_path / "report.json")
    assert again.measurements == report.measurements and again.fingerprint == report.fingerprint
    assert json.loads((tmp_path / "report.json").read_text())["schema_version"] == "2.0"
    assert {m.scenario for m in report.measurements} == {"SingleStream", "Offline"}
    assert set(report.figures()) == {
        f"{load}_{figure}"
        for load in ("engine", "end_to_end")
        for figure in ("p50_ms", "p99_ms", "frames_per_second")
    }


def test_the_rate_of_a_baseline_is_taken_over_and_its_fingerprint_asked_for(
    engine: BrightEngine, lamps: Path
) -> None:
    before = bench("x.catseye", lamps, scenarios=("Server",), rate=400.0, **QUERIES)
    assert {m.rate_per_s for m in before.measurements} == {400.0}
    after = bench("x.catseye", lamps, scenarios=("Server",), against=before, **QUERIES)
    assert {m.rate_per_s for m in after.measurements} == {400.0}
    engine.calls = 0
    with pytest.raises(CatseyeError, match="threads is 2, was 0"):
        bench("x.catseye", lamps, against=before, threads=2, **QUERIES)
    assert engine.calls == 0


def test_what_an_engine_that_overlaps_calls_is_given(engine: BrightEngine, lamps: Path) -> None:
    under_way: list[Inputs] = []
    most = 0

    class Overlapping(BrightEngine):
        def start(self, inputs: Inputs) -> int:
            nonlocal most
            under_way.append(inputs)
            most = max(most, len(under_way))
            return len(under_way)

        def finish(self, number: int) -> EngineOutput:
            return self.infer(under_way.pop(0))

    from catseye.runtime.benchmark.engine_load import EngineLoad

    overlapping = Overlapping(engine.manifest)
    answered = list(EngineLoad(overlapping, engine.manifest).answers(range(9)))
    assert (len(answered), overlapping.calls, most, under_way) == (9, 9, 2, [])


@pytest.mark.parametrize("scenarios", [TIMED, TIMED[:-1]])
def test_offline_alone_is_run_on_the_engine_for_files(
    monkeypatch: pytest.MonkeyPatch, lamps: Path, scenarios: tuple[str, ...]
) -> None:
    made: dict[bool, BrightEngine] = {}

    def load(bundle: object, *, overlap: bool = False, **options: object) -> BrightEngine:
        made[overlap] = BrightEngine(make_manifest(batch=1))
        return made[overlap]

    opened = SimpleNamespace(manifest=make_manifest(batch=1), sha256="ab" * 32)
    monkeypatch.setattr(measuring, "open_bundle", lambda path: opened)
    monkeypatch.setattr(measuring, "load_engine", load)
    bench("x.catseye", lamps, scenarios=scenarios, **QUERIES)
    expected = {False: 3 + 12 + 12 * 8 + 12 + 2 * (3 + 12)}
    if "Offline" in scenarios:
        expected[True] = 3 + 12 + 12
    assert {overlap: engine.calls for overlap, engine in made.items()} == expected
    assert all(engine.closed for engine in made.values())


def test_rendered_clip_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        render(tmp_path / name, frames=10)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with VideoFile(tmp_path / "a.mp4") as file:
        frame = next(iter(file.frames()))
    assert (frame.planes.width, frame.planes.height) == (1280, 720)
    assert frame.planes.y.max() > 200


def test_video_shorter_than_the_warm_up(engine: BrightEngine, lamps: Path) -> None:
    for warm_up in (40, 50):
        with pytest.raises(InputError, match=f"no more frames than the warm-up takes, {warm_up} queries"):
            bench("x.catseye", lamps, queries=1, warm_up=warm_up)


def test_options_and_source_that_cannot_be(engine: BrightEngine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="queries is 0"):
        bench("x.catseye", queries=0)
    with pytest.raises(UsageError, match=r"duration_s is 0\.0"):
        bench("x.catseye", duration_s=0.0)
    with pytest.raises(UsageError, match="scenario 'Burst': choose from SingleStream"):
        bench("x.catseye", scenarios=("Burst",))
    with pytest.raises(InputError, match="no such file"):
        bench("x.catseye", tmp_path / "gone.mp4")
