"""Cameras and files through GStreamer, on a Jetson with its camera connector, decoder and scaler.

**Latency.** Between camera and network at most this waits: what RTSP's jitter buffer holds where packets come
late or out of order (``latency_ms``; those in order pass at once), the frames that the decoder keeps to
restore their order (of a stream with B-frames, or that does not say it has none), and one decoded frame. A
newer one takes that one's place, so that a network slower than the camera sees the newest frame however long
it took for the last; what is left out is counted. A decoder slower than the camera is the one case that is
not bounded here: encoded packets cannot be left out, and pile up in the camera's connection until it breaks.

**Pictures.** With ``fit`` frames come at the size that the network takes, scaled before they are copied out
of the decoder's memory, though not by the area filter of ``capture.geometry``. On the processor (hermite, by
``scripts/bench/scaler_agreement.py`` on three motorway clips of 720p at 448x252) luma is off by 0.2 to 0.5
levels on the mean, and of a detector's detections 97.5 to 99.3 % are the same, where 98.4 to 99.5 % are after
one level of noise. It is what GStreamer and NVIDIA take by default that costs: bilinear without regard to the
scale left 89 to 98 % the same, and the nearest pixel 82 to 97 %. The filter of a Jetson's scaler has not been
measured; nothing of this has run on one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

from catseye.capture.backoff import Backoff
from catseye.capture.geometry import Letterbox
from catseye.capture.live import Clock, Transport, believed, without_credentials
from catseye.capture.sources import Frame
from catseye.errors import CatseyeError, InputError
from catseye.runtime.sources.base import SourceFrame
from catseye.runtime.sources.gstreamer_connection import Arrived, Connection
from catseye.runtime.sources.gstreamer_description import Hardware, describe, kind_of
from catseye.runtime.sources.gstreamer_library import (
    PACKAGES,
    hardware_here,
    load_gstreamer,
    missing_elements,
)
from catseye.runtime.sources.gstreamer_picture import planes_of

_log = logging.getLogger(__name__)

_TIME_BASE = Fraction(1, 10**9)


class GStreamerSource:
    """Implements ``Source``.

    Args:
        address: see ``gstreamer_description``.
        name: of the stream; None takes the address without user and password.
        hardware: which elements do the work; None takes NVIDIA's where they are installed.
        fit: scales each frame to the network's size, as ``manifest.network.letterbox`` says it; None leaves
            frames at the source's size.
        transport, size, fps, latency_ms: see ``describe``.
        open_timeout_s: longest wait for the first frame.
        read_timeout_s: longest wait for a next one, after which a live source connects anew.
        longest_backoff_s: longest wait between two attempts at that.

    Attributes:
        attempts: connections tried; each is an epoch of its own.

    Raises:
        CatseyeError: GStreamer or an element is not installed.
        UsageError: the address or an option cannot be.
    """

    def __init__(
        self,
        address: str,
        *,
        name: str | None = None,
        hardware: Hardware | None = None,
        fit: Callable[[int, int], Letterbox] | None = None,
        transport: Transport = "tcp",
        size: tuple[int, int] | None = None,
        fps: int | None = None,
        latency_ms: int = 100,
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 5.0,
        longest_backoff_s: float = 1.0,
    ) -> None:
        load_gstreamer()
        self.live = kind_of(address) != "file"
        self.name = name or without_credentials(address)
        hardware = hardware or hardware_here()
        if missing := missing_elements(hardware):
            raise CatseyeError(f"GStreamer has no {', '.join(missing)}: apt-get install {PACKAGES}")
        self._description = describe(
            address,
            hardware=hardware,
            transport=transport,
            latency_ms=latency_ms,
            timeout_s=read_timeout_s,
            size=size,
            fps=fps,
        )
        self._fit = fit
        self._open_timeout_s, self._read_timeout_s = open_timeout_s, read_timeout_s
        self._backoff = Backoff(longest_backoff_s)
        self.attempts = self._arrived = self._dropped = 0
        self._connection: Connection | None = None
        self._closed = threading.Event()
        self._lock = threading.Lock()

    @property
    def dropped(self) -> int:
        """Frames whose place a newer one took. ``Frame.index`` counts them too."""
        with self._lock:
            return self._dropped + (self._connection.dropped if self._connection is not None else 0)

    def frames(self) -> Iterator[SourceFrame]:
        """See ``Source``. Called again after it has failed, it goes on with a new connection.

        Raises:
            InputError: a file cannot be read.
            CatseyeError: the pipeline cannot be built.
        """
        while (connection := self._connect()) is not None:
            try:
                yield from self._taken(connection)
                fault = "the stream ended"
            except InputError as error:
                if not self.live:
                    raise
                fault = error.fault
            finally:
                self._disconnect(connection)
            if not self.live or self._closed.is_set():
                return
            if not self._backoff.failures:
                _log.warning("%s %s; it is connected to anew", self.name, fault)
            self._closed.wait(self._backoff.next_s())

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            connection = self._connection
        if connection is not None:
            connection.close()

    def _connect(self) -> Connection | None:
        with self._lock:
            if self._closed.is_set():
                return None
            self.attempts += 1
            self._connection = Connection(self.name, self._description, live=self.live, fit=self._fit)
            return self._connection

    def _disconnect(self, connection: Connection) -> None:
        connection.close()
        with self._lock:
            self._connection = None
            self._arrived += connection.arrived
            self._dropped += connection.dropped

    def _taken(self, connection: Connection) -> Iterator[SourceFrame]:
        timeout_s = self._open_timeout_s
        while (arrived := connection.take(timeout_s)) is not None:
            yield self._frame(arrived, connection)
            self._backoff.reset()
            if self.live:
                timeout_s = self._read_timeout_s

    def _frame(self, arrived: Arrived, connection: Connection) -> SourceFrame:
        picture = arrived.picture
        utc_ns, clock = self._captured(arrived, connection)
        return SourceFrame(
            frame=Frame(
                index=self._arrived + arrived.number,
                pts=arrived.running_ns,
                time_base=_TIME_BASE,
                planes=planes_of(arrived.sample, picture),
                key=False,
            ),
            width=picture.width,
            height=picture.height,
            epoch=self.attempts - 1,
            arrived_s=arrived.arrived_s,
            captured_utc_ns=utc_ns,
            clock=clock,
        )

    def _captured(self, arrived: Arrived, connection: Connection) -> tuple[int | None, Clock]:
        if not self.live:
            return None, "file"
        arrived_ns = time.time_ns() - int((time.perf_counter() - arrived.arrived_s) * 1e9)
        sender = connection.sender_clock
        return believed(None if sender is None else sender.utc_ns(arrived.running_ns), arrived_ns)
