"""Names of segments: the UTC time they begin at, unique and in the order of recording."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

from catseye.capture import journal
from catseye.capture.utc import utc_of

_FORM = "%Y%m%dT%H%M%S"
_STEM = re.compile(r"(\d{8}T\d{6}\.\d{3}Z)(?:\.|$)")


def stem_of(file: str) -> str | None:
    """The stem of a segment's file name, whatever its suffixes; None for the name of something else."""
    found = _STEM.match(file)
    return found[1] if found else None


class SegmentNames:
    """Stems for the segments of a camera's folder, like ``20260504T030201.500Z``.

    No colon is in them, since cards formatted for cameras take none. A name is never given twice, though the
    file be gone, and sorts after all before it, though the clock be set back: then it is a millisecond
    after the last.
    """

    def __init__(self, folder: Path) -> None:
        recorded = [entry.file for entry in journal.read(folder) if isinstance(entry, journal.SegmentClosed)]
        present = [path.name for path in folder.iterdir()]
        self._last = max(filter(None, map(stem_of, recorded + present)), default="")

    def next(self, utc_ns: int) -> str:
        stem = _stem(utc_of(utc_ns))
        if stem <= self._last:
            stem = _stem(_time(self._last) + timedelta(milliseconds=1))
        self._last = stem
        return stem


def _stem(time: datetime) -> str:
    return f"{time.strftime(_FORM)}.{time.microsecond // 1000:03}Z"


def _time(stem: str) -> datetime:
    seconds, _, milliseconds = stem.rstrip("Z").partition(".")
    whole = datetime.strptime(seconds, _FORM).replace(tzinfo=timezone.utc)
    return whole + timedelta(milliseconds=int(milliseconds))
