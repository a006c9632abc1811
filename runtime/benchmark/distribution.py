"""What many times come to: percentiles, how far they can be trusted, and how much they vary."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

CONFIDENCE = 0.99
_QUANTILES = (0.50, 0.90, 0.99, 1.0)


class Distribution(BaseModel):
    """Times in milliseconds.

    Args:
        count: of times; a percentile rests on ``count · (1 − percentile)`` of them.
        p50_ms, p90_ms, p99_ms, max_ms: times that did occur.
        p99_bound_ms: what the 99th percentile is at most, with a confidence of 99 %, if times are
            independent; None where there are too few times to say so, which is below 459.
        mean_ms: of all.
        jitter_ms: mean difference, without its sign, between a time and the one before: what RFC 3550
            (6.4.1) smooths over the last sixteen or so, over all.
        spread_ms: the 99th percentile less the median.
    """

    model_config = ConfigDict(frozen=True)

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    p99_bound_ms: float | None
    mean_ms: float
    jitter_ms: float
    spread_ms: float

    @classmethod
    def of(cls, times_ms: ArrayLike) -> Distribution:
        """Sum up times, in the order in which they occurred; at least one."""
        times = np.asarray(times_ms, dtype=np.float64)
        p50, p90, p99, longest = np.quantile(times, _QUANTILES, method="inverted_cdf").tolist()
        place = bounding_place(len(times), 0.99)
        return cls(
            count=len(times),
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
            max_ms=longest,
            p99_bound_ms=None if place is None else float(np.sort(times)[place]),
            mean_ms=float(times.mean()),
            jitter_ms=float(np.abs(np.diff(times)).mean()) if len(times) > 1 else 0.0,
            spread_ms=p99 - p50,
        )


def bounding_place(count: int, quantile: float, *, confidence: float = CONFIDENCE) -> int | None:
    """Which of ``count`` sorted times, from 0, is not below the quantile of what they were drawn from.

    That of place k is below it only if more than k of the times are, so that the binomial distribution tells
    the place, whatever the times' own (H. A. David, Order Statistics, 7.1). MLPerf's early stopping rests on
    the same. None where even the longest may be below.
    """
    below = np.cumsum(_binomial(count, quantile))
    place = int(np.searchsorted(below, confidence))
    return place if place < count else None


def _binomial(count: int, chance: float) -> NDArray[np.float64]:
    """(count + 1,) probabilities of so many successes."""
    k = np.arange(1, count + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log(count - k + 1) - np.log(k))])
    successes = np.arange(count + 1)
    return np.asarray(np.exp(ways + successes * np.log(chance) + (count - successes) * np.log1p(-chance)))
