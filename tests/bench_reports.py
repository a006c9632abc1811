"""Reports whose every figure a test has chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from catseye.runtime.benchmark.cold_start import ColdStart
from catseye.runtime.benchmark.distribution import Distribution
from catseye.runtime.benchmark.power import Energy
from catseye.runtime.benchmark.report import BenchReport, Load, Measurement, StreamLimits, StreamTrial
from catseye.runtime.benchmark.scenarios import Arrivals, Scenario
from catseye.runtime.fingerprint import Fingerprint

MACHINE: dict[str, Any] = {
    "cpu": "A <b>processor</b> | of ours",
    "board": "",
    "cores": 2,
    "cpu_quota": None,
    "memory_mib": 4096,
    "os": "Linux 6.1 x86_64",
    "governor": "performance",
    "cpu_max_mhz": 3000.0,
    "power_mode": "",
    "l4t": "",
    "gpu": "",
    "driver": "",
    "python": "3.11.7",
    "catseye": "0.1.0",
    "libraries": {"numpy": "2.0"},
    "engine": "onnxruntime 1.20 cpu",
    "precision": "fp32",
    "threads": 0,
    "network": "448x256 x1 rgb8",
    "bundle_sha256": "ab" * 32,
    "input": "road.mp4",
    "input_sha256": "cd" * 32,
}


def measurement(
    scenario: Scenario,
    times_ms: ArrayLike,
    *,
    load: Load = "engine",
    rate: float | None = None,
    arrivals: Arrivals = "poisson",
    samples: int = 1,
    energy: Energy | None = None,
) -> Measurement:
    times = np.asarray(times_ms, dtype=float)
    seconds = float(times.sum()) / 1e3
    return Measurement(
        load=load,
        scenario=scenario,
        samples_per_query=samples,
        rate_per_s=rate,
        arrivals=None if rate is None else arrivals,
        seconds=seconds,
        samples_per_s=len(times) * samples / seconds,
        latency=None if scenario == "Offline" else Distribution.of(times),
        times_ms=tuple(times.tolist()),
        energy=energy,
    )


def report(*measurements: Measurement, machine: dict[str, Any] | None = None, **more: Any) -> BenchReport:
    return BenchReport(
        began="2026-01-01T00:00:00+00:00",
        duration_s=5.0,
        seed=0,
        fingerprint=Fingerprint(**{**MACHINE, **(machine or {})}),
        measurements=measurements,
        cold_starts=more.pop("cold_starts", ()),
        **more,
    )


def full_report() -> BenchReport:
    """Something of everything."""
    draw = np.random.default_rng(0)
    energy = Energy(
        readings=50,
        mean_w=10.0,
        rails_w={"VDD_IN": 10.0},
        idle_w=6.0,
        joules_per_frame=0.1,
        above_idle_joules_per_frame=0.04,
    )
    trials = tuple(
        StreamTrial(
            streams=streams,
            rate_per_s=rate,
            due=100 * streams,
            processed=done,
            age=Distribution.of([20.0]),
        )
        for streams, rate, done in ((1, 25.0, 100), (2, 25.0, 150), (1, 50.0, 100), (1, 100.0, 40))
    )
    start = {"imported_s": 0.5, "opened_s": 0.6, "loaded_s": 0.8, "frames": 60, "peak_memory_mib": 150.0}
    return report(
        measurement("SingleStream", 10 + draw.exponential(1, 600), energy=energy),
        measurement("Server", 12 + draw.exponential(5, 600), rate=60.0),
        measurement("Offline", np.full(100, 8.0)),
        measurement("SingleStream", 15 + draw.exponential(1, 30), load="end to end"),
        cold_starts=[ColdStart(**start, first_result_s=s) for s in (0.9, 1.0, 5.0)],
        streams=StreamLimits(trials=trials, most_streams=1, highest_rate_per_s=50.0),
        hottest_c={"cpu-thermal": 61.5},
        disturbances=("other processes took <1> core",),
    )
