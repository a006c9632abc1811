"""The vehicle's telemetry while cameras are recorded: each segment gets its own part, on its own clock."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from catseye.capture.fixes import Fixes, read_fixes
from catseye.capture.gpsd import DEFAULT_PORT, GpsdLog
from catseye.capture.telemetry import MAX_AGE_S, TELEMETRY_SUFFIX
from catseye.errors import InputError, UsageError
from catseye.files import write_text

_HEADER = "time_s,speed_mps,latitude_deg,longitude_deg,heading_deg"


class TelemetryLog:
    """Writes the telemetry of segments from fixes; threads may share it. Use as a context manager or close.

    Args:
        fixes: gives all that is known by now; called as each segment closes.
        close: ends what gathers them.
    """

    def __init__(self, fixes: Callable[[], Fixes], close: Callable[[], None] = lambda: None) -> None:
        self._fixes, self.close = fixes, close

    def __enter__(self) -> TelemetryLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write_for(self, path_stem: Path, start_utc: datetime, end_utc: datetime, first_pts_s: float) -> str:
        """Write ``<stem>.telemetry.csv``: what was known from a second before a segment to a second after.

        Its columns are ``time_s`` on the segment's own clock, ``speed_mps``, ``latitude_deg``,
        ``longitude_deg`` and ``heading_deg``, empty where unknown.

        Args:
            path_stem: path of the segment without its suffix.
            start_utc, end_utc: capture times of its first and last frame, with their time zone.
            first_pts_s: presentation time of its first frame in seconds.

        Returns:
            The file's name; empty where nothing was known, and nothing is written.
        """
        start_s, end_s = start_utc.timestamp(), end_utc.timestamp()
        fixes = self._fixes().between(start_s - MAX_AGE_S, end_s + MAX_AGE_S)
        if not len(fixes):
            return ""
        columns = (
            np.round(first_pts_s + (fixes.utc_s - start_s), 6),
            fixes.speed_mps,
            fixes.latitude_deg,
            fixes.longitude_deg,
            fixes.heading_deg,
        )
        lines = (",".join(map(_text, row)) for row in np.stack(columns, axis=1).tolist())
        path = path_stem.with_name(path_stem.name + TELEMETRY_SUFFIX)
        write_text(path, "\n".join([_HEADER, *lines, ""]))
        return path.name


def open_telemetry(source: str) -> TelemetryLog:
    """What ``--telemetry`` names: a log of any kind that ``read_fixes`` takes, or ``gpsd://HOST[:PORT]``.

    A log may grow while cameras are recorded: it is read again when it has.

    Raises:
        InputError: the log cannot be read, or holds no fix.
        UsageError: the address is no gpsd's.
    """
    if "://" in source:
        host, port = _gpsd_address(source)
        gpsd = GpsdLog(host, port)
        return TelemetryLog(gpsd.fixes, gpsd.close)
    growing = _GrowingFile(Path(source))
    growing.fixes()
    return TelemetryLog(growing.fixes)


class _GrowingFile:
    """A log's fixes, read again only when its size or time has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read_at: tuple[int, int] | None = None
        self._known: Fixes

    def fixes(self) -> Fixes:
        with self._lock:
            try:
                state = self._path.stat()
            except OSError as error:
                fault, remedy = f"cannot be read ({error.strerror})", "give a log, or gpsd://HOST"
                raise InputError(self._path, fault, remedy) from None
            if self._read_at != (state.st_size, state.st_mtime_ns):
                self._known = read_fixes(self._path)
                self._read_at = (state.st_size, state.st_mtime_ns)
            return self._known


def _gpsd_address(source: str) -> tuple[str, int]:
    try:
        address = urlsplit(source)
        host, port = address.hostname, address.port
    except ValueError:
        host, port = None, None
    if not source.startswith("gpsd://") or not host:
        raise UsageError(f"telemetry {source!r}: must be a file or gpsd://HOST[:PORT]")
    return host, port or DEFAULT_PORT


def _text(value: float) -> str:
    return "" if math.isnan(value) else repr(round(value, 9))
