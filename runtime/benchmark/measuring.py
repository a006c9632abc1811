"""``bench``: every scenario in turn, with what the machine does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from catseye.capture.sources import VideoFile
from catseye.errors import UsageError
from catseye.files import sha256_of
from catseye.progress import Progress, silent
from catseye.runtime.benchmark.accuracy import measure_accuracy
from catseye.runtime.benchmark.board import Board, Log, watched
from catseye.runtime.benchmark.cold_start import ColdStart, cold_start
from catseye.runtime.benchmark.comparison import refuse_other_fingerprint
from catseye.runtime.benchmark.disturbances import Moment, disturbances
from catseye.runtime.benchmark.power import energy, mean_power_w
from catseye.runtime.benchmark.rendered_clip import RENDERED_NAME, clip
from catseye.runtime.benchmark.report import BenchReport, Load, Measurement
from catseye.runtime.benchmark.scenario_runs import Plan, Run, run_engine, run_frames
from catseye.runtime.benchmark.scenarios import MULTI_STREAM_SAMPLES, Arrivals, Budget, WallClock
from catseye.runtime.benchmark.streams import stream_limits
from catseye.runtime.benchmark.trtexec import read_trtexec
from catseye.runtime.bundle import Bundle, open_bundle
from catseye.runtime.engines.base import Engine, OverlappingEngine
from catseye.runtime.engines.load import load_engine
from catseye.runtime.fingerprint import Fingerprint
from catseye.runtime.manifest import Manifest
from catseye.runtime.plan_options import PlanOptions
from catseye.runtime.precision import PRECISIONS

SCENARIOS = ("SingleStream", "MultiStream", "Server", "Offline", "Cold", "Streams")
DEFAULT_SCENARIOS = SCENARIOS[:-1]
IDLE_S = 2.0
_COLD_STARTS = 3
_COLD_FRAMES = 60


def bench(
    bundle: str | Path,
    source: str | Path | None = None,
    *,
    engine: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    plans: PlanOptions | None = None,
    scenarios: Sequence[str] = DEFAULT_SCENARIOS,
    duration_s: float = 5.0,
    queries: int | None = None,
    warm_up: int = 10,
    samples_per_query: int = MULTI_STREAM_SAMPLES,
    rate: float | None = None,
    arrivals: Arrivals = "poisson",
    labels: str | Path | None = None,
    images: str | Path | None = None,
    test_list: str | Path | None = None,
    trtexec: str | Path | None = None,
    trtexec_profile: str | Path | None = None,
    against: BenchReport | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> BenchReport:
    """Measure a bundle on this machine.

    Args:
        bundle: a signed bundle.
        source: a video file; None renders one of 1280×720 with moving rectangles.
        engine: what executes the graph, see ``load_engine``.
        precision: which of the bundle's graphs, likewise.
        threads: cores one call of the engine may use on the CPU; 0 takes all.
        plans: how TensorRT's plans are built and kept, see ``load_engine``.
        scenarios: of ``SCENARIOS``, those to run.
        duration_s: for how long each puts queries.
        queries: how many each puts, in place of that.
        warm_up: queries before those that count.
        samples_per_query: of MultiStream.
        rate: queries a second that arrive in Server; None takes the baseline's, or else ``SERVER_SHARE`` of
            what SingleStream has answered.
        arrivals: how they do.
        labels: COCO labels of stills to measure average precision on; ``images`` and ``test_list`` as for
            ``measure_accuracy``.
        trtexec: what ``trtexec --exportTimes`` wrote of the same engine; ``trtexec_profile``: likewise.
        against: a report that this one is to be compared with, which is refused before anything is measured.
        seed: of the arrivals.

    Raises:
        InputError: bundle, source, labels or trtexec's files are not what they must be.
        UsageError: an option has a value that cannot be.
        CatseyeError: the engine does not load the graph, or the baseline is of another machine.
    """
    _check(
        scenarios,
        duration_s=duration_s,
        queries=queries,
        warm_up=warm_up,
        samples_per_query=samples_per_query,
        rate=rate,
    )
    foreign = None if trtexec is None else read_trtexec(Path(trtexec), _path(trtexec_profile))
    if source is not None:
        VideoFile(source).close()
    began = datetime.now(timezone.utc).isoformat(timespec="seconds")
    opened = open_bundle(bundle)
    engine_options: dict[str, Any] = {"engine": engine, "precision": precision, "threads": threads}
    plan = Plan(
        scenarios=scenarios,
        budget=Budget(duration_s, queries),
        warm_up=warm_up,
        samples_per_query=samples_per_query,
        rates=lambda load: rate or _rate_of(against, load),
        arrivals=arrivals,
        seed=seed,
    )
    board = Board()
    accuracy = None
    with clip(source) as path, watched(board) as log:
        idle_w = _idle(board, log)
        with _loaded(opened, scenarios, **engine_options, plans=plans) as (runner, of_files):
            fingerprint = _fingerprint(opened, runner, precision, threads, path, source)
            if against is not None:
                refuse_other_fingerprint(against, fingerprint)
            if labels is not None:
                accuracy = measure_accuracy(
                    runner,
                    opened.manifest,
                    Path(labels),
                    images=_path(images),
                    test_list=_path(test_list),
                    progress=progress,
                )
            before = Moment.now(board)
            measurements = [
                _measured(run, log, idle_w)
                for run in _told(_runs(runner, of_files, opened.manifest, path, plan), scenarios, progress)
            ]
            streams = None
            if "Streams" in scenarios:
                streams = stream_limits(runner, opened.manifest, path, seconds=duration_s, progress=progress)
            after = Moment.now(board)
        starts: list[ColdStart] = []
        for number in range(_COLD_STARTS if "Cold" in scenarios else 0):
            options = {**engine_options, "plans": None if plans is None else asdict(plans)}
            starts.append(cold_start(bundle, path, frames=_COLD_FRAMES, **options))
            progress("cold start", number + 1, _COLD_STARTS)
    told = disturbances(before, after, readings=log.readings, governor=fingerprint.governor)
    return BenchReport(
        began=began,
        duration_s=duration_s,
        seed=seed,
        fingerprint=fingerprint,
        measurements=tuple(measurements),
        cold_starts=tuple(starts),
        streams=streams,
        accuracy=accuracy,
        trtexec=foreign,
        idle_w=idle_w,
        hottest_c=_hottest(log),
        disturbances=tuple(told),
    )


def _check(scenarios: Sequence[str], **numbers: float | None) -> None:
    if unknown := [name for name in scenarios if name not in SCENARIOS]:
        raise UsageError(f"scenario {unknown[0]!r}: choose from {', '.join(SCENARIOS)}")
    if not scenarios:
        raise UsageError(f"no scenario is given: choose from {', '.join(SCENARIOS)}")
    for name, value in numbers.items():
        least = 0 if name == "warm_up" else 1 if name in {"queries", "samples_per_query"} else None
        if value is not None and (value <= 0 if least is None else value < least):
            raise UsageError(
                f"{name} is {value}: give {'more than 0' if least is None else f'{least} or more'}"
            )


@contextmanager
def _loaded(
    bundle: Bundle, scenarios: Sequence[str], **options: Any
) -> Generator[tuple[Engine, Engine], None, None]:
    """The engine, and the one that Offline is run on: as ``run`` has it for files, see ``overlapped``."""
    with closing(load_engine(bundle, **options)) as engine:
        if "Offline" not in scenarios or isinstance(engine, OverlappingEngine):
            yield engine, engine
            return
        with closing(load_engine(bundle, **options, overlap=True)) as of_files:
            yield engine, of_files


def _runs(engine: Engine, of_files: Engine, manifest: Manifest, path: Path, plan: Plan) -> Iterator[Run]:
    clock = WallClock()
    if set(plan.scenarios) & {"SingleStream", "MultiStream", "Server", "Offline"}:
        yield from run_engine(engine, manifest, plan, clock, of_files=of_files)
        yield from run_frames(engine, manifest, path, plan, clock, of_files=of_files)


def _told(runs: Iterator[Run], scenarios: Sequence[str], progress: Progress) -> Iterator[Run]:
    """The runs, with progress told of each."""
    total = sum({"MultiStream": 1, "Cold": 0, "Streams": 0}.get(name, 2) for name in scenarios)
    for number, run in enumerate(runs, start=1):
        progress("scenarios", number, total)
        yield run


def _measured(run: Run, log: Log, idle_w: float | None) -> Measurement:
    timeline = run.timeline
    return Measurement.of(
        run.load,
        run.scenario,
        timeline,
        rate_per_s=run.rate_per_s,
        arrivals=run.arrivals,
        energy=energy(
            log.between(float(timeline.intended_s[0]), float(timeline.ended_s[-1])),
            seconds=timeline.seconds,
            frames=len(timeline.ended_s) * timeline.samples,
            idle_w=idle_w,
        ),
    )


def _rate_of(report: BenchReport | None, load: Load) -> float | None:
    """At which rate queries arrived in a report's Server, so that another can be compared with it."""
    found = None if report is None else report.find(load, "Server")
    return None if found is None else found.rate_per_s


def _idle(board: Board, log: Log) -> float | None:
    """What the board draws while nothing is done; not waited for where it does not tell of power."""
    if not board.read().rails_w:
        return None
    time.sleep(IDLE_S)
    return mean_power_w(log.readings)


def _fingerprint(
    bundle: Bundle, engine: Engine, precision: str, threads: int, path: Path, source: str | Path | None
) -> Fingerprint:
    network = bundle.manifest.network
    return Fingerprint.take(
        engine=engine.name,
        precision=_precision(bundle.manifest, engine, precision),
        threads=threads,
        network=f"{network.width}x{network.height} x{network.batch} {network.input}",
        bundle_sha256=bundle.sha256,
        input_name=path.name if source is not None else RENDERED_NAME,
        input_sha256=sha256_of(path),
    )


def _precision(manifest: Manifest, engine: Engine, asked: str) -> str:
    """Which graph an engine runs: what was asked for, what its name says, or what a processor is given."""
    if asked != "auto":
        return asked
    return next((name for name in PRECISIONS if name in engine.name.split()), manifest.cpu_precision)


def _hottest(log: Log) -> dict[str, float]:
    hottest: dict[str, float] = {}
    for reading in log.readings:
        for name, degrees in reading.temperatures_c.items():
            hottest[name] = max(degrees, hottest.get(name, degrees))
    return hottest


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
