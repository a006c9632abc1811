"""A verb that runs until it is told to end: by SIGTERM, Ctrl-C, a terminal that closes, or after so long."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Told:
    """Whether to end, and the number of the signal that said so."""

    stop: threading.Event
    number: int | None = None

    def by(self, number: int) -> None:
        self.stop.set()
        self.number = number
        signal.signal(number, signal.SIG_DFL)  # who says it twice does not want to wait


@contextmanager
def until_told(duration_s: float | None = None) -> Iterator[Told]:
    """Signals set ``stop`` while this is entered, and so does the end of ``duration_s``."""
    told = Told(threading.Event())
    before = {}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            before[number] = signal.signal(number, lambda number, _: told.by(number))
    timer = threading.Timer(duration_s or 0, told.stop.set)
    if duration_s is not None:
        timer.start()
    try:
        yield told
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
