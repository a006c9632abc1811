"""Work ahead of and behind a loop, each in a thread of its own, with no more than a few items between.

Both are context managers. Leaving one always joins its thread, also when the loop fails or is interrupted,
and an error in the thread is raised in the loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, Queue
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.05


@dataclass(frozen=True)
class _End:
    """Nothing follows, because of an error or because all is done."""

    error: BaseException | None = None


class Ahead(Iterator[T]):
    """Items from ``ahead``."""

    def __init__(self, queue: Queue[T | _End]) -> None:
        self._queue = queue

    def ready(self) -> bool:
        """Whether the next item, or the end, is there already."""
        return not self._queue.empty()

    def __next__(self) -> T:
        item = self._queue.get()
        self._queue.task_done()
        if not isinstance(item, _End):
            return item
        self._queue.put(item)  # so that asking again ends again
        raise StopIteration if item.error is None else item.error


@contextmanager
def ahead(items: Iterable[T], *, name: str) -> Iterator[Ahead[T]]:
    """Take items from an iterable in a thread, each while the loop is busy with the one before.

    Only when that is taken is the next asked for, so that it is as new as can be. An error of the iterable is
    raised after the items before it.
    """
    queue: Queue[T | _End] = Queue()
    stop = threading.Event()

    def fetch() -> None:
        end = _End()
        try:
            for item in items:
                if stop.is_set():
                    break
                queue.put(item)
                queue.join()
        except BaseException as error:
            end = _End(error)
        queue.put(end)

    thread = threading.Thread(target=fetch, name=name, daemon=True)
    thread.start()
    try:
        yield Ahead(queue)
    finally:
        stop.set()
        while thread.is_alive():
            with suppress(Empty):
                queue.get(timeout=_POLL_S)
                queue.task_done()
        thread.join()


@contextmanager
def behind(consume: Callable[[T], None], *, depth: int, name: str) -> Iterator[Callable[[T], None]]:
    """Yield a function that hands an item to ``consume`` in a thread, waiting while ``depth`` items queue.

    Leaving waits until all items are consumed, also when the loop has failed, so that nothing is lost. An
    error of ``consume`` is raised by the next hand-over or on leaving; what was queued behind it is let go.
    """
    queue: Queue[T | _End] = Queue(maxsize=depth)
    errors: list[BaseException] = []

    def work() -> None:
        while not isinstance(item := queue.get(), _End):
            if not errors:
                try:
                    consume(item)
                except BaseException as error:
                    errors.append(error)

    def hand_over(item: T) -> None:
        if errors:
            raise errors[0]
        queue.put(item)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield hand_over
    finally:
        queue.put(_End())
        thread.join()
    if errors:
        raise errors[0]
