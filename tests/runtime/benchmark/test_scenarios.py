"""A clock that only moves when something takes time, so that each latency is known beforehand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from bench_clock import FakeClock

from catseye.runtime.benchmark.distribution import Distribution
from catseye.runtime.benchmark.scenarios import (
    Budget,
    Timeline,
    WallClock,
    arrival_times,
    closed_loop,
    offline,
    open_loop,
)

SERVICE_S, STALL_S, STALLED = 0.010, 1.0, 500


def system(clock: FakeClock, *, stall: bool = True) -> Callable[[int], None]:
    """Takes 10 ms a query; one of them, where it stalls, a second more."""

    def serve(number: int) -> None:
        clock.at += SERVICE_S + (STALL_S if stall and number == STALLED else 0.0)

    return serve


def percentiles(timeline: Timeline) -> Distribution:
    return Distribution.of(1e3 * timeline.latencies_s)


def test_closed_loop_hides_a_stall_from_all_but_one_query() -> None:
    clock = FakeClock()
    timeline = closed_loop(system(clock), Budget(queries=1000), clock=clock)
    found = percentiles(timeline)
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == pytest.approx((10, 10, 10))
    assert found.max_ms == pytest.approx(1010)
    assert timeline.seconds == pytest.approx(11.0)
    assert timeline.samples_per_s == pytest.approx(1000 / 11.0)


def test_open_loop_charges_a_stall_to_all_that_waited_for_its_end() -> None:
    """At half the rate that can be served, each query after the stall takes 10 ms less than the one before,
    since it arrives 20 ms later and 10 ms are worked off: of a thousand, a hundred are late."""
    clock = FakeClock()
    rate = 0.5 / SERVICE_S
    timeline = open_loop(system(clock), arrival_times("even", rate, 1000, seed=0), clock=clock)
    latencies = 1e3 * timeline.latencies_s
    waited = [1010 - 10 * k for k in range(101)]
    assert latencies[STALLED : STALLED + 101] == pytest.approx(waited)
    assert np.delete(latencies, slice(STALLED, STALLED + 101)) == pytest.approx(10)
    found = percentiles(timeline)
    assert (found.p50_ms, found.p90_ms) == pytest.approx((10, 10))
    assert found.p99_ms == pytest.approx(910)  # ten are longer


def test_open_loop_that_is_overrun_says_so_by_its_latencies() -> None:
    """Twice what can be served: query k waits for half of those before it."""
    clock = FakeClock()
    times = arrival_times("even", 2 / SERVICE_S, 200, seed=0)
    timeline = open_loop(system(clock, stall=False), times, clock=clock)
    assert 1e3 * timeline.latencies_s == pytest.approx(10 + 5 * np.arange(200))
    assert timeline.began_s - timeline.intended_s == pytest.approx(timeline.latencies_s - SERVICE_S)
    assert timeline.samples_per_s == pytest.approx(1 / SERVICE_S)


def test_poisson_arrivals_wait_as_queueing_theory_says() -> None:
    """M/D/1: the mean wait is ρ / (2 (1 − ρ)) of a service (Pollaczek and Khinchine)."""
    clock = FakeClock()
    load = 0.6
    times = arrival_times("poisson", load / SERVICE_S, 40_000, seed=3)
    timeline = open_loop(system(clock, stall=False), times, clock=clock)
    waits = timeline.began_s - timeline.intended_s
    assert waits.mean() / SERVICE_S == pytest.approx(load / (2 * (1 - load)), rel=0.05)
    assert np.diff(times).std() == pytest.approx(SERVICE_S / load, rel=0.02)
    assert (arrival_times("poisson", 5.0, 10, seed=1) == arrival_times("poisson", 5.0, 10, seed=1)).all()
    assert (arrival_times("poisson", 5.0, 10, seed=1) != arrival_times("poisson", 5.0, 10, seed=2)).all()


def test_offline_counts_the_rate_from_the_start_of_all() -> None:
    clock = FakeClock()

    def answers() -> object:
        for number in range(50):
            system(clock, stall=False)(number)
            yield None

    timeline = offline(answers(), samples=4, clock=clock)
    assert timeline.samples_per_s == pytest.approx(4 / SERVICE_S)
    assert timeline.intended_s == pytest.approx(100.0)


def test_how_long_a_closed_loop_goes_on() -> None:
    clock = FakeClock()
    serve = system(clock, stall=False)
    assert len(closed_loop(serve, Budget(seconds=0.5), clock=clock).ended_s) == 50
    assert len(closed_loop(serve, Budget(seconds=0.001), clock=clock).ended_s) == 10  # so many at least
    assert len(closed_loop(serve, Budget(seconds=9, queries=3), clock=clock).ended_s) == 3

    def five(number: int) -> None:
        if number == 5:
            raise StopIteration
        serve(number)

    assert len(closed_loop(five, Budget(seconds=9), clock=clock).ended_s) == 5
    assert len(open_loop(five, arrival_times("even", 1.0, 9, seed=0), clock=clock).ended_s) == 5
    assert closed_loop(five, Budget(queries=0), clock=clock).samples_per_s == 0.0


def test_the_real_clock_does_not_wake_before_its_time() -> None:
    clock = WallClock()
    for ahead in (0.003, 0.0001, -1.0):
        when = clock.now() + ahead
        clock.wait_until(when)
        assert clock.now() >= when
