"""A live gpsd, heard on its JSON protocol: https://gpsd.gitlab.io/gpsd/gpsd_json.html"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections import deque

from catseye.capture.backoff import Backoff
from catseye.capture.fix_formats import Sample, sample_of
from catseye.capture.fixes import Fixes

DEFAULT_PORT = 2947

_WATCH = b'?WATCH={"enable":true,"json":true};\n'
_KEPT = 36_000
"""Samples: an hour at 10 Hz."""

_PATIENCE_S = 15.0
"""gpsd tells something every second or so, a fix or the sky; after this long its connection is dead."""

_LONGEST_WAIT_S = 30.0

_log = logging.getLogger(__name__)


class GpsdLog:
    """The newest hour or more of what a gpsd tells, gathered by a thread that connects as often as it must.

    Use as a context manager, or call ``close``.

    Args:
        host, port: gpsd's.
        longest_wait_s: between attempts to connect.
    """

    def __init__(
        self, host: str = "localhost", port: int = DEFAULT_PORT, *, longest_wait_s: float = _LONGEST_WAIT_S
    ) -> None:
        self._address, self._longest_wait_s = (host, port), longest_wait_s
        self._samples: deque[Sample] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._connection: socket.socket | None = None
        self.connections = self._heard = 0
        self._thread = threading.Thread(target=self._run, name="gpsd", daemon=True)
        self._thread.start()

    def __enter__(self) -> GpsdLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fixes(self) -> Fixes:
        """What is kept now."""
        with self._lock:
            samples = list(self._samples)
        return Fixes.of(samples)

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        with self._lock:
            if self._connection is not None:
                _shut(self._connection)
        self._thread.join()

    def _run(self) -> None:
        backoff = Backoff(self._longest_wait_s)
        while not self._stop.is_set():
            heard = self._heard
            try:
                with socket.create_connection(self._address, timeout=_PATIENCE_S) as connection:
                    self._listen(connection)
                reason = "it hung up"
            except OSError as error:
                reason = str(error)
            if self._heard > heard:
                backoff.reset()
            if not backoff.failures and not self._stop.is_set():
                _log.warning("gpsd at %s:%d: %s; trying again", *self._address, reason)
            self._stop.wait(backoff.next_s())

    def _listen(self, connection: socket.socket) -> None:
        with self._lock:
            self._connection = connection
        self.connections += 1
        try:
            connection.sendall(_WATCH)
            with connection.makefile("rb") as lines:
                while not self._stop.is_set() and (line := lines.readline(1 << 20)):
                    self._take(line)
        finally:
            with self._lock:
                self._connection = None

    def _take(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            # Below mode 2 there is no fix, whatever else is told: the TPV object's "mode".
            if not isinstance(record, dict) or record.get("class") != "TPV" or record.get("mode", 0) < 2:
                return
            sample = sample_of(record)
        except (ValueError, TypeError, OverflowError, RecursionError):
            return
        if sample is not None and sample.tells_anything:
            with self._lock:
                self._samples.append(sample)
                self._heard += 1


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
