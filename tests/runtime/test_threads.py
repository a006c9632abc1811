from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from catseye.runtime.threads import ahead, behind

from .scripted import PATIENCE_S

pytestmark = pytest.mark.usefixtures("no_thread_left")


def test_items_come_in_order_from_another_thread() -> None:
    names = set()

    def items() -> Iterator[int]:
        for k in range(50):
            names.add(threading.current_thread().name)
            yield k

    with ahead(items(), name="fetch") as taken:
        assert list(taken) == list(range(50))
    assert names == {"fetch"}


def test_one_item_is_fetched_ahead_and_no_more() -> None:
    fetched = []

    def items() -> Iterator[int]:
        for k in range(100):
            fetched.append(k)
            yield k

    with ahead(items(), name="fetch") as taken:
        for k in range(3):
            assert next(taken) == k
            time.sleep(0.05)
            assert fetched == list(range(k + 2)) and taken.ready()


def test_error_of_the_iterable_comes_after_its_items() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    got = []
    with pytest.raises(OSError, match="the disk is gone"), ahead(items(), name="fetch") as taken:
        for item in taken:
            got.append(item)
    assert got == [1]


def test_leaving_early_ends_the_thread() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 0

    with pytest.raises(KeyboardInterrupt), ahead(endless(), name="fetch") as taken:
        next(taken)
        raise KeyboardInterrupt


def test_all_that_was_handed_over_is_consumed_even_when_the_loop_fails() -> None:
    done = []

    def slow(item: int) -> None:
        time.sleep(0.005)
        done.append(item)

    with pytest.raises(RuntimeError, match="loop"), behind(slow, depth=8, name="write") as hand_over:
        for k in range(8):
            hand_over(k)
        raise RuntimeError("loop")
    assert done == list(range(8))


def test_items_are_consumed_in_twos_but_the_first_at_once() -> None:
    done: list[int] = []
    reached = {k: threading.Event() for k in range(6)}

    def consume(item: int) -> None:
        done.append(item)
        reached[item].set()

    with behind(consume, depth=2, together=2, name="write") as hand_over:
        hand_over(0)
        assert reached[0].wait(PATIENCE_S)
        for second in (2, 4):
            hand_over(second - 1)
            assert not reached[second - 1].wait(0.05)
            hand_over(second)
            assert reached[second].wait(PATIENCE_S)
        hand_over(5)
    assert done == list(range(6))  # also what waited for company


def test_what_waits_for_company_is_consumed_when_the_loop_fails() -> None:
    done: list[int] = []
    with (
        pytest.raises(RuntimeError, match="loop"),
        behind(done.append, depth=3, together=3, name="write") as hand_over,
    ):
        for k in range(3):
            hand_over(k)
        raise RuntimeError("loop")
    assert done == [0, 1, 2]


@pytest.mark.parametrize("together", [1, 2])
def test_no_more_wait_than_the_depth(together: int) -> None:
    go, handed = threading.Event(), []

    def hand(hand_over: Callable[[int], None]) -> None:
        for k in range(8):
            hand_over(k)
            handed.append(k)

    with behind(lambda _: go.wait(PATIENCE_S), depth=2, together=together, name="write") as hand_over:
        thread = threading.Thread(target=hand, args=[hand_over])
        thread.start()
        thread.join(0.1)
        meanwhile = list(handed)
        go.set()
        thread.join(PATIENCE_S)
    assert meanwhile == [0, 1, 2]  # one is being consumed
    assert handed == list(range(8))


@pytest.mark.parametrize("together", [0, 3])
def test_more_together_than_may_wait_are_refused(together: int) -> None:
    with (
        pytest.raises(ValueError, match=f"together is {together}"),
        behind(print, depth=2, together=together, name="write"),
    ):
        pass


def test_error_of_the_consumer_stops_the_loop() -> None:
    done = []

    def fails(item: int) -> None:
        if item == 2:
            raise OSError("no space")
        done.append(item)

    handed = 0
    with pytest.raises(OSError, match="no space"), behind(fails, depth=2, name="write") as hand_over:
        for k in range(10_000):
            hand_over(k)
            handed += 1
    assert done == [0, 1]
    assert handed < 10_000


def test_error_at_the_last_item_is_raised_on_leaving() -> None:
    def fails(item: int) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"), behind(fails, depth=2, name="write") as hand_over:
        hand_over(1)
