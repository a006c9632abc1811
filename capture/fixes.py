"""Where a vehicle was and how fast, on the clock of the world: satellite fixes from logs of every kind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catseye.capture.earth import great_circle_m
from catseye.capture.fix_formats import Parsed, Sample, parse_csv, parse_gpx, parse_jsonl, parse_nmea
from catseye.capture.telemetry import TELEMETRY_SUFFIX, Telemetry, read_telemetry
from catseye.errors import InputError
from catseye.files import is_there

Column = NDArray[np.float64]

MAX_STEP_S = 10.0
"""Positions further apart in time tell no speed."""

_PARSERS: dict[str, Callable[[bytes], Parsed]] = {
    ".nmea": parse_nmea,
    ".gpx": parse_gpx,
    ".jsonl": parse_jsonl,
    ".ndjson": parse_jsonl,
    ".csv": parse_csv,
}
_REMEDY = "give NMEA 0183, GPX, JSON Lines, or CSV with a header and UTC times"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Fixes:
    """Satellite fixes in the order of time; each array is (N,) float64, NaN where a value is unknown.

    Args:
        utc_s: seconds since 1970-01-01 UTC as POSIX counts them, rising.
        latitude_deg, longitude_deg: WGS 84.
        altitude_m: above mean sea level.
        speed_mps: over ground.
        heading_deg: course over ground, clockwise from true north.
    """

    utc_s: Column
    latitude_deg: Column
    longitude_deg: Column
    altitude_m: Column
    speed_mps: Column
    heading_deg: Column

    def __len__(self) -> int:
        return len(self.utc_s)

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Fixes:
        """Put samples in order; of several at one time the last one counts, and the others fill its gaps.

        Speeds that no sample tells are those between the positions around it.
        """
        by_time: dict[float, Sample] = {}
        for sample in samples:
            by_time[sample.utc_s] = sample.filled_from(by_time.get(sample.utc_s))
        ordered = [by_time[utc_s] for utc_s in sorted(by_time)]
        columns = {
            field.name: np.array([getattr(sample, field.name) for sample in ordered], dtype=np.float64)
            for field in fields(cls)
        }
        speed = columns["speed_mps"]
        if np.isnan(speed).any():
            derived = speed_between(columns["utc_s"], columns["latitude_deg"], columns["longitude_deg"])
            columns["speed_mps"] = np.where(np.isnan(speed), derived, speed)
        return cls(**columns)

    def between(self, start_utc_s: float, end_utc_s: float) -> Fixes:
        """Those from one time to another, both included."""
        first, last = np.searchsorted(self.utc_s, [start_utc_s, np.nextafter(end_utc_s, np.inf)])
        return Fixes(**{field.name: getattr(self, field.name)[first:last] for field in fields(self)})


def speed_between(utc_s: Column, latitude_deg: Column, longitude_deg: Column) -> Column:
    """Speed in m/s at each position from its neighbours on both sides (at the ends, one), (N,) float64.

    It is the great-circle distance, by the haversine formula, over the time; NaN where positions are missing
    or more than ``MAX_STEP_S`` apart.
    """
    count = len(utc_s)
    before, after = np.maximum(np.arange(count) - 1, 0), np.minimum(np.arange(count) + 1, max(count - 1, 0))
    step_s = np.diff(utc_s)
    step_m = great_circle_m(
        (latitude_deg[:-1], latitude_deg[1:]), (longitude_deg[:-1], longitude_deg[1:])
    ).astype(np.float64)
    step_m[step_s > MAX_STEP_S] = np.nan
    # Summing the steps keeps a turn's length, which the chord over two of them would cut.
    length_m = np.concatenate([[0.0], step_m])
    around_m = np.where(before < np.arange(count), length_m, 0.0)
    around_m = around_m + np.where(after > np.arange(count), np.append(step_m, 0.0), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(around_m / (utc_s[after] - utc_s[before]), dtype=np.float64)


def read_fixes(path: Path) -> Fixes:
    """Read a log of satellite fixes: NMEA 0183, GPX 1.0 and 1.1, CSV or JSON Lines.

    The kind is told by the suffix (``.nmea .gpx .csv .jsonl .ndjson``), otherwise by the content.
    ``fix_formats`` says what each may hold. Lines that do not fit are passed over, with one warning that
    counts them.

    Raises:
        InputError: it cannot be read, or holds no fix.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", _REMEDY) from None
    parse = _PARSERS.get(path.suffix.lower()) or _parser_of(content)
    parsed = parse(content)
    fixes = Fixes.of(parsed.samples)
    if not len(fixes):
        raise InputError(path, f"holds no fix ({parsed.bad} lines do not fit)", _REMEDY)
    if parsed.bad:
        _log.warning("%s: %d lines do not fit and are passed over", path, parsed.bad)
    return fixes


def on_video_clock(fixes: Fixes, *, start_utc: datetime, first_pts_s: float) -> Telemetry:
    """Fixes on a video's own clock; those without a speed are left out.

    Args:
        fixes: from any log.
        start_utc: capture time of the video's first frame, with its time zone.
        first_pts_s: presentation time of that frame in seconds.
    """
    known = np.isfinite(fixes.speed_mps)
    return Telemetry(
        time_s=(first_pts_s + (fixes.utc_s - start_utc.timestamp()))[known],
        speed_mps=fixes.speed_mps[known].astype(np.float32),
        latitude_deg=fixes.latitude_deg[known],
        longitude_deg=fixes.longitude_deg[known],
    )


def telemetry_beside(video: Path, *, start_utc: datetime | None, first_pts_s: float) -> Telemetry | None:
    """The telemetry that lies beside a video, on the video's clock; None where there is none.

    ``<stem>.telemetry.csv``, which is on that clock already, comes before ``.nmea``, ``.gpx``, ``.jsonl``,
    ``.ndjson`` and ``.csv`` of the same stem, which are joined by UTC.

    Args:
        video: its path.
        start_utc: capture time of its first frame, with its time zone; None where it is unknown.
        first_pts_s: presentation time of that frame in seconds.

    Raises:
        InputError: what is there cannot be read, or needs the video's UTC and that is unknown.
    """
    own = video.with_name(video.stem + TELEMETRY_SUFFIX)
    if is_there(own):
        return read_telemetry(own)
    log = log_beside(video)
    if log is None:
        return None
    if start_utc is None:
        raise InputError(log, "cannot be joined: its video has no start time", "name the video by its UTC")
    return on_video_clock(read_fixes(log), start_utc=start_utc, first_pts_s=first_pts_s)


def log_beside(video: Path) -> Path | None:
    """The log of the same stem that would be joined by UTC, where there is one."""
    logs = (video.with_name(video.stem + suffix) for suffix in _PARSERS)
    return next((log for log in logs if is_there(log)), None)


def _parser_of(content: bytes) -> Callable[[bytes], Parsed]:
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return {b"<": parse_gpx, b"{": parse_jsonl, b"$": parse_nmea, b"!": parse_nmea}.get(start, parse_csv)
