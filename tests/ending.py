"""Ends what runs in this process as systemd does, but when it has done something and not after some time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AT_MOST_S = 60.0
_LOOK_EVERY_S = 0.05


@contextmanager
def sigterm_once(happened: Callable[[], bool]) -> Iterator[None]:
    """SIGTERM to this process once ``happened``, or after a minute; none where this is left before."""
    is_left = threading.Event()

    def wait() -> None:
        for _ in range(round(AT_MOST_S / _LOOK_EVERY_S)):
            if is_left.wait(_LOOK_EVERY_S):
                return
            if happened():
                break
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=wait, name="sigterm")
    thread.start()
    try:
        yield
    finally:
        is_left.set()
        thread.join()
