"""What is told of each frame, and the JSON Lines file of it. ``results.schema.json`` is the contract."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from typing_extensions import Self

from catseye.capture.live import Clock
from catseye.capture.sources import seconds
from catseye.runtime.distance import Distances
from catseye.runtime.tracker import Tracks

SCHEMA_VERSION = "1.1"
SCHEMA_FILE = Path(__file__).with_name("results.schema.json")

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
        tracks, told = self.tracks, self.distances
        along = (told.closing_mps, told.closing_sigma_mps, told.contact_s, told.contact_sigma_s)
        known = [told.metres, told.sigma_m, told.relative]
        known += [np.full(len(tracks), np.nan, np.float32) if each is None else each for each in along]
        scores, ages, *maybe = _rounded(np.array([tracks.scores, tracks.ages_s, *known]), digits=4)
        ids, boxes = tracks.ids.tolist(), _rounded(tracks.boxes_xyxy, digits=2)
        names = [self.classes[index] for index in tracks.classes.tolist()]
        distances = zip(
            *([value if isfinite(value) else None for value in column] for column in maybe), strict=True
        )
        # Written out, since a dictionary from names and values at run time takes eight times as long.
        return [
            {
                "id": id_,
                "class": name,
                "score": score,
                "box_xyxy": box,
                "distance_m": metres,
                "distance_sigma_m": sigma_m,
                "distance_relative": relative,
                "closing_speed_mps": closing,
                "closing_speed_sigma_mps": closing_sigma,
                "time_to_contact_s": contact,
                "time_to_contact_sigma_s": contact_sigma,
                "age_s": age,
            }
            for id_, name, score, box, age, (
                metres,
                sigma_m,
                relative,
                closing,
                closing_sigma,
                contact,
                contact_sigma,
            ) in zip(ids, names, scores, boxes, ages, distances, strict=True)
        ]


def _rounded(values: NDArray[np.float32], *, digits: int) -> list[Any]:
    """What ``round`` makes of each value, for all at once: of a float32, the product with a power of ten is
    exact in a float64, and the quotient of a whole number by it is the nearest there is."""
    scale = 10.0**digits
    rounded: list[Any] = (np.rint(values.astype(np.float64) * scale) / scale).tolist()
    return rounded


def line_of(record: dict[str, Any]) -> bytes:
    """A record as a line of JSON, in which what is not finite is null.

    Raises:
        TypeError: it has a value that JSON cannot hold.
    """
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # also of names that are not UTF-8, as files can have them
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"


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
