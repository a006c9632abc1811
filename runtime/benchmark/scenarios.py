"""When queries are put to a system, and what is charged to each: the scenarios of MLPerf Inference.

The names and the way each puts its queries are those of mlcommons/inference_policies, inference_rules.adoc,
and of LoadGen, issue_query_controller.cc:

    SingleStream   a query of one sample; the next as soon as the one before is answered (a closed loop)
    MultiStream    the same with several samples a query, eight by MLPerf's rules
    Server         queries arrive by a Poisson process, whether the system is ready or not (an open loop)
    Offline        all samples are there at once, and only the rate counts

In an open loop a latency counts from when the query was *meant* to arrive, so that a stall is charged to all
that waited for its end. A closed loop puts no query while it waits for one, and so hides all but one of them
(coordinated omission; G. Tene, "How NOT to Measure Latency").

Results are no MLPerf results. Its runs take 600 s at least, and Offline 24,576 samples; samples are drawn at
random from a data set; the metrics are the 90th percentile of SingleStream, the 99th of MultiStream, and of
Server the highest rate at which the 99th stays within a bound; and a run is reviewed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Scenario = Literal["SingleStream", "MultiStream", "Server", "Offline"]

Arrivals = Literal["poisson", "even"]
"""How queries arrive in an open loop: as MLPerf's Server has it, or as a camera's frames do."""

MULTI_STREAM_SAMPLES = 8
"""Samples of a MultiStream query by MLPerf's rules."""

Serve = Callable[[int], object]
"""Answers a query, which it gets by its number. Raises ``StopIteration`` where no more can be put."""

_LEAST_QUERIES = 10
_SPIN_S = 0.0005
"""How long before its time a wait stops sleeping, which overshoots, and looks at the clock instead."""


class Clock(Protocol):
    """Seconds that only grow, and a wait."""

    def now(self) -> float: ...

    def wait_until(self, when: float) -> None: ...


class WallClock:
    """``time.perf_counter``, which on Linux is the same clock in every process."""

    def now(self) -> float:
        return time.perf_counter()

    def wait_until(self, when: float) -> None:
        """Return at ``when``, or at once if that has passed."""
        ahead = when - time.perf_counter() - _SPIN_S
        if ahead > 0:
            time.sleep(ahead)
        while time.perf_counter() < when:
            pass


@dataclass(frozen=True)
class Budget:
    """How many queries a scenario puts: exactly ``queries``, or for ``seconds`` and ten at least."""

    seconds: float = 0.0
    queries: int | None = None

    def allows(self, put: int, spent_s: float) -> bool:
        """Whether another may follow, ``put`` queries and ``spent_s`` seconds after the start."""
        if self.queries is not None:
            return put < self.queries
        return spent_s < self.seconds or put < _LEAST_QUERIES

    def numbers(self, clock: Clock) -> Iterator[int]:
        """A number for each query that may be put, for as long as another may follow."""
        start, number = clock.now(), 0
        while self.allows(number, clock.now() - start):
            yield number
            number += 1

    def count(self, rate: float) -> int:
        """How many they are, where ``rate`` a second is known beforehand."""
        return self.queries if self.queries is not None else max(_LEAST_QUERIES, round(rate * self.seconds))


@dataclass(frozen=True)
class Timeline:
    """What became of each query, in the order in which they were answered; seconds of one clock.

    Args:
        intended_s: (Q,) when it was to arrive.
        began_s: (Q,) when its work was begun.
        ended_s: (Q,) when all its samples were answered.
        samples: of each query.
    """

    intended_s: NDArray[np.float64]
    began_s: NDArray[np.float64]
    ended_s: NDArray[np.float64]
    samples: int = 1

    @property
    def latencies_s(self) -> NDArray[np.float64]:
        """(Q,) from the intended arrival to the answer."""
        return self.ended_s - self.intended_s

    @property
    def seconds(self) -> float:
        """From the first arrival to the last answer."""
        return float(self.ended_s[-1] - self.intended_s[0]) if len(self.ended_s) else 0.0

    @property
    def samples_per_s(self) -> float:
        return len(self.ended_s) * self.samples / self.seconds if self.seconds > 0 else 0.0


def closed_loop(serve: Serve, budget: Budget, *, samples: int = 1, clock: Clock) -> Timeline:
    """SingleStream, or MultiStream where a query has several samples: each query follows the one before."""
    rows: list[tuple[float, float, float]] = []
    for number in budget.numbers(clock):
        began = clock.now()
        try:
            serve(number)
        except StopIteration:
            break
        rows.append((began, began, clock.now()))
    return _timeline(rows, samples)


def open_loop(serve: Serve, arrivals_s: NDArray[np.float64], *, samples: int = 1, clock: Clock) -> Timeline:
    """Server: queries arrive at ``arrivals_s`` after the start and are answered in order, one by one.

    A query that finds the system busy waits, and its wait counts.
    """
    rows: list[tuple[float, float, float]] = []
    start = clock.now()
    for number, arrival in enumerate(arrivals_s.tolist()):
        intended = start + arrival
        clock.wait_until(intended)
        began = clock.now()
        try:
            serve(number)
        except StopIteration:
            break
        rows.append((intended, began, clock.now()))
    return _timeline(rows, samples)


def offline(answers: Iterable[object], *, samples: int = 1, clock: Clock) -> Timeline:
    """Offline: all queries are there at the start; ``answers`` gives one item as each is answered."""
    start = clock.now()
    return _timeline([(start, start, clock.now()) for _ in answers], samples)


def arrival_times(kind: Arrivals, rate: float, count: int, *, seed: int) -> NDArray[np.float64]:
    """(count,) seconds after the start at which queries arrive, ``rate`` a second on the mean."""
    if kind == "even":
        return np.arange(count) / rate
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


def _timeline(rows: list[tuple[float, float, float]], samples: int) -> Timeline:
    intended, began, ended = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return Timeline(intended, began, ended, samples)
