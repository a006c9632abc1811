"""How recording fares, for people and machines: JSON, Prometheus, a page of health."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from catseye import prometheus
from catseye.capture.recording.status import CameraStatus
from catseye.errors import InputError
from catseye.files import write_json
from catseye.http_server import Answer, WebServer

_log = logging.getLogger(__name__)

Statuses = Callable[[], Sequence[CameraStatus]]

_METRICS: tuple[tuple[str, Literal["gauge", "counter"], str, Callable[[CameraStatus], float | None]], ...] = (
    ("connected", "gauge", "Whether packets are expected to come now.", lambda c: float(c.connected)),
    (
        "last_packet_timestamp_seconds",
        "gauge",
        "Arrival of the newest packet, in seconds since 1970.",
        lambda c: None if c.last_packet_utc is None else c.last_packet_utc.timestamp(),
    ),
    ("packets_total", "counter", "Packets written to segments.", lambda c: c.packets),
    ("bytes_total", "counter", "Bytes of packets written to segments.", lambda c: c.bytes),
    ("dropped_packets_total", "counter", "Packets that came and were not written.", lambda c: c.dropped),
    ("reconnects_total", "counter", "Connections after the first.", lambda c: c.reconnects),
    ("segments_total", "counter", "Segments closed.", lambda c: c.segments),
    ("gap_seconds_total", "counter", "Seconds that nothing was recorded.", lambda c: c.gap_s),
)


def status_document(cameras: Sequence[CameraStatus]) -> dict[str, Any]:
    """The figures as JSON takes them, with the moment they are of."""
    return {
        "schema_version": "1.0",
        "at_utc": datetime.now(timezone.utc).isoformat(),
        "healthy": is_healthy(cameras),
        "cameras": [
            {
                "name": camera.name,
                "connected": camera.connected,
                "last_packet_utc": camera.last_packet_utc and camera.last_packet_utc.isoformat(),
                "packets": camera.packets,
                "bytes": camera.bytes,
                "dropped": camera.dropped,
                "reconnects": camera.reconnects,
                "segments": camera.segments,
                "gap_s": camera.gap_s,
                "last_error": camera.last_error,
            }
            for camera in cameras
        ],
    }


def prometheus_text(cameras: Sequence[CameraStatus]) -> str:
    """The figures as Prometheus reads them."""
    return prometheus.exposition(
        prometheus.Metric(
            f"catseye_record_{name}",
            kind,
            help_text,
            [({"camera": camera.name}, value_of(camera)) for camera in cameras],
        )
        for name, kind, help_text, value_of in _METRICS
    )


def is_healthy(cameras: Sequence[CameraStatus]) -> bool:
    """Whether every camera is connected."""
    return all(camera.connected for camera in cameras)


def write_status(path: Path, cameras: Sequence[CameraStatus]) -> None:
    """Replace a file by the figures as JSON: whoever reads it finds the old ones whole or the new ones.

    It is fsynced, so a place in memory such as ``/run`` spares the disk.
    """
    write_json(path, status_document(cameras))


class StatusFile:
    """``write_status`` again and again, for a recorder that must not end where the file's disk fails.

    Args:
        path: the file.
        cameras: the figures it begins with.

    Raises:
        InputError: it cannot be written from the first.
    """

    def __init__(self, path: Path, cameras: Sequence[CameraStatus]) -> None:
        self._path, self._fails = path, False
        try:
            write_status(path, cameras)
        except OSError as error:
            fault = f"cannot be written ({error.strerror})"
            raise InputError(path, fault, "name another file for the status") from None

    def write(self, cameras: Sequence[CameraStatus]) -> None:
        """Replace the figures; a failure is warned of once, until it is over."""
        try:
            write_status(self._path, cameras)
        except OSError as error:
            if not self._fails:
                _log.warning("%s: the status cannot be written (%s)", self._path, error.strerror)
            self._fails = True
        else:
            self._fails = False


def serve_status(get: Statuses, port: int, *, host: str = "127.0.0.1") -> WebServer:
    """Serve the figures over HTTP: ``/status.json``, ``/metrics`` and ``/healthz``, which says 503 while a
    camera is not connected.

    Args:
        get: gives the figures of all cameras; called at each request.
        port, host: to listen on, see ``WebServer``.

    Raises:
        InputError: the port is taken or not allowed.
    """

    def health() -> Answer:
        missing = [camera.name for camera in get() if not camera.connected]
        if missing:
            return Answer(f"not connected: {', '.join(missing)}\n".encode(), code=503)
        return Answer(b"ok\n")

    routes = {
        "/status.json": lambda: Answer.of_json(status_document(get())),
        "/metrics": lambda: Answer(prometheus_text(get()).encode(), prometheus.CONTENT_TYPE),
        "/healthz": health,
    }
    return WebServer(routes, port, host=host)
