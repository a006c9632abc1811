"""What a run shows to those who look at it while it goes on: each stream's newest frame, and its figures.

Nothing is drawn or encoded unless somebody looks, and whoever looks slows no stream down: the pipeline's
threads only put references here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any

import cv2
import numpy as np

from catseye.capture.geometry import letterbox, planes_to_rgb, resize_planes
from catseye.capture.sources import Frame
from catseye.runtime.draw import Annotator
from catseye.runtime.results import FrameResult
from catseye.runtime.stream_summary import StreamSummary

SILENT_S = 5.0
"""A stream that has not ended and has given no result for so long is not well."""

PICTURE_WIDTH = 960
_JPEG_QUALITY = 80
_RATE_OVER = 10


@dataclass(frozen=True)
class StreamFigures:
    """How one stream fares.

    Args:
        summary: since it began.
        rate: results a second lately; None before the second look.
        silent_s: since the newest result; None before the first.
    """

    summary: StreamSummary
    rate: float | None
    silent_s: float | None

    @property
    def well(self) -> bool:
        """Whether it works, or has come to its end without a fault."""
        if self.summary.ended:
            return not self.summary.error
        return self.silent_s is not None and self.silent_s < SILENT_S

    def to_json(self) -> dict[str, Any]:
        rate = None if self.rate is None else round(self.rate, 2)
        silent = None if self.silent_s is None else round(self.silent_s, 3)
        return {**asdict(self.summary), "rate": rate, "silent_s": silent, "well": self.well}


class LiveBoard:
    """Filled by a run through ``show`` and ``tell``, and looked at from any thread.

    Args:
        streams: names of all that there will be.
    """

    def __init__(self, streams: Sequence[str]) -> None:
        self.streams = tuple(streams)
        self._filling = threading.Lock()
        self._newest: dict[str, tuple[Frame, FrameResult]] = {}
        self._shown_s: dict[str, float] = {}
        self._summaries: tuple[StreamSummary, ...] = ()
        self._counts: dict[str, deque[tuple[float, int]]] = {
            name: deque(maxlen=_RATE_OVER) for name in streams
        }
        self._drawing = threading.Lock()
        self._annotators = {name: Annotator() for name in streams}
        self._drawn: dict[str, tuple[FrameResult, bytes]] = {}

    def show(self, frame: Frame, result: FrameResult) -> None:
        """Take a frame with its result: a sink of the pipeline."""
        with self._filling:
            self._newest[result.stream] = frame, result
            self._shown_s[result.stream] = time.monotonic()

    def tell(self, summaries: Sequence[StreamSummary]) -> None:
        """Take the figures of all streams, about once a second."""
        now = time.monotonic()
        with self._filling:
            self._summaries = tuple(summaries)
            for summary in summaries:
                self._counts[summary.stream].append((now, summary.processed))

    def figures(self) -> list[StreamFigures]:
        now = time.monotonic()
        with self._filling:
            return [
                StreamFigures(summary, _rate(self._counts[summary.stream]), self._silent(summary.stream, now))
                for summary in self._summaries
            ]

    def document(self) -> dict[str, Any]:
        """The figures of all streams as JSON takes them, with the moment they are of."""
        figures = self.figures()
        return {
            "schema_version": "1.0",
            "at_utc": datetime.now(timezone.utc).isoformat(),
            "well": all(stream.well for stream in figures),
            "streams": [stream.to_json() for stream in figures],
        }

    def record(self, stream: str) -> dict[str, Any] | None:
        """The newest result of a stream, by ``results.schema.json``; None before the first."""
        with self._filling:
            newest = self._newest.get(stream)
        return newest[1].record() if newest else None

    def picture(self, stream: str) -> bytes | None:
        """The newest frame of a stream as a JPEG with its tracks drawn on it; None before the first.

        However many look, each frame is drawn once. Trails are of the frames that were looked at.
        """
        with self._drawing:
            with self._filling:
                newest = self._newest.get(stream)
            if newest is None:
                return None
            frame, result = newest
            if stream not in self._drawn or self._drawn[stream][0] is not result:
                self._drawn[stream] = result, drawn(frame, result, self._annotators[stream])
            return self._drawn[stream][1]

    def _silent(self, stream: str, now: float) -> float | None:
        return now - self._shown_s[stream] if stream in self._shown_s else None


def drawn(frame: Frame, result: FrameResult, annotator: Annotator) -> bytes:
    """A JPEG of 960 pixels in width with the tracks drawn on it."""
    planes = frame.planes
    height = max(2, round(PICTURE_WIDTH * result.height / result.width / 2) * 2)
    scaled = resize_planes(planes, letterbox(planes.width, planes.height, PICTURE_WIDTH, height, "stretch"))
    boxes = result.tracks.boxes_xyxy * np.array(
        [PICTURE_WIDTH / result.width, height / result.height] * 2, dtype=np.float32
    )
    placed = replace(result, tracks=replace(result.tracks, boxes_xyxy=boxes))
    rgb = planes_to_rgb(annotator.draw(scaled, placed))
    encoded = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return encoded.tobytes()


def _rate(counts: deque[tuple[float, int]]) -> float | None:
    if len(counts) < 2:
        return None
    (first_s, first), (last_s, last) = counts[0], counts[-1]
    return (last - first) / (last_s - first_s) if last_s > first_s else None
