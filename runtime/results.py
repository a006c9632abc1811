"""What is told of each frame, and the JSON Lines file of it. ``results.schema.json`` is the contract."""

from __future__ import annotations

import json
import logging
import math
import os
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from catseye.capture.live import Clock
from catseye.capture.sources import seconds
from catseye.runtime.distance import Distances
from catseye.runtime.tracker import Tracks

SCHEMA_VERSION = "1.1"
SCHEMA_FILE = Path(__file__).with_name("results.schema.json")

_JSON = json.JSONEncoder(allow_nan=False, separators=(",", ":"))

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FrameResult:
    """The tracks of one frame.

    Args:
        stream: the source.
        frame: place in presentation order, from 0.
        pts, time_base: presentation time.
        width, height: of the source frame in pixels.
        output_age_s: seconds between the frame's arrival and this result.
        classes: names by class index.
        tracks: boxes in source pixels.
        distances: a row a track.
        calibration: hash of the one used, or None.
        epoch: 0 at first, one more each time that tracking began anew.
        captured_utc_ns: capture time in nanoseconds since 1970, UTC; None where nothing tells it.
        clock: where the capture time comes from.
    """

    stream: str
    frame: int
    pts: int
    time_base: Fraction
    width: int
    height: int
    output_age_s: float
    classes: tuple[str, ...]
    tracks: Tracks
    distances: Distances
    calibration: str | None = None
    epoch: int = 0
    captured_utc_ns: int | None = None
    clock: Clock = "file"

    def record(self) -> dict[str, Any]:
        """The document that the schema describes."""
        return {
            "schema_version": SCHEMA_VERSION,
            "stream": self.stream,
            "epoch": self.epoch,
            "frame": self.frame,
            "pts": self.pts,
            "time_base": f"{self.time_base.numerator}/{self.time_base.denominator}",
            "capture_time_s": round(self._capture_time_s(), 6),
            "capture_source": self.clock,
            "output_age_s": round(self.output_age_s, 6),
            "width": self.width,
            "height": self.height,
            "calibration": self.calibration,
            "tracks": self._tracks(),
        }

    def _capture_time_s(self) -> float:
        if self.clock == "file" or self.captured_utc_ns is None:
            return seconds(self.pts, self.time_base)
        return self.captured_utc_ns / 1e9

    def _tracks(self) -> list[dict[str, Any]]:
        tracks, distances, count = self.tracks, self.distances, len(self.tracks)
        columns = {
            "id": tracks.ids.tolist(),
            "class": [self.classes[index] for index in tracks.classes.tolist()],
            "score": [round(score, 4) for score in tracks.scores.tolist()],
            "box_xyxy": [[round(edge, 2) for edge in box] for box in tracks.boxes_xyxy.tolist()],
            "distance_m": _known(distances.metres, count),
            "distance_sigma_m": _known(distances.sigma_m, count),
            "distance_relative": _known(distances.relative, count),
            "closing_speed_mps": _known(distances.closing_mps, count),
            "closing_speed_sigma_mps": _known(distances.closing_sigma_mps, count),
            "time_to_contact_s": _known(distances.contact_s, count),
            "time_to_contact_sigma_s": _known(distances.contact_sigma_s, count),
            "age_s": [round(age, 4) for age in tracks.ages_s.tolist()],
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _known(values: NDArray[np.float32] | None, count: int) -> list[float | None]:
    if values is None:
        return [None] * count
    return [round(value, 4) if math.isfinite(value) else None for value in values.tolist()]


def line_of(record: dict[str, Any]) -> bytes:
    """A record as a line of JSON.

    Raises:
        ValueError: it has a value that JSON cannot hold.
    """
    return _JSON.encode(record).encode() + b"\n"


class JsonLinesWriter:
    """A file of one record a line; use as a context manager.

    Lines go to ``<name>.part``, each handed to the system as it is written, and the file takes its name when
    the work is done. When the work fails, the whole lines written so far stay in ``<name>.part``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._aside = self.path.with_name(self.path.name + ".part")
        self._lines = self._bytes = 0

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._aside.open("wb")
        return self

    def write(self, record: dict[str, Any]) -> None:
        line = line_of(record)
        self._stream.write(line)
        self._stream.flush()
        self._lines += 1
        self._bytes += len(line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            with self._stream as stream:
                os.fsync(stream.fileno())
            self._aside.replace(self.path)
            return
        with suppress(OSError):  # what could not be written is tried again on closing
            self._stream.close()
        os.truncate(self._aside, self._bytes)
        _log.warning("%d results are kept in %s", self._lines, self._aside)
