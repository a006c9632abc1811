from __future__ import annotations

import numpy as np
import pytest
from bench_reports import measurement, report

from catseye.errors import CatseyeError
from catseye.runtime.benchmark.comparison import compare


def times(seed: int, *, factor: float = 1.0, count: int = 1000) -> np.ndarray:
    """Around 10 ms, with a tail, and a drift as slow as the run."""
    draw = np.random.default_rng(seed)
    return factor * (10 + draw.exponential(0.5, count) + np.sin(np.linspace(0, 3, count)))


def verdicts(before: np.ndarray, now: np.ndarray, **options: float) -> dict[str, str]:
    changes = compare(
        report(measurement("SingleStream", before)), report(measurement("SingleStream", now)), **options
    )
    return {change.statistic: change.verdict for change in changes}


def test_what_is_slower_beyond_doubt_is_a_regression() -> None:
    assert verdicts(times(0), times(1)) == {"p50": "same", "p99": "same"}
    assert verdicts(times(0), times(1, factor=1.04)) == {"p50": "same", "p99": "same"}
    assert verdicts(times(0), times(1, factor=1.3)) == {"p50": "slower", "p99": "slower"}
    assert verdicts(times(0), times(1, factor=1.3), tolerance=0.5) == {"p50": "same", "p99": "same"}
    assert verdicts(times(0), times(1, factor=0.7)) == {"p50": "faster", "p99": "faster"}


def test_what_may_be_chance_is_none() -> None:
    """Nine times of which one is long say little of a 99th percentile."""
    few = np.full(9, 10.0)
    one_long = np.array([10.0] * 8 + [30.0])
    assert verdicts(few, one_long) == {"p50": "same", "p99": "may be slower"}


def test_a_slow_tail_alone_is_found() -> None:
    slow = times(1)
    slow[::40] += 8
    assert verdicts(times(0), slow) == {"p50": "same", "p99": "slower"}


def test_a_drift_within_the_run_widens_the_interval() -> None:
    """The same times, once in a random order and once sorted, so that neighbours are alike."""
    mixed = np.random.default_rng(2).permutation(np.linspace(8, 12, 1000))

    def width(now: np.ndarray) -> float:
        change = compare(
            report(measurement("SingleStream", mixed)), report(measurement("SingleStream", now))
        )[0]
        return change.high - change.low

    assert width(np.sort(mixed)) > 3 * width(mixed[::-1])


def test_offline_compares_the_mean_time_a_frame() -> None:
    before = report(measurement("Offline", np.tile([1.0, 9.0], 200)))
    (change,) = compare(before, report(measurement("Offline", np.tile([2.0, 10.0], 200))))
    assert change.statistic == "seconds a frame"
    assert (change.before_ms, change.now_ms, change.verdict) == (5.0, 6.0, "slower")


def test_only_what_was_measured_alike_is_compared() -> None:
    before = report(
        measurement("Server", times(0), rate=50.0),
        measurement("MultiStream", times(0), samples=8),
        measurement("SingleStream", times(0)),
        measurement("SingleStream", times(0), load="end to end"),
    )
    now = report(
        measurement("Server", times(1), rate=60.0),
        measurement("MultiStream", times(1), samples=4),
        measurement("SingleStream", times(1), load="end to end"),
    )
    assert {change.measurement for change in compare(before, now)} == {"end to end, SingleStream"}
    even = report(measurement("Server", times(1), rate=50.0, arrivals="even"))
    with pytest.raises(CatseyeError, match="no scenario in common"):
        compare(before, even)
    with pytest.raises(CatseyeError, match="no scenario in common"):
        compare(before, report(measurement("Offline", times(0))))


def test_another_machine_is_refused_and_another_bundle_is_not() -> None:
    mine = report(measurement("SingleStream", times(0)))
    changed = {"catseye": "0.2.0", "bundle_sha256": "00" * 32, "input": "renamed.mp4"}
    assert compare(mine, report(measurement("SingleStream", times(0)), machine=changed))
    for name, value in (
        ("cpu", "another"),
        ("engine", "onnxruntime 1.21 cpu"),
        ("precision", "int8"),
        ("network", "640x384 x1 rgb8"),
        ("input_sha256", "ee" * 32),
        ("power_mode", "2 15W"),
        ("cpu_quota", 1.5),
        ("libraries", {"numpy": "2.1"}),
    ):
        other = report(measurement("SingleStream", times(0)), machine={name: value})
        with pytest.raises(CatseyeError, match=f"measured on something else: {name} is") as error:
            compare(mine, other)
        assert "\n" not in str(error.value)
