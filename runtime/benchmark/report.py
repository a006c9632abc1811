"""What a benchmark found, as a document: ``bench --out FILE.json`` writes it, ``--against`` reads it."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from catseye.contract import Contract
from catseye.runtime.benchmark.accuracy import Accuracy
from catseye.runtime.benchmark.cold_start import ColdStart
from catseye.runtime.benchmark.distribution import Distribution
from catseye.runtime.benchmark.power import Energy
from catseye.runtime.benchmark.scenarios import Arrivals, Scenario, Timeline
from catseye.runtime.benchmark.trtexec import TrtexecTimes
from catseye.runtime.fingerprint import Fingerprint

Load = Literal["engine", "end to end"]
"""What was measured: the engine's calls alone, or the way from the packet to the record."""


class Measurement(BaseModel):
    """One scenario on one load.

    Args:
        samples_per_query: frames that are asked for at once.
        rate_per_s: queries a second that were to arrive, and by what process; None where they follow each
            other.
        seconds: from the first arrival to the last answer.
        samples_per_s: frames answered a second.
        latency: of the queries; None in Offline, where only the rate counts.
        times_ms: of each query in order: its latency; in Offline the time since the answer before.
        energy: where the board tells of power.
    """

    model_config = ConfigDict(frozen=True)

    load: Load
    scenario: Scenario
    samples_per_query: int
    rate_per_s: float | None
    arrivals: Arrivals | None
    seconds: float
    samples_per_s: float
    latency: Distribution | None
    times_ms: tuple[float, ...]
    energy: Energy | None = None

    @classmethod
    def of(
        cls,
        load: Load,
        scenario: Scenario,
        timeline: Timeline,
        *,
        rate_per_s: float | None = None,
        arrivals: Arrivals | None = None,
        energy: Energy | None = None,
    ) -> Measurement:
        """Sum up a timeline of at least one query."""
        if scenario == "Offline":
            times = np.diff(timeline.ended_s, prepend=timeline.intended_s[0])
        else:
            times = timeline.latencies_s
        times_ms = np.round(1e3 * times, 4)
        return cls(
            load=load,
            scenario=scenario,
            samples_per_query=timeline.samples,
            rate_per_s=rate_per_s,
            arrivals=arrivals,
            seconds=timeline.seconds,
            samples_per_s=timeline.samples_per_s,
            latency=None if scenario == "Offline" else Distribution.of(times_ms),
            times_ms=tuple(times_ms.tolist()),
            energy=energy,
        )

    @property
    def name(self) -> str:
        return f"{self.load}, {self.scenario}"


class StreamTrial(BaseModel):
    """Some live streams at once for a while.

    Args:
        streams: how many; rate_per_s: frames a second of each.
        due: frames that were to arrive in that time, of all streams.
        processed: those whose result was put out.
        age: from when a frame was to arrive to its result.
    """

    model_config = ConfigDict(frozen=True)

    streams: int
    rate_per_s: float
    due: int
    processed: int
    age: Distribution | None

    @property
    def lost_share(self) -> float:
        return 1 - self.processed / self.due


class StreamLimits(BaseModel):
    """How much live video is kept up with, with fewer frames lost than ``LOST`` of those due.

    Args:
        trials: in the order in which they were run.
        most_streams: at the video's own rate; 0 if not even one.
        highest_rate_per_s: of one stream; None where none was kept up with.
    """

    model_config = ConfigDict(frozen=True)

    trials: tuple[StreamTrial, ...]
    most_streams: int
    highest_rate_per_s: float | None


class BenchReport(Contract):
    """The whole of it.

    Args:
        began: UTC, ISO 8601.
        duration_s: how long each scenario was to take.
        measurements: in the order in which they were taken.
        cold_starts: each in a process of its own.
        idle_w: of the board before the engine was loaded.
        hottest_c: by thermal zone, during all of it.
        disturbances: what went on meanwhile that makes figures less sure, a sentence each.
    """

    VERSION: ClassVar[str] = "2.0"
    REMEDY: ClassVar[str] = "measure again: catseye bench BUNDLE --out FILE.json"

    began: str
    duration_s: float
    seed: int
    fingerprint: Fingerprint
    measurements: tuple[Measurement, ...]
    cold_starts: tuple[ColdStart, ...]
    streams: StreamLimits | None = None
    accuracy: Accuracy | None = None
    trtexec: TrtexecTimes | None = None
    idle_w: float | None = None
    hottest_c: dict[str, float] = Field(default_factory=dict)
    disturbances: tuple[str, ...] = ()

    def find(self, load: Load, scenario: Scenario) -> Measurement | None:
        return next((m for m in self.measurements if (m.load, m.scenario) == (load, scenario)), None)

    def notes(self) -> list[str]:
        """What is to be told beside the figures: what disturbed, and which percentiles rest on too little."""
        few = [
            f"{m.name}: p99 rests on {m.latency.count} times, too few to bound it with 99 % confidence (459)"
            for m in self.measurements
            if m.latency is not None and m.latency.p99_bound_ms is None
        ]
        engine = self.fingerprint.engine
        if self.trtexec is not None and not engine.startswith("tensorrt"):
            few.append(f"trtexec measures TensorRT, and the engine here is {engine}: they are not the same")
        return [*self.disturbances, *few]

    def figures(self) -> dict[str, float]:
        """The headline figures by name, those that there are."""
        figures: dict[str, float] = {}
        loads: tuple[tuple[Load, str], ...] = (("engine", "engine"), ("end to end", "end_to_end"))
        for load, prefix in loads:
            single, offline = self.find(load, "SingleStream"), self.find(load, "Offline")
            if single is not None and single.latency is not None:
                figures[f"{prefix}_p50_ms"] = single.latency.p50_ms
                figures[f"{prefix}_p99_ms"] = single.latency.p99_ms
            if offline is not None:
                figures[f"{prefix}_frames_per_second"] = offline.samples_per_s
        if self.cold_starts:
            figures["cold_start_s"] = float(np.median([start.first_result_s for start in self.cold_starts]))
            figures["peak_memory_mib"] = max(start.peak_memory_mib for start in self.cold_starts)
        if self.accuracy is not None:
            figures["ap50"] = self.accuracy.ap50
        return figures
