"""When an RTSP camera says that it captured a frame, from its RTCP sender reports (RFC 3550, 6.4.1)."""

from __future__ import annotations

import struct
from typing import Any

_NTP_TO_UTC_S = 2_208_988_800
"""From 1900, where NTP begins, to 1970."""
_NS = 10**9


class SenderClock:
    """The latest report of an ``rtspsrc``: a capture time for each running time of its pipeline.

    Works by the signal ``handle-sync`` of the jitter buffer, which pairs a report's RTP time with an RTP time
    whose place on the pipeline's clock is known. (``add-reference-timestamp-meta`` of newer GStreamers says
    the same only for cameras with an RFC 7273 clock.)
    """

    def __init__(self, rtspsrc: Any) -> None:
        self._offset_ns: int | None = None  # UTC less running time
        self._handlers: list[tuple[Any, int]] = []
        self._listen(rtspsrc, "new-manager", self._on_manager)

    def utc_ns(self, running_ns: int) -> int | None:
        """Nanoseconds since 1970, UTC; None before the first report."""
        return None if self._offset_ns is None else running_ns + self._offset_ns

    def close(self) -> None:
        while self._handlers:
            element, handler = self._handlers.pop()
            element.disconnect(handler)

    def _listen(self, element: Any, signal: str, call: Any) -> None:
        self._handlers.append((element, element.connect(signal, call)))

    def _on_manager(self, _rtspsrc: Any, manager: Any) -> None:
        self._listen(manager, "new-jitterbuffer", self._on_buffer)

    def _on_buffer(self, _manager: Any, buffer: Any, _session: int, _ssrc: int) -> None:
        self._listen(buffer, "handle-sync", self._on_report)

    def _on_report(self, _buffer: Any, told: Any) -> None:
        packet = told.get_value("sr-buffer")
        if packet is None:
            return
        ntp_ns = reported_ns(packet.extract_dup(0, packet.get_size()))
        ticks = told.get_value("sr-ext-rtptime") - told.get_value("base-rtptime")
        running_ns = told.get_value("base-time") + ticks * _NS // told.get_value("clock-rate")
        if ntp_ns is not None:
            self._offset_ns = ntp_ns - running_ns


def reported_ns(rtcp: bytes) -> int | None:
    """The time of the sender report that a compound RTCP packet begins with: nanoseconds since 1970."""
    if len(rtcp) < 16 or rtcp[1] != 200:
        return None
    seconds: int
    fraction: int
    seconds, fraction = struct.unpack_from("!II", rtcp, 8)
    return (seconds - _NTP_TO_UTC_S) * _NS + (fraction * _NS >> 32)
