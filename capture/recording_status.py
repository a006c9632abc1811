"""How recording fares, for people and machines: JSON, Prometheus, a page of health."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from catseye.capture.recording.status import CameraStatus
from catseye.errors import InputError
from catseye.files import write_json

_log = logging.getLogger(__name__)

PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Statuses = Callable[[], Sequence[CameraStatus]]

_METRICS: tuple[tuple[str, str, str, Callable[[CameraStatus], float | None]], ...] = (
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
    """The figures in Prometheus' text format 0.0.4.

    https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    lines: list[str] = []
    for name, kind, help_text, value_of in _METRICS:
        metric = f"catseye_record_{name}"
        lines += [f"# HELP {metric} {help_text}", f"# TYPE {metric} {kind}"]
        for camera in cameras:
            value = value_of(camera)
            if value is not None:
                lines.append(f'{metric}{{camera="{_escaped(camera.name)}"}} {value!r}')
    return "\n".join([*lines, ""])


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


class StatusServer:
    """Serves ``/status.json``, ``/metrics`` and ``/healthz`` (200, or 503 while a camera is not connected).

    Use as a context manager, or call ``close``.
    """

    def __init__(self, get: Statuses, port: int, *, host: str) -> None:
        class Handler(_Handler):
            statuses = staticmethod(get)

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="status", daemon=True)
        self._thread.start()

    def __enter__(self) -> StatusServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve_status(get: Statuses, port: int, *, host: str = "127.0.0.1") -> StatusServer:
    """Serve the figures over HTTP from a thread, to this machine only unless ``host`` says otherwise.

    Args:
        get: gives the figures of all cameras; called at each request.
        port: to listen on; 0 for any, which ``StatusServer.port`` then tells.
        host: address to listen on.

    Raises:
        InputError: the port is taken or not allowed.
    """
    try:
        return StatusServer(get, port, host=host)
    except OSError as error:
        fault = f"cannot be listened on ({error.strerror})"
        raise InputError(f"port {port} of {host}", fault, "name another, or 0 for any") from None


class _Handler(BaseHTTPRequestHandler):
    statuses: Statuses
    timeout = 10  # seconds; a client that says nothing holds no thread

    def do_GET(self) -> None:
        cameras = self.statuses()
        path = self.path.partition("?")[0]
        if path == "/status.json":
            self._answer(200, "application/json", json.dumps(status_document(cameras), indent=2) + "\n")
        elif path == "/metrics":
            self._answer(200, PROMETHEUS_TYPE, prometheus_text(cameras))
        elif path == "/healthz":
            missing = [camera.name for camera in cameras if not camera.connected]
            text = f"not connected: {', '.join(missing)}\n" if missing else "ok\n"
            self._answer(503 if missing else 200, "text/plain; charset=utf-8", text)
        else:
            self._answer(404, "text/plain; charset=utf-8", "/status.json, /metrics or /healthz\n")

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not worth a line each."""

    def _answer(self, code: int, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
