"""One stream in the pipeline: a thread that decodes it, its tracks, and the account of its frames."""

from __future__ import annotations

import logging
import threading
from collections import deque
from itertools import islice
from time import perf_counter
from typing import TypeAlias

from catseye.capture.calibration import Calibration
from catseye.errors import CatseyeError, InputError
from catseye.runtime.engines.base import EngineOutput
from catseye.runtime.intake import Intake
from catseye.runtime.manifest import Manifest
from catseye.runtime.perception import Perception, Prepared, prepare
from catseye.runtime.results import FrameResult
from catseye.runtime.sources.base import Source, SourceFrame
from catseye.runtime.stream_summary import Ages, StreamSummary
from catseye.runtime.timeline import Timeline

_log = logging.getLogger(__name__)

MOST_RESTARTS, RESTARTS_WITHIN_S = 5, 60.0
_RESTART_AFTER_S = 0.5
_LEAVING_S = 1.0

Waiting: TypeAlias = Intake[SourceFrame | Prepared]
"""Frames of files are made ready before they wait, those of live streams after."""


class Stream:
    """A source's way into ``intake`` and out of it.

    Frames of a file are made ready for the engine by the thread that decodes them, which saves a way from
    thread to thread; those of a live stream only when they are taken, since a newer one may come before.

    A fault in decoding, resizing or tracking a live stream is got over, up to 5 times a minute: it costs a
    frame, or the tracks. After that, and at once with a file, the stream ends, and the fault is its
    ``error``. Other streams go on.

    Args:
        number: of the stream in ``intake``.
        min_likeness, camera_motion: see ``Tracker``.
        limit: frames after which it ends; None takes all.
    """

    def __init__(
        self,
        source: Source,
        *,
        number: int,
        intake: Waiting,
        manifest: Manifest,
        calibration: Calibration | None,
        threshold: float,
        min_likeness: float = 0.0,
        camera_motion: bool = False,
        limit: int | None,
    ) -> None:
        self.source = source
        self.error: Exception | None = None
        self.perception = Perception(
            manifest,
            stream=source.name,
            calibration=calibration,
            threshold=threshold,
            min_likeness=min_likeness,
            camera_motion=camera_motion,
        )
        self._number, self._intake, self._limit = number, intake, limit
        self._manifest = manifest
        self._timeline = Timeline(live=source.live)
        self._closed = threading.Event()
        self._faults: deque[float] = deque(maxlen=MOST_RESTARTS)
        self._restarts = 0
        self._has_stumbled = False
        self._frames_in = self._processed = self._dropped = 0
        self._dropping = threading.Lock()  # every thread that a frame goes through may drop it
        self._ages = Ages()
        self._began_s = self._last_s = perf_counter()
        self._thread = threading.Thread(target=self._decode, name=f"decode {source.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Take nothing more of the source."""
        self._closed.set()
        self.source.close()
        self._intake.end(self._number)

    def join(self) -> None:
        """Wait for the decoder, but not long: a camera that is silent holds it until its time-out."""
        self._thread.join(_LEAVING_S if self.source.live else None)

    def prepare(self, frame: SourceFrame | Prepared) -> Prepared | None:
        """Make what comes out of ``intake`` ready for the engine; None where a fault hits it."""
        if isinstance(frame, Prepared):
            return frame
        try:
            return prepare(frame, self._manifest, stream=self._number)
        except Exception as error:  # whatever one frame has, the stream goes on or says so in its ``error``
            self._lose(error)
        return None

    def see(self, item: Prepared, output: EngineOutput, row: int) -> FrameResult | None:
        """Take the next frame, which is ``row`` of the engine's output; None where a fault hits it."""
        try:
            return self.perception.see(item, output, row)
        except Exception as error:  # likewise
            self.perception.begin_anew()
            self._lose(error)
        return None

    def count(self, result: FrameResult) -> None:
        """The outputs have taken a frame's result."""
        self._processed += 1
        self._ages.add(result.output_age_s)
        self._last_s = perf_counter()

    def summary(self) -> StreamSummary:
        """So far; from any thread."""
        lost = getattr(self.source, "dropped", 0)  # by the source itself, which not every one can
        return StreamSummary(
            stream=self.source.name,
            frames_in=self._frames_in + lost,
            processed=self._processed,
            dropped=self._dropped + lost,
            corrupt_packets=getattr(self.source, "corrupt_packets", 0),
            tracks=self.perception.last_id,
            epochs=self.perception.epochs,
            attempts=getattr(self.source, "attempts", 0),
            restarts=self._restarts,
            most_waiting=self._intake.most_waiting[self._number],
            seconds=self._last_s - self._began_s,
            output_age=self._ages.latency(),
            error=str(self.error or ""),
            ended=self._closed.is_set() or not self._thread.is_alive(),
        )

    def checked_summary(self) -> StreamSummary:
        """When all is done.

        Raises:
            CatseyeError: the account of its frames does not balance.
        """
        summary = self.summary()
        if summary.frames_in != summary.processed + summary.dropped:
            raise CatseyeError(
                f"{summary.stream}: {summary.frames_in} frames came in, {summary.processed} were processed "
                f"and {summary.dropped} dropped, which does not add up; report this"
            )
        return summary

    def _decode(self) -> None:
        try:
            while not self._closed.is_set():
                try:
                    for frame in islice(self.source.frames(), self._limit):
                        self._take(frame)
                    break
                except Exception as error:  # what breaks one stream ends no other
                    if self._closed.is_set() or not self._gets_over(error):
                        break
                    self._timeline.break_off()
                    self._closed.wait(_RESTART_AFTER_S)
            if not (self._frames_in or self.error or self._closed.is_set()):
                self.error = InputError(
                    self.source.name, "has no frame that can be decoded", "record or copy it again"
                )
        finally:
            self._intake.end(self._number)

    def _take(self, frame: SourceFrame) -> None:
        if self._closed.is_set():
            return
        self._frames_in += 1
        placed = self._timeline.place(frame)
        if placed is not None:
            # A frame of a live stream may yet be dropped for a newer one.
            item = placed if self.source.live else self.prepare(placed)
            if item is not None:
                self._drop(self._intake.put(self._number, item))
            return
        if not self._has_stumbled:
            self._has_stumbled = True
            _log.warning(
                "%s: frame %d is dropped, its time is not after the one before",
                self.source.name,
                frame.frame.index,
            )
        self._drop(1)

    def _drop(self, frames: int) -> None:
        with self._dropping:
            self._dropped += frames

    def _lose(self, error: Exception) -> None:
        """A fault has hit a frame."""
        self._drop(1)
        if not self._gets_over(error):
            self.close()

    def _gets_over(self, error: Exception) -> bool:
        """Whether to go on after a fault; otherwise it is the stream's ``error``."""
        now = perf_counter()
        too_many = len(self._faults) == MOST_RESTARTS and now - self._faults[0] < RESTARTS_WITHIN_S
        if not self.source.live or isinstance(error, CatseyeError) or too_many:
            if self.source.live and self.error is None:
                _log.error("%s: given up after a fault: %r", self.source.name, error, exc_info=error)
            self.error = self.error or error
            return False
        self._faults.append(now)
        self._restarts += 1
        _log.warning("%s: taken up again after a fault: %r", self.source.name, error, exc_info=error)
        return True
