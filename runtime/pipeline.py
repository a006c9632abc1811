"""Streams through decoding, inference, tracking and output, each beside the others.

    decoder of each live stream ─▶ Intake ─▶ resizing ─▶ engine ─▶ tracking and outputs
    decoder of each file, resizing ─▶ Intake ─▶ engine ─▶ tracking and outputs

Each arrow crosses from thread to thread, and no more than a few frames wait at it. A file is taken whole: its
decoder waits for the engine, and the engine for the outputs. The decoder of a live stream waits for nobody,
since frames are predicted from those before: the newest frame decoded waits for the engine, and one that it
replaces is dropped before anything else is done with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from types import MappingProxyType

from catseye.capture.calibration import Calibration
from catseye.capture.sources import Frame, VideoFile
from catseye.progress import Progress, silent
from catseye.runtime.engines.base import Engine, EngineOutput
from catseye.runtime.intake import Intake
from catseye.runtime.manifest import Manifest
from catseye.runtime.perception import Prepared, inferred
from catseye.runtime.results import FrameResult
from catseye.runtime.sources.base import Source
from catseye.runtime.sources.files import FileSource
from catseye.runtime.stream import Stream, Waiting
from catseye.runtime.stream_summary import StreamSummary
from catseye.runtime.threads import ahead, behind

_log = logging.getLogger(__name__)

_OUTPUT_QUEUE = 4
"""Frames that may wait for tracking and outputs."""
_STOP_WITHIN_S = 0.25
_STATUS_EVERY_S = 1.0

Sink = Callable[[Frame, FrameResult], None]
"""Takes each frame with its result, those of a stream in their order, in the output's thread."""

OnStatus = Callable[[Sequence[StreamSummary]], None]
"""Told how all streams fare, in a thread of its own."""


def track_streams(
    engine: Engine,
    manifest: Manifest,
    sources: Sequence[Source],
    *,
    calibrations: Mapping[str, Calibration] = MappingProxyType({}),
    threshold: float,
    min_likeness: float = 0.0,
    camera_motion: bool = False,
    sinks: Sequence[Sink] = (),
    stop: threading.Event | None = None,
    limit: int | None = None,
    on_status: OnStatus | None = None,
    progress: Progress = silent,
) -> list[StreamSummary]:
    """Track what is in several streams at the same time, with one engine for all.

    Args:
        engine: runs the graph that ``manifest`` describes. Its batches are filled from all streams.
        sources: each is closed at the end, and its frames are taken once.
        calibrations: of the cameras by the sources' names, for distances in metres.
        threshold: score from which a detection counts as sure of itself.
        min_likeness, camera_motion: what motion alone does not know, see ``Tracker``.
        sinks: what takes the results.
        stop: ends all streams; what has been decoded until then is still put out.
        limit: frames of each stream after which it ends; None takes all.
        on_status: told every second.
        progress: told how far each file is, in milliseconds.

    Returns:
        A summary of each source. A stream that a fault has ended tells so in its ``error``.

    Raises:
        Exception: that of the first stream, where a fault has ended every one; or whatever engine or sink
            raise, once all threads have ended.
    """
    intake: Waiting = Intake([source.live for source in sources])
    streams = [
        Stream(
            source,
            number=number,
            intake=intake,
            manifest=manifest,
            calibration=calibrations.get(source.name),
            threshold=threshold,
            min_likeness=min_likeness,
            camera_motion=camera_motion,
            limit=limit,
        )
        for number, source in enumerate(sources)
    ]

    def put_out(done: tuple[Sequence[Prepared], EngineOutput]) -> None:
        group, output = done
        for row, item in enumerate(group):
            stream = streams[item.stream]
            result = stream.see(item, output, row)
            if result is None:
                continue
            for sink in sinks:
                sink(item.frame, result)
            stream.count(result)
            if isinstance(stream.source, FileSource):
                progress("run" if len(sources) == 1 else result.stream, *stream.source.position(item.frame))

    # The result of a live frame goes out at once; a file's frames are tracked as many at a time as may wait.
    together = 1 if any(source.live for source in sources) else _OUTPUT_QUEUE
    with _decoding(streams, intake), _watching(streams, stop, on_status):
        outputs = _outputs(engine, manifest, streams, intake)
        putting_out = behind(put_out, depth=_OUTPUT_QUEUE, together=together, name="output")
        with closing(outputs), putting_out as hand_over:
            for done in outputs:
                hand_over(done)
    errors = [stream.error for stream in streams if stream.error is not None]
    if errors and len(errors) == len(streams):
        raise errors[0]
    return [stream.checked_summary() for stream in streams]


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
) -> StreamSummary:
    """``track_streams`` of one video file, which is read from where it stands to its end, and then closed.

    Raises:
        InputError: there is no frame, or the calibration does not fit.
        Exception: whatever engine or sink raise, once all threads have ended.
    """
    source = FileSource(file)
    (summary,) = track_streams(
        engine,
        manifest,
        [source],
        calibrations={} if calibration is None else {source.name: calibration},
        threshold=threshold,
        sinks=sinks,
        limit=limit,
        progress=progress,
    )
    return summary


def tracked_frames(
    engine: Engine,
    manifest: Manifest,
    file: VideoFile,
    *,
    calibration: Calibration | None = None,
    threshold: float,
    limit: int | None = None,
    progress: Progress = silent,
) -> Generator[tuple[Frame, FrameResult], None, None]:
    """Each frame of a video file with its result, as they are asked for; see ``track_video``.

    Threads decode and resize ahead, and end when the generator is closed.

    Raises:
        InputError: there is no frame, or the calibration does not fit.
    """
    source = FileSource(file)
    intake: Waiting = Intake([False])
    stream = Stream(
        source,
        number=0,
        intake=intake,
        manifest=manifest,
        calibration=calibration,
        threshold=threshold,
        limit=limit,
    )
    with _decoding([stream], intake), closing(_outputs(engine, manifest, [stream], intake)) as outputs:
        for group, output in outputs:
            for row, item in enumerate(group):
                yield item.frame, stream.perception.see(item, output, row)
                progress("run", *source.position(item.frame))
    if stream.error is not None:
        raise stream.error


def _outputs(
    engine: Engine, manifest: Manifest, streams: Sequence[Stream], intake: Waiting
) -> Generator[tuple[Sequence[Prepared], EngineOutput], None, None]:
    """The engine's output of all frames that come in, group by group."""

    def prepared() -> Iterator[list[Prepared]]:
        while group := intake.take(manifest.network.batch):
            items = [streams[number].prepare(frame) for number, frame in group]
            if sound := [item for item in items if item is not None]:
                yield sound

    with ExitStack() as stack:
        groups, ready = prepared(), lambda: True
        if any(stream.source.live for stream in streams):
            # The next frame of a camera may be long in coming; that of a file is not.
            groups = fetched = stack.enter_context(ahead(groups, name="prepare"))
            ready = fetched.ready
        stack.callback(intake.abandon)
        yield from stack.enter_context(closing(inferred(engine, manifest, groups, ready=ready)))


@contextmanager
def _decoding(streams: Sequence[Stream], intake: Waiting) -> Iterator[None]:
    """Decode all streams until they end, or this is left."""
    for stream in streams:
        stream.start()
    try:
        yield
    finally:
        intake.abandon()
        for stream in streams:
            stream.close()
        for stream in streams:
            stream.join()


@contextmanager
def _watching(
    streams: Sequence[Stream], stop: threading.Event | None, on_status: OnStatus | None
) -> Iterator[None]:
    """Close all streams when ``stop`` is set, and tell ``on_status`` how they fare."""
    is_over = threading.Event()

    def watch() -> None:
        ticks = 0
        while not is_over.wait(_STOP_WITHIN_S):
            if stop is not None and stop.is_set():
                for stream in streams:
                    stream.close()
            if on_status is not None and ticks % round(_STATUS_EVERY_S / _STOP_WITHIN_S) == 0:
                try:
                    on_status([stream.summary() for stream in streams])
                except Exception:  # whoever shows it must not keep ``stop`` from being seen
                    _log.exception("telling how the streams fare")
            ticks += 1

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
