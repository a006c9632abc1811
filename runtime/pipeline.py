"""A video file through decoding, inference, tracking and output, each beside the others.

Decoding and resizing run in a thread ahead of inference, what is done with the results in a thread behind it.
Queues are short, so that memory does not grow and no result is older than a few frames. A file is processed
whole: the decoder waits for inference, and inference for the output.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter

from catseye.capture.calibration import Calibration
from catseye.capture.sources import Frame, VideoFile
from catseye.errors import CatseyeError, InputError
from catseye.progress import Progress, silent
from catseye.runtime.bundle import Manifest
from catseye.runtime.engines.base import Engine
from catseye.runtime.latency import Latency
from catseye.runtime.perception import Perception, Prepared, grouped, inferred, prepare
from catseye.runtime.results import FrameResult
from catseye.runtime.threads import ahead, behind

_log = logging.getLogger(__name__)

_QUEUE = 4
_AGES_KEPT = 100_000

Sink = Callable[[Frame, FrameResult], None]
"""Takes each frame with its result, in order, in the output's thread."""


@dataclass(frozen=True)
class RunSummary:
    """What became of a stream; ``frames_in == processed + dropped``.

    Args:
        frames_in: frames decoded.
        processed: frames whose result every output has taken.
        dropped: frames left out, since their time does not lie after the frame before.
        corrupt_packets: packets that could not be decoded and gave no frame.
        tracks: ids given.
        seconds: from the first packet to the last output.
        output_age: from a frame's decoding to its result, waiting in queues included; of the last 100,000.
    """

    frames_in: int
    processed: int
    dropped: int
    corrupt_packets: int
    tracks: int
    seconds: float
    output_age: Latency | None

    @property
    def fps(self) -> float:
        """Frames processed a second."""
        return self.processed / self.seconds if self.seconds > 0 else 0.0


@dataclass
class Account:
    """Counted where it happens: frames in and dropped by the decoder's thread, the rest by whoever takes."""

    frames_in: int = 0
    processed: int = 0
    dropped: int = 0
    tracks: int = 0
    ages_s: deque[float] = field(default_factory=lambda: deque(maxlen=_AGES_KEPT))


def track_video(
    engine: Engine,
    manifest: Manifest,
    file: VideoFile,
    *,
    calibration: Calibration | None = None,
    threshold: float,
    sinks: Sequence[Sink] = (),
    limit: int | None = None,
    progress: Progress = silent,
) -> RunSummary:
    """Track what is in a video file.

    Args:
        engine: runs the graph that ``manifest`` describes.
        file: read from where it stands to its end; it stays open.
        calibration: of the camera, for distances in metres.
        threshold: score from which a detection counts as sure of itself.
        sinks: what takes the results.
        limit: frames after which to stop; None takes all.

    Raises:
        InputError: there is no frame, the calibration does not fit, or the picture size changes.
        Exception: whatever engine or sink raise, once all threads have ended.
    """
    began = perf_counter()
    account = Account()

    def put_out(done: tuple[Frame, FrameResult]) -> None:
        frame, result = done
        for sink in sinks:
            sink(frame, result)
        account.processed += 1
        account.ages_s.append(result.output_age_s)

    results = tracked_frames(
        engine,
        manifest,
        file,
        calibration=calibration,
        threshold=threshold,
        account=account,
        limit=limit,
        progress=progress,
    )
    with closing(results), behind(put_out, depth=_QUEUE, name="output") as hand_over:
        for done in results:
            account.tracks = max(account.tracks, int(done[1].tracks.ids.max(initial=0)))
            hand_over(done)
    if account.frames_in != account.processed + account.dropped:
        raise CatseyeError(
            f"{file.path}: {account.frames_in} frames came in, {account.processed} were processed and "
            f"{account.dropped} dropped, which does not add up; report this"
        )
    return RunSummary(
        frames_in=account.frames_in,
        processed=account.processed,
        dropped=account.dropped,
        corrupt_packets=file.corrupt_packets,
        tracks=account.tracks,
        seconds=perf_counter() - began,
        output_age=Latency.of(account.ages_s),
    )


def tracked_frames(
    engine: Engine,
    manifest: Manifest,
    file: VideoFile,
    *,
    calibration: Calibration | None = None,
    threshold: float,
    account: Account | None = None,
    limit: int | None = None,
    progress: Progress = silent,
) -> Generator[tuple[Frame, FrameResult], None, None]:
    """Each frame of a video file with its result, as they are asked for; see ``track_video``.

    A thread decodes ahead, which ends when the generator is closed. ``account`` counts the frames.

    Raises:
        InputError: there is no frame, the calibration does not fit, or the picture size changes.
    """
    info = file.info
    perception = Perception(
        manifest,
        stream=str(file.path),
        width=info.width,
        height=info.height,
        calibration=calibration,
        threshold=threshold,
    )
    account = account or Account()
    prepared = _prepared(islice(file.frames(), limit), file, manifest, account)
    with ahead(prepared, depth=_QUEUE, name="decode") as items:
        groups = grouped(items, manifest.network.batch)
        with closing(inferred(engine, manifest, groups)) as outputs:
            for group, output in outputs:
                for row, item in enumerate(group):
                    yield item.frame, perception.see(item, output, row)
                    progress("run", *_position(item.frame, file))
    if account.frames_in == 0:
        raise InputError(file.path, "has no frame that can be decoded", "record or copy it again")


def _prepared(
    frames: Iterable[Frame], file: VideoFile, manifest: Manifest, account: Account
) -> Iterator[Prepared]:
    last = None
    for frame in frames:
        account.frames_in += 1
        if last is not None and frame.pts <= last:
            account.dropped += 1
            if account.dropped == 1:
                _log.warning(
                    "%s: frame %d is dropped, its time is not after the one before", file.path, frame.index
                )
            continue
        last = frame.pts
        yield prepare(frame, manifest)


def _position(frame: Frame, file: VideoFile) -> tuple[int, int]:
    """How far a frame lies into the file, and the file's length, in milliseconds."""
    into = float((frame.pts - file.info.start_pts) * frame.time_base)
    total = max(into, file.info.duration_s)
    return round(1e3 * into), round(1e3 * total)
