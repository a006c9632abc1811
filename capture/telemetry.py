"""A vehicle's speed and place beside its video: ``<stem>.telemetry.csv``, on the video's own clock.

Its header has ``time_s,speed_mps`` and may have ``latitude_deg,longitude_deg``; it passes over others.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catseye.errors import InputError

TELEMETRY_SUFFIX = ".telemetry.csv"
MAX_AGE_S = 1.0
"""A frame further than this from every sample has no speed."""

_COLUMNS = ("time_s", "speed_mps")
_PLACE_COLUMNS = ("latitude_deg", "longitude_deg")
_COUNT = {2: "two", 4: "four"}
_REMEDY = "give a CSV with the header time_s,speed_mps and rising times"


@dataclass(frozen=True, eq=False)
class Telemetry:
    """Speed samples.

    Args:
        time_s: (N,) float64 seconds on the video's own pts clock, rising.
        speed_mps: (N,) float32.
        latitude_deg, longitude_deg: (N,) float64, WGS 84, NaN where unknown; None where unknown throughout.
    """

    time_s: NDArray[np.float64]
    speed_mps: NDArray[np.float32]
    latitude_deg: NDArray[np.float64] | None = None
    longitude_deg: NDArray[np.float64] | None = None

    def speed_at(self, times_s: NDArray[np.float64]) -> NDArray[np.float32]:
        """Speed in m/s at frame times, (T,) float32, linearly between samples; NaN too far from any."""
        if not len(self.time_s):
            return np.full(len(times_s), np.nan, dtype=np.float32)
        right = np.searchsorted(self.time_s, times_s)
        before = self.time_s[np.maximum(right - 1, 0)]
        after = self.time_s[np.minimum(right, len(self.time_s) - 1)]
        age_s = np.minimum(np.abs(times_s - before), np.abs(times_s - after))
        speed = np.interp(times_s, self.time_s, self.speed_mps)
        return np.where(age_s <= MAX_AGE_S, speed, np.nan).astype(np.float32)


def read_telemetry(path: Path) -> Telemetry:
    """Read a telemetry file. Empty and NaN speeds are passed over.

    Raises:
        InputError: it cannot be read, has not both columns, or a line does not fit.
    """
    try:
        with path.open(newline="") as stream:
            rows = csv.DictReader(stream)
            if not set(_COLUMNS) <= set(rows.fieldnames or ()):
                raise InputError(path, "has not the columns time_s and speed_mps", _REMEDY)
            has_place = set(_PLACE_COLUMNS) <= set(rows.fieldnames or ())
            names = _COLUMNS + _PLACE_COLUMNS if has_place else _COLUMNS
            samples = [_sample(path, rows.line_num, [row[name] for name in names]) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"cannot be read ({error})", _REMEDY) from None
    known = np.array([sample for sample in samples if not math.isnan(sample[1])], dtype=np.float64)
    known = known.reshape(-1, len(names))
    times_s = known[:, 0]
    if (np.diff(times_s) <= 0).any():
        line = int(np.flatnonzero(np.diff(times_s) <= 0)[0])
        raise InputError(path, f"time_s does not rise after {times_s[line]:g}", _REMEDY)
    latitude, longitude = (known[:, 2], known[:, 3]) if has_place else (None, None)
    return Telemetry(times_s, known[:, 1].astype(np.float32), latitude, longitude)


def _sample(path: Path, line: int, values: Sequence[str | None]) -> list[float]:
    try:
        sample = [float(values[0] or ""), *(float(value or "nan") for value in values[1:])]
    except ValueError:
        raise InputError(path, f"line {line} is not {_COUNT[len(values)]} numbers", _REMEDY) from None
    if math.isnan(sample[0]) or any(map(math.isinf, sample)):
        raise InputError(path, f"line {line} is not finite", _REMEDY)
    return sample
