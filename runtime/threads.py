"""Work ahead of and behind a loop, each in a thread of its own, with no more than a few items between.

Both are context managers. Leaving one always joins its thread, also when the loop fails or is interrupted,
and an error in the thread is raised in the loop.

Items cross by ``SimpleQueue``, which is written in C: after each call of an engine all caches are cold, and
Python's own steps, of which the conditions of ``Queue`` are many, cost several times what they do in a loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    """Nothing follows, because of an error or because all is done."""

    error: BaseException | None = None


class Ahead(Iterator[T]):
    """Items from ``ahead``."""

    def __init__(self, items: SimpleQueue[T | _End], asked: SimpleQueue[None]) -> None:
        self._items, self._asked = items, asked

    def ready(self) -> bool:
        """Whether the next item, or the end, is there already."""
        return not self._items.empty()

    def __next__(self) -> T:
        item = self._items.get()
        if not isinstance(item, _End):
            self._asked.put(None)
            return item
        self._items.put(item)  # so that asking again ends again
        raise StopIteration if item.error is None else item.error


@contextmanager
def ahead(items: Iterable[T], *, name: str) -> Iterator[Ahead[T]]:
    """Take items from an iterable in a thread, each while the loop is busy with the one before.

    Only when that is taken is the next asked for, so that it is as new as can be. An error of the iterable is
    raised after the items before it.
    """
    fetched: SimpleQueue[T | _End] = SimpleQueue()
    asked: SimpleQueue[None] = SimpleQueue()
    is_left = threading.Event()

    def fetch() -> None:
        end = _End()
        try:
            for item in items:
                fetched.put(item)
                asked.get()
                if is_left.is_set():
                    break
        except BaseException as error:
            end = _End(error)
        fetched.put(end)

    thread = threading.Thread(target=fetch, name=name, daemon=True)
    thread.start()
    try:
        yield Ahead(fetched, asked)
    finally:
        is_left.set()
        asked.put(None)
        thread.join()


@contextmanager
def behind(
    consume: Callable[[T], None], *, depth: int, together: int = 1, name: str
) -> Iterator[Callable[[T], None]]:
    """Yield a function that hands an item to ``consume`` in a thread, waiting while ``depth`` items queue.

    Leaving waits until all items are consumed, also when the loop has failed, so that nothing is lost. An
    error of ``consume`` is raised by the next hand-over or on leaving; what was queued behind it is let go.

    Args:
        together: items that are consumed in a row, up to ``depth``; all but the very first wait for so many.
            The second of two in a row finds code and data in the caches.
    """
    if not 1 <= together <= depth:
        raise ValueError(f"together is {together}: must be from 1 to the depth, {depth}")
    queue: SimpleQueue[list[T]] = SimpleQueue()  # an empty list is the end
    room: SimpleQueue[None] = SimpleQueue()
    for _ in range(depth):
        room.put(None)
    waiting: list[T] = []
    enough = 1
    errors: list[BaseException] = []

    def work() -> None:
        while items := queue.get():
            while items:
                room.put(None)
                item = items.pop(0)
                if not errors:
                    try:
                        consume(item)
                    except BaseException as error:
                        errors.append(error)

    def hand_over(item: T) -> None:
        nonlocal waiting, enough
        if errors:
            raise errors[0]
        room.get()
        waiting.append(item)
        if len(waiting) >= enough:
            queue.put(waiting)
            waiting, enough = [], together

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield hand_over
    finally:
        if waiting:
            queue.put(waiting)
        queue.put([])
        thread.join()
    if errors:
        raise errors[0]
