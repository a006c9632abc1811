"""Work ahead of and behind a loop, each in a thread of its own with a bounded queue between.

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


@contextmanager
def ahead(items: Iterable[T], *, depth: int, name: str) -> Iterator[Iterator[T]]:
    """Take items from an iterable in a thread, up to ``depth`` of them before they are asked for.

    An error of the iterable is raised after the items before it.
    """
    queue: Queue[T | _End] = Queue(maxsize=depth)
    stop = threading.Event()

    def fetch() -> None:
        end = _End()
        try:
            for item in items:
                if stop.is_set():
                    break
                queue.put(item)
        except BaseException as error:
            end = _End(error)
        queue.put(end)

    def taken() -> Iterator[T]:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    thread = threading.Thread(target=fetch, name=name, daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        while thread.is_alive():
            with suppress(Empty):
                queue.get(timeout=_POLL_S)
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
