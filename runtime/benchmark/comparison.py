"""``bench --against``: whether a bundle has become slower than a report of before says, on the same machine.

A ratio of two medians says little without how much it would vary. Each run's times are drawn again, in
blocks of a tenth of the run so that slow drifts stay in them (circular block bootstrap; D. N. Politis and
J. P. Romano, 1992), and the ratio taken of each draw. It is a regression where the whole interval in which
95 % of these ratios lie is above what is tolerated. What changed between the runs and not within them, such
as other work on the machine, no such interval can know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from catseye.errors import CatseyeError
from catseye.runtime.benchmark.report import BenchReport, Measurement
from catseye.runtime.fingerprint import Fingerprint

TOLERANCE = 0.05
_TAIL_FACTOR = 2.0
"""Times the tolerance for a 99th percentile, which rests on a hundredth of the times."""
_DRAWS = 400
_BLOCKS = 10
_MOST_AT_ONCE = 2_000_000
_INTERVAL = (0.025, 0.975)

Floats = NDArray[np.float64]
Verdict = Literal["slower", "may be slower", "faster", "same"]

_STATISTICS: dict[str, tuple[Callable[[Floats], Floats], float]] = {
    "p50": (lambda times: np.quantile(times, 0.50, axis=-1, method="inverted_cdf"), 1.0),
    "p99": (lambda times: np.quantile(times, 0.99, axis=-1, method="inverted_cdf"), _TAIL_FACTOR),
}
_MEAN_GAP: dict[str, tuple[Callable[[Floats], Floats], float]] = {
    "seconds a frame": (lambda times: times.mean(axis=-1), 1.0)
}


class Change(BaseModel):
    """One figure of one measurement, now and before.

    Args:
        measurement, statistic: which.
        before_ms, now_ms: the figure.
        ratio: now over before; above 1 is slower.
        low, high: where 95 % of the ratios drawn lie.
        allowed: the ratio from which on it is slower.
    """

    model_config = ConfigDict(frozen=True)

    measurement: str
    statistic: str
    before_ms: float
    now_ms: float
    ratio: float
    low: float
    high: float
    allowed: float

    @property
    def verdict(self) -> Verdict:
        if self.low > self.allowed:
            return "slower"
        if self.ratio > self.allowed:
            return "may be slower"
        return "faster" if self.high < 1 / self.allowed else "same"


def refuse_other_fingerprint(before: BenchReport, now: Fingerprint) -> None:
    """Raise where figures do not compare.

    Raises:
        CatseyeError: says what differs.
    """
    differences = now.differences(before.fingerprint)
    if differences:
        told = "; ".join(f"{name} is {ours}, was {theirs}" for name, (ours, theirs) in differences.items())
        raise CatseyeError(
            f"the report to compare with was measured on something else: {told}; measure both here"
        )


def compare(before: BenchReport, now: BenchReport, *, tolerance: float = TOLERANCE) -> list[Change]:
    """Every figure that both reports have at the same number of samples and the same rate.

    Args:
        tolerance: share by which a median or the time a frame may grow; twice that for a 99th percentile.

    Raises:
        CatseyeError: their fingerprints differ, or they have no measurement in common.
    """
    refuse_other_fingerprint(before, now.fingerprint)
    changes = []
    for new in now.measurements:
        old = before.find(new.load, new.scenario)
        if old is None or not _alike(old, new):
            continue
        statistics = _MEAN_GAP if new.scenario == "Offline" else _STATISTICS
        for name, (statistic, factor) in statistics.items():
            changes.append(_change(old, new, name, statistic, 1 + factor * tolerance))
    if not changes:
        raise CatseyeError("the report to compare with has no scenario in common with this one; run the same")
    return changes


def _alike(old: Measurement, new: Measurement) -> bool:
    same_rate = old.rate_per_s == new.rate_per_s or (
        old.rate_per_s is not None
        and new.rate_per_s is not None
        and abs(old.rate_per_s - new.rate_per_s) <= 1e-6 * old.rate_per_s
    )
    return same_rate and old.arrivals == new.arrivals and old.samples_per_query == new.samples_per_query


def _change(
    old: Measurement, new: Measurement, name: str, statistic: Callable[[Floats], Floats], allowed: float
) -> Change:
    before, now = np.array(old.times_ms), np.array(new.times_ms)
    draw = np.random.default_rng(0)
    ratios = _drawn(now, statistic, draw) / _drawn(before, statistic, draw)
    low, high = np.quantile(ratios, _INTERVAL).tolist()
    was, is_ = float(statistic(before)), float(statistic(now))
    return Change(
        measurement=new.name,
        statistic=name,
        before_ms=was,
        now_ms=is_,
        ratio=is_ / was,
        low=low,
        high=high,
        allowed=allowed,
    )


def _drawn(times: Floats, statistic: Callable[[Floats], Floats], draw: np.random.Generator) -> Floats:
    """(``_DRAWS``,) the statistic of as many times, drawn in blocks that go on from the end at the start."""
    length = max(1, len(times) // _BLOCKS)
    starts = draw.integers(0, len(times), (_DRAWS, -(-len(times) // length)))
    at_once = max(1, _MOST_AT_ONCE // len(times))
    found = []
    for first in range(0, _DRAWS, at_once):
        places = starts[first : first + at_once, :, None] + np.arange(length)
        places = places.reshape(len(places), -1)[:, : len(times)] % len(times)
        found.append(statistic(times[places]))
    return np.concatenate(found)
