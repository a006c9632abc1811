"""A camera as a source of frames that comes back by itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from catseye.capture.backoff import Backoff
from catseye.capture.live import LiveFrame, LiveSource, Transport, without_credentials
from catseye.errors import InputError
from catseye.runtime.sources.base import SourceFrame

_log = logging.getLogger(__name__)

LONGEST_BACKOFF_S = 1.0


class CameraSource:
    """Implements ``Source`` for what ``LiveSource`` reads, such as ``rtsp://…`` and ``/dev/video0``.

    A file is played at the speed it was filmed at, and ends; whatever else ends is connected to anew. Every
    connection is an epoch of its own.

    Args:
        address: as ``LiveSource`` takes it.
        name: of the stream; None takes the address without user and password.
        transport, open_timeout_s, read_timeout_s: see ``LiveSource``.

    Attributes:
        attempts: connections tried.
    """

    live = True

    def __init__(
        self,
        address: str,
        *,
        name: str | None = None,
        transport: Transport = "tcp",
        open_timeout_s: float = 5.0,
        read_timeout_s: float = 5.0,
    ) -> None:
        self.name = without_credentials(address) if name is None else name
        self.attempts = 0
        self._address, self._transport = address, transport
        self._open_timeout_s, self._read_timeout_s = open_timeout_s, read_timeout_s
        self._closed = threading.Event()

    def frames(self) -> Iterator[SourceFrame]:
        """See ``Source``. Called again after it has failed, it goes on with a new connection."""
        backoff = Backoff(LONGEST_BACKOFF_S)
        while not self._closed.is_set():
            self.attempts += 1
            fault = "the stream ended"
            try:
                with self._connect() as camera:
                    for frame in camera.frames():
                        if self._closed.is_set():
                            return
                        if backoff.failures:
                            _log.info("%s is back", self.name)
                            backoff.reset()
                        yield self._given(frame)
                    if camera.finite:
                        return
            except InputError as error:
                fault = error.fault
            if not backoff.failures:
                _log.warning("%s %s; it is connected to anew", self.name, fault)
            self._closed.wait(backoff.next_s())

    def close(self) -> None:
        """End ``frames`` with its next frame, or when the camera has been silent for its time-out."""
        self._closed.set()

    def _connect(self) -> LiveSource:
        return LiveSource(
            self._address,
            transport=self._transport,
            open_timeout_s=self._open_timeout_s,
            read_timeout_s=self._read_timeout_s,
            stop=self._closed,
        )

    def _given(self, live: LiveFrame) -> SourceFrame:
        return SourceFrame(
            frame=live.frame,
            width=live.frame.planes.width,
            height=live.frame.planes.height,
            epoch=self.attempts - 1,
            arrived_s=live.monotonic_ns / 1e9,  # on Linux perf_counter is the same clock
            captured_utc_ns=live.utc_ns,
            clock=live.clock,
        )
