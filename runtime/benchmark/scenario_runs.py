"""Every scenario on the engine alone and on the whole way of a frame, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from catseye.errors import InputError
from catseye.runtime.benchmark.engine_load import EngineLoad
from catseye.runtime.benchmark.pipeline_load import frame_by_frame, whole_file
from catseye.runtime.benchmark.report import Load
from catseye.runtime.benchmark.scenarios import (
    Arrivals,
    Budget,
    Clock,
    Scenario,
    Serve,
    Timeline,
    arrival_times,
    closed_loop,
    offline,
    open_loop,
)
from catseye.runtime.engines.base import Engine
from catseye.runtime.manifest import Manifest

SERVER_SHARE = 0.6
"""Rate at which queries arrive in Server, as a share of what SingleStream has answered: busy, not overrun."""
_FILE_AHEAD = 2.0
"""How much faster than frame by frame a whole file may go; what is too much is not read."""

Rates = Callable[[Load], float | None]
"""Queries a second that are to arrive in Server at a load, or None for a share of what it has answered."""


@dataclass(frozen=True)
class Plan:
    """What is run, and for how long.

    Args:
        scenarios: by name.
        budget: of each, after ``warm_up`` queries that do not count.
        samples_per_query: of MultiStream; at least a batch.
        rates: at which queries arrive in Server, by the process ``arrivals`` with ``seed``.
    """

    scenarios: Collection[str]
    budget: Budget
    warm_up: int
    samples_per_query: int
    rates: Rates
    arrivals: Arrivals
    seed: int


@dataclass(frozen=True)
class Run:
    """One scenario that has been run; ``rate_per_s`` and ``arrivals`` as in ``Measurement``."""

    load: Load
    scenario: Scenario
    timeline: Timeline
    rate_per_s: float | None = None
    arrivals: Arrivals | None = None


def run_engine(
    engine: Engine, manifest: Manifest, plan: Plan, clock: Clock, *, of_files: Engine
) -> Iterator[Run]:
    """The scenarios on the engine alone.

    A query is a whole batch of the bundle's, which is one sample only where the bundle has one.

    Args:
        of_files: what Offline is run on: the engine that a file, whose frames are all there, would be given.
    """
    load = EngineLoad(engine, manifest)
    serve = load.serve(load.batch)
    warm = closed_loop(serve, Budget(queries=max(1, plan.warm_up)), samples=load.batch, clock=clock)
    query_s = warm.seconds / len(warm.ended_s)
    if "SingleStream" in plan.scenarios:
        single = closed_loop(serve, plan.budget, samples=load.batch, clock=clock)
        query_s = single.seconds / len(single.ended_s)
        yield Run("engine", "SingleStream", single)
    if "MultiStream" in plan.scenarios:
        samples = max(plan.samples_per_query, load.batch)
        many = load.serve(samples)
        yield Run("engine", "MultiStream", closed_loop(many, plan.budget, samples=samples, clock=clock))
    if "Server" in plan.scenarios:
        yield _server("engine", serve, plan, query_s=query_s, samples=load.batch, clock=clock)
    if "Offline" in plan.scenarios:
        ahead = EngineLoad(of_files, manifest)
        for _ in ahead.answers(range(max(1, plan.warm_up))):
            pass
        answers = ahead.answers(plan.budget.numbers(clock))
        yield Run("engine", "Offline", offline(answers, samples=load.batch, clock=clock))


def run_frames(
    engine: Engine, manifest: Manifest, path: Path, plan: Plan, clock: Clock, *, of_files: Engine
) -> Iterator[Run]:
    """The scenarios on the way from the packet to the record, each from the start of a video, once through.

    MultiStream is left out: several cameras are what ``streams`` measures.

    Args:
        of_files: as for ``run_engine``.

    Raises:
        InputError: the video is no longer than the warm-up.
    """
    batch = manifest.network.batch
    query_s = 0.0
    if {"SingleStream", "Server", "Offline"} & set(plan.scenarios):
        with frame_by_frame(engine, manifest, path) as serve:
            _warm(serve, path, plan.warm_up, clock)
            single = closed_loop(serve, plan.budget, samples=batch, clock=clock)
        if not len(single.ended_s):
            raise _too_short(path, plan.warm_up)
        query_s = single.seconds / len(single.ended_s)
        if "SingleStream" in plan.scenarios:
            yield Run("end to end", "SingleStream", single)
    if "Server" in plan.scenarios:
        with frame_by_frame(engine, manifest, path) as serve:
            _warm(serve, path, plan.warm_up, clock)
            yield _server("end to end", serve, plan, query_s=query_s, samples=batch, clock=clock)
    if "Offline" in plan.scenarios:
        limit = batch * (plan.budget.queries or plan.budget.count(_FILE_AHEAD / query_s))
        yield Run("end to end", "Offline", whole_file(of_files, manifest, path, limit=limit, clock=clock))


def _server(load: Load, serve: Serve, plan: Plan, *, query_s: float, samples: int, clock: Clock) -> Run:
    rate = plan.rates(load) or SERVER_SHARE / query_s
    times = arrival_times(plan.arrivals, rate, plan.budget.count(rate), seed=plan.seed)
    return Run(load, "Server", open_loop(serve, times, samples=samples, clock=clock), rate, plan.arrivals)


def _warm(serve: Serve, path: Path, queries: int, clock: Clock) -> None:
    if len(closed_loop(serve, Budget(queries=queries), clock=clock).ended_s) < queries:
        raise _too_short(path, queries)


def _too_short(path: Path, warm_up: int) -> InputError:
    return InputError(
        path, f"has no more frames than the warm-up takes, {warm_up} queries", "give a longer video"
    )
