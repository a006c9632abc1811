"""One back-off for all: the bound doubles up to the longest, and waits are spread over all below it."""

from __future__ import annotations

import random

import pytest

from catseye.capture.backoff import Backoff


def test_the_bound_doubles_up_to_the_longest_and_starts_afresh() -> None:
    backoff = Backoff(10.0, chance=lambda: 1.0)
    assert [backoff.next_s() for _ in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert backoff.failures == 7
    backoff.reset()
    assert backoff.failures == 0 and backoff.next_s() == 0.5


def test_a_longest_below_the_first_holds_and_many_failures_overflow_nothing() -> None:
    backoff = Backoff(0.2, chance=lambda: 1.0)
    assert {backoff.next_s() for _ in range(5000)} == {0.2}


def test_waits_are_spread_evenly_from_none_to_the_bound() -> None:
    backoff = Backoff(4.0, chance=random.Random(5).random)
    for _ in range(3):
        backoff.next_s()
    waits = [backoff.next_s() for _ in range(4000)]
    for quarter in range(4):
        share = sum(quarter <= wait < quarter + 1 for wait in waits) / len(waits)
        assert share == pytest.approx(0.25, abs=0.03)


def test_two_that_failed_together_do_not_come_back_together() -> None:
    first, second = Backoff(30.0), Backoff(30.0)
    assert [first.next_s() for _ in range(4)] != [second.next_s() for _ in range(4)]
