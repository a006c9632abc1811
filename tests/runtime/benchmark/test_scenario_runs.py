from __future__ import annotations

import pytest
from bench_clock import FakeClock
from bright_engine import BrightEngine, make_manifest

from catseye.runtime.benchmark.scenario_runs import Plan, run_engine
from catseye.runtime.benchmark.scenarios import Budget
from catseye.runtime.engines.base import EngineOutput, Inputs


def test_each_scenario_lasts_as_long_as_it_may_however_fast_its_engine_is() -> None:
    clock = FakeClock()

    class Timed(BrightEngine):
        def __init__(self, seconds: float) -> None:
            super().__init__(make_manifest(batch=1))
            self.seconds = seconds

        def infer(self, inputs: Inputs) -> EngineOutput:
            clock.at += self.seconds
            return super().infer(inputs)

    plain = Timed(0.01)
    plan = Plan(
        ("SingleStream", "Offline"), Budget(seconds=0.5), 2, 8, lambda load: None, arrivals="even", seed=0
    )
    runs = list(run_engine(plain, plain.manifest, plan, clock, of_files=Timed(0.004)))
    assert [(run.scenario, len(run.timeline.ended_s)) for run in runs] == [
        ("SingleStream", pytest.approx(50, abs=1)),
        ("Offline", pytest.approx(125, abs=1)),
    ]
    assert runs[1].timeline.samples_per_s == pytest.approx(250)
