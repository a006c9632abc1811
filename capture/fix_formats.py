"""The text formats that satellite receivers and loggers write, read into samples.

NMEA 0183: ``RMC`` (time, date, position, speed, course), ``GGA`` (time, position, altitude), ``VTG`` (speed,
course) and ``ZDA`` (date) of any talker; a sentence without a right checksum is a line that does not fit.
GPX 1.0 and 1.1: track, route and way points with a time; ``speed`` and ``course`` of GPX 1.0 or an extension.
CSV and JSON Lines: a time and whatever else there is, by the names in ``_NAMES``; JSON Lines may be what gpsd
writes, of which ``TPV`` objects are taken.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

KNOT_MPS = 1852 / 3600
NAN = math.nan

_DAY_S = 86_400


@dataclass(frozen=True)
class Sample:
    """One fix; see ``fixes.Fixes``."""

    utc_s: float
    latitude_deg: float = NAN
    longitude_deg: float = NAN
    altitude_m: float = NAN
    speed_mps: float = NAN
    heading_deg: float = NAN

    def filled_from(self, other: Sample | None) -> Sample:
        """With what it lacks taken from another."""
        if other is None:
            return self
        mine, theirs = self.__dict__, other.__dict__
        return Sample(**{name: theirs[name] if math.isnan(mine[name]) else mine[name] for name in mine})

    @property
    def tells_anything(self) -> bool:
        return not (math.isnan(self.latitude_deg) and math.isnan(self.speed_mps))


@dataclass
class Parsed:
    """What a log holds.

    Args:
        samples: in the order of the log.
        bad: lines, or points, that do not fit.
    """

    samples: list[Sample] = field(default_factory=list)
    bad: int = 0

    def take(self, sample: Sample | None) -> None:
        if sample is not None and sample.tells_anything:
            self.samples.append(sample)


# NMEA 0183


@dataclass
class _Epoch:
    """All sentences of one time of day."""

    time_of_day_s: float
    day: int | None = None
    values: dict[str, float] = field(default_factory=dict)


def parse_nmea(content: bytes) -> Parsed:
    """Sentences are joined by their time of day. A date holds until another comes, or midnight passes."""
    parsed = Parsed()
    epochs: list[_Epoch] = []
    for line in content.splitlines():
        if not line.strip():
            continue
        try:
            _take_sentence(line, epochs)
        except (ValueError, IndexError):
            parsed.bad += 1
    _date(epochs)
    for epoch in epochs:
        if epoch.day is not None:
            parsed.take(Sample(utc_s=epoch.day * _DAY_S + epoch.time_of_day_s, **epoch.values))
    return parsed


def _take_sentence(line: bytes, epochs: list[_Epoch]) -> None:
    """Add a sentence to the last epoch, or begin one; loggers may put words of their own before the ``$``."""
    start = line.rfind(b"$")
    if start < 0 or b"*" not in line[start:]:
        raise ValueError
    body, _, stated = line[start + 1 :].partition(b"*")
    checksum = 0
    for byte in body:
        checksum ^= byte
    if int(stated[:2], 16) != checksum:
        raise ValueError
    address, *words = body.decode("ascii").split(",")
    read = _SENTENCES.get(address[-3:])
    if read is None:
        return
    found = read(words)
    time = words[0]
    if address.endswith("VTG"):
        if epochs:
            epochs[-1].values |= found
        return
    if not time:
        return  # no fix yet
    time_of_day_s = int(time[:2]) * 3600 + int(time[2:4]) * 60 + float(time[4:])
    if not 0 <= time_of_day_s <= _DAY_S:
        raise ValueError
    if not epochs or epochs[-1].time_of_day_s != time_of_day_s:
        epochs.append(_Epoch(time_of_day_s))
    day = found.pop("day", None)
    epochs[-1].day = epochs[-1].day if day is None else int(day)
    epochs[-1].values |= found


def _rmc(words: list[str]) -> dict[str, float]:
    day: dict[str, float] = (
        {"day": _day(int(words[8][:2]), int(words[8][2:4]), int(words[8][4:]))} if words[8] else {}
    )
    if words[1] != "A":
        return day
    return day | _known(
        latitude_deg=_angle(words[2], words[3]),
        longitude_deg=_angle(words[4], words[5]),
        speed_mps=_number(words[6]) * KNOT_MPS,
        heading_deg=_number(words[7]),
    )


def _gga(words: list[str]) -> dict[str, float]:
    if words[5] in ("", "0"):
        return {}
    return _known(
        latitude_deg=_angle(words[1], words[2]),
        longitude_deg=_angle(words[3], words[4]),
        altitude_m=_number(words[8]),
    )


def _vtg(words: list[str]) -> dict[str, float]:
    if len(words) > 8 and words[8] == "N":  # mode: not valid
        return {}
    knots, kmh = _number(words[4]), _number(words[6])
    return _known(
        heading_deg=_number(words[0]), speed_mps=kmh / 3.6 if math.isnan(knots) else knots * KNOT_MPS
    )


def _zda(words: list[str]) -> dict[str, float]:
    return {"day": _day(int(words[1]), int(words[2]), int(words[3]))} if words[1] else {}


_SENTENCES: dict[str, Callable[[list[str]], dict[str, float]]] = {
    "RMC": _rmc,
    "GGA": _gga,
    "VTG": _vtg,
    "ZDA": _zda,
}


def _date(epochs: list[_Epoch]) -> None:
    """Give each epoch the day of its neighbour, a midnight between them counted; first onwards, then back."""
    for steps in (epochs, epochs[::-1]):
        for known, epoch in pairwise(steps):
            if epoch.day is None and known.day is not None:
                # A step of more than half a day within a log is midnight.
                turned = round((known.time_of_day_s - epoch.time_of_day_s) / _DAY_S)
                epoch.day = known.day + turned


def _day(day: int, month: int, year: int) -> int:
    """Days since 1970-01-01; two figures of a year are from 1980 on, when the system's time begins."""
    if year < 100:
        year += 1900 if year >= 80 else 2000
    return (datetime(year, month, day) - datetime(1970, 1, 1)).days


def _angle(words: str, side: str) -> float:
    """Degrees of ``dddmm.mmmm`` and its hemisphere."""
    if not words:
        return NAN
    whole, minutes = divmod(float(words), 100)
    degrees = whole + minutes / 60
    if minutes >= 60 or side not in ("N", "S", "E", "W") or degrees > (90 if side in "NS" else 180):
        raise ValueError
    return -degrees if side in "SW" else degrees


# GPX


def parse_gpx(content: bytes) -> Parsed:
    """Points up to where the file is cut off, if it is. Entities are refused: no logger writes any."""
    parsed = Parsed()
    if b"<!ENTITY" in content:
        parsed.bad = 1
        return parsed
    try:
        for _, element in ElementTree.iterparse(io.BytesIO(content)):
            if _local(element.tag) in ("trkpt", "rtept", "wpt"):
                try:
                    parsed.take(_gpx_point(element))
                except ValueError:
                    parsed.bad += 1
                element.clear()
    except ElementTree.ParseError:
        parsed.bad += 1
    return parsed


def _gpx_point(point: ElementTree.Element) -> Sample | None:
    texts = {_local(child.tag): (child.text or "").strip() for child in point.iter() if child is not point}
    if "time" not in texts:
        return None
    return Sample(
        utc_s=utc_seconds(texts["time"]),
        latitude_deg=_within(float(point.attrib.get("lat", "")), 90),
        longitude_deg=_within(float(point.attrib.get("lon", "")), 180),
        altitude_m=_number(texts.get("ele", "")),
        speed_mps=_number(texts.get("speed", "")),
        heading_deg=_number(texts.get("course", "")),
    )


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2].lower()


# CSV and JSON Lines

_NAMES: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("latitude_deg", "latitude", "lat", "gps_latitude", "gps_lat"), ("latitude_deg", 1.0)),
    **dict.fromkeys(
        ("longitude_deg", "longitude", "lon", "lng", "long", "gps_longitude", "gps_lon"),
        ("longitude_deg", 1.0),
    ),
    **dict.fromkeys(
        ("altitude_m", "altitude", "alt", "altmsl", "elevation", "elevation_m", "ele", "height"),
        ("altitude_m", 1.0),
    ),
    **dict.fromkeys(("speed_mps", "speed", "speed_m_s", "velocity", "gps_speed"), ("speed_mps", 1.0)),
    **dict.fromkeys(("speed_kmh", "speed_kph", "speed_km_h", "kmh", "kph"), ("speed_mps", 1 / 3.6)),
    **dict.fromkeys(("speed_mph", "mph"), ("speed_mps", 1609.344 / 3600)),
    **dict.fromkeys(("speed_knots", "speed_kn", "speed_kt", "knots"), ("speed_mps", KNOT_MPS)),
    **dict.fromkeys(
        (
            "heading_deg",
            "heading",
            "course",
            "course_deg",
            "bearing",
            "bearing_deg",
            "track",
            "track_deg",
            "cog",
        ),
        ("heading_deg", 1.0),
    ),
}
"""What a column may be called, in small letters with ``_`` for all else, and the factor to our unit."""

_TIME_NAMES = ("utc", "time_utc", "utc_time", "timestamp", "time", "datetime", "date_time", "utc_s")
_EPOCH_UNITS_S = {"_ms": 1e-3, "_us": 1e-6, "_ns": 1e-9, "_s": 1.0}


def parse_csv(content: bytes) -> Parsed:
    """Lines below a header; a comma, a semicolon or a tab divides them."""
    parsed = Parsed()
    text = content.decode("utf-8-sig", errors="replace")
    header = text.partition("\n")[0]
    divider = max(",;\t", key=header.count)
    try:
        for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=divider):
            try:
                parsed.take(sample_of({name: value for name, value in row.items() if name is not None}))
            except (ValueError, OverflowError):
                parsed.bad += 1
    except csv.Error:
        parsed.bad += 1
    return parsed


def parse_jsonl(content: bytes) -> Parsed:
    """An object a line."""
    parsed = Parsed()
    for line in content.splitlines():
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError
            parsed.take(sample_of(record))
        except (ValueError, OverflowError, RecursionError):
            parsed.bad += 1
    return parsed


def sample_of(record: Mapping[str, Any]) -> Sample | None:
    """A record of named values as a sample; None for one of gpsd's that is no fix.

    Raises:
        ValueError: it has no time, or a value is no number or out of range.
    """
    if record.get("class", "TPV") != "TPV":
        return None
    values: dict[str, float] = {}
    utc_s = NAN
    for given, value in record.items():
        name = re.sub(r"[^a-z0-9]+", "_", given.lower()).strip("_")
        if name in _NAMES:
            known_as, factor = _NAMES[name]
            number = _number(value) * factor
            if not math.isnan(number):
                values.setdefault(known_as, number)
        elif math.isnan(utc_s):
            utc_s = _time_of(name, value)
    if math.isnan(utc_s):
        if "class" in record:
            return None  # gpsd has no fix yet
        raise ValueError
    _within(values.get("latitude_deg", 0.0), 90)
    _within(values.get("longitude_deg", 0.0), 180)
    return Sample(utc_s=utc_s, **values)


def utc_seconds(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time (RFC 3339); one without a zone is UTC.

    Raises:
        ValueError: it is none.
    """
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no time")
    whole = datetime.fromisoformat(f"{found['date']}T{found['time']}").replace(tzinfo=timezone.utc)
    offset_s = 0
    if found["sign"]:
        offset_s = int(found["hours"]) * 3600 + int(found["minutes"] or 0) * 60
        offset_s = -offset_s if found["sign"] == "-" else offset_s
    return whole.timestamp() - offset_s + float(f"0.{found['fraction'] or 0}")


_ISO = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d+))?"
    r"\s*(?:Z|UTC|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?)?",
    re.IGNORECASE,
)


def _time_of(name: str, value: Any) -> float:
    """UTC seconds of a value if its name is a time's, in ISO 8601 or counted from 1970; otherwise NaN."""
    stem, unit_s = name, None
    for suffix, seconds in _EPOCH_UNITS_S.items():
        if name.endswith(suffix):
            stem, unit_s = name.removesuffix(suffix), seconds
    if name not in _TIME_NAMES and stem not in ("unix", "epoch", "unix_time", "utc", "timestamp"):
        return NAN
    if isinstance(value, str) and ("-" in value[1:] or ":" in value):
        return utc_seconds(value)
    count = _number(value)
    # A count without a unit tells it by its size: those of the years 1973 to 5138 in each are apart.
    guess = next((unit for unit, least in ((1e-9, 1e17), (1e-6, 1e14), (1e-3, 1e11)) if count >= least), 1.0)
    return count * (guess if unit_s is None else unit_s)


def _number(value: Any) -> float:
    """A finite float; NaN for nothing."""
    if value is None or value == "":
        return NAN
    if not isinstance(value, (int, float, str)):
        raise ValueError("no number")
    number = float(value)
    if math.isinf(number):
        raise ValueError("not finite")
    return number


def _within(degrees: float, most: float) -> float:
    if not abs(degrees) <= most:
        raise ValueError("out of range")
    return degrees


def _known(**values: float) -> dict[str, float]:
    return {name: value for name, value in values.items() if not math.isnan(value)}
