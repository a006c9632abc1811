"""``run``: a bundle on files or cameras, with the results as JSON Lines, MCAP, MQTT and drawn onto video."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from catseye.capture.calibration import Calibration
from catseye.capture.live import Transport
from catseye.errors import InputError, UsageError
from catseye.progress import Progress, silent
from catseye.runtime.annotated import AnnotatedVideo
from catseye.runtime.bundle import open_bundle
from catseye.runtime.engines.load import load_engine
from catseye.runtime.pipeline import OnStatus, Sink, track_streams
from catseye.runtime.plan_options import PlanOptions
from catseye.runtime.record_log import RecordLog, StandardOutput
from catseye.runtime.results import JsonLinesWriter
from catseye.runtime.sources.opening import SourceSpec, rounds_of
from catseye.runtime.stream_summary import RunSummary, StreamSummary

if TYPE_CHECKING:
    from catseye.runtime.outputs.mcap_log import McapLog
    from catseye.runtime.outputs.mqtt import MqttOutput

_log = logging.getLogger(__name__)

Calibrations: TypeAlias = str | Path | Mapping[str, str | Path]
"""A ``calibration.json`` of all streams, or of each by its name."""

RecordWriter: TypeAlias = JsonLinesWriter | RecordLog | StandardOutput
STANDARD_OUTPUT = "-"
PICTURE_WIDTH = 960


def run(
    bundle: str | Path,
    *sources: str | Path,
    jsonl: str | Path | None = None,
    video: str | Path | None = None,
    mcap: str | Path | None = None,
    mcap_pictures: int = PICTURE_WIDTH,
    mqtt: str | None = None,
    sinks: Sequence[Sink] = (),
    calibration: Calibrations | None = None,
    transport: Transport = "tcp",
    engine: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    plans: PlanOptions | None = None,
    threshold: float | None = None,
    min_likeness: float = 0.0,
    camera_motion: bool = False,
    stop: threading.Event | None = None,
    on_status: OnStatus | None = None,
    progress: Progress = silent,
) -> RunSummary:
    """Detect, track and range what is in video files, one after the other, or in streams at the same time.

    Args:
        bundle: a signed bundle.
        sources: see ``sources.opening``.
        jsonl: where to write one record a frame, by ``results.schema.json``; ``-`` for standard output. Of
            live streams the file is appended to, and may be moved away meanwhile; see ``RecordLog``.
        video: where to write the video with the tracks drawn on it: an ``.mp4`` of one stream, a folder of
            several.
        mcap: where to write frames and results as MCAP, which Foxglove plays; of live streams many files, see
            ``outputs.mcap_log.McapLog``.
        mcap_pictures: most pixels of the width of the pictures in it; 0 writes none.
        mqtt: the broker to publish each record to, see ``outputs.mqtt_address`` and ``outputs.mqtt``.
        sinks: what else takes each frame with its result, in the output's thread.
        calibration: the camera's ``calibration.json``, or those of several by the names of their streams;
            without it distances in metres are null.
        transport: what RTSP sends its packets over.
        engine: what executes the graph, see ``load_engine``.
        precision: which of the bundle's graphs, likewise.
        threads: cores the engine may use on the CPU; 0 takes all. Of files, two frames share them.
        plans: how TensorRT's plans are built and kept, see ``load_engine``.
        threshold: score from which a detection counts as sure of itself; None takes the bundle's.
        min_likeness: cosine of embeddings that a track seen again after a while must have; 0 does not look.
        camera_motion: whether tracks are moved as the camera turns, which helps where the mount shakes.
        stop: ends the run when it is set; what has been decoded until then is still put out.
        on_status: told every second how the streams fare.

    Interrupted by KeyboardInterrupt, it finishes all files with what is done and raises it again. On any
    other error the records of files so far stay in ``<jsonl>.part``.

    Raises:
        InputError: bundle, source or calibration is not what it must be. Of several files, one that cannot be
            read is told in its summary's ``error``.
        UsageError: an option has a value that cannot be.
        CatseyeError: the engine does not load the graph.
        MissingExtraError: ``mcap`` or ``mqtt`` needs a library that is not installed.
        OSError: an output cannot be written.
    """
    began = perf_counter()
    rounds = rounds_of([str(source) for source in sources])
    specs = [spec for together in rounds for spec in together]
    _check_options(
        specs,
        jsonl=jsonl,
        video=video,
        mcap=mcap,
        mcap_pictures=mcap_pictures,
        threshold=threshold,
        min_likeness=min_likeness,
    )
    broker = None if mqtt is None else _broker(mqtt, specs)
    opened = open_bundle(bundle)
    manifest = opened.manifest
    if min_likeness and manifest.embedding_dim is None:
        raise UsageError(f"min_likeness is {min_likeness}: {bundle} gives no embeddings, leave it at 0")
    calibrations = _calibrations(calibration, specs)
    log = None if mcap is None else _mcap_log(mcap, specs, calibrations, mcap_pictures)
    # What is no video is told before the engine is loaded; of many files each is opened in its turn.
    fit = manifest.network.letterbox
    first = [spec.open(transport=transport, fit=fit) for spec in rounds[0]] if len(rounds) == 1 else None
    stop = stop or threading.Event()
    summaries: list[StreamSummary] = []
    interrupted: KeyboardInterrupt | None = None
    with ExitStack() as stack:
        runner = stack.enter_context(
            closing(
                load_engine(
                    opened,
                    engine=engine,
                    precision=precision,
                    threads=threads,
                    plans=plans,
                    overlap=not any(spec.live for spec in specs),
                )
            )
        )
        del opened  # its graphs and proof are no longer needed, and are megabytes
        outputs = [*sinks]
        if broker is not None:
            outputs.append(stack.enter_context(broker).write)
        if jsonl is not None:
            outputs.append(_to_records(jsonl, specs, stack))
        if log is not None:
            outputs.append(stack.enter_context(log).write)
        for together in rounds:
            with ExitStack() as of_round:
                of_all = [*outputs]
                if video is not None:
                    of_all.append(_to_videos(Path(video), together, len(specs), of_round))
                try:
                    summaries += track_streams(
                        runner,
                        manifest,
                        first or [spec.open(transport=transport, fit=fit) for spec in together],
                        calibrations=calibrations,
                        threshold=manifest.score_threshold if threshold is None else threshold,
                        min_likeness=min_likeness,
                        camera_motion=camera_motion,
                        sinks=of_all,
                        stop=stop,
                        on_status=on_status,
                        progress=progress,
                    )
                except KeyboardInterrupt as error:
                    interrupted = error
                except InputError as error:
                    if len(rounds) == 1:
                        raise
                    _log.error("%s", error)
                    summaries.append(StreamSummary(together[0].name, error=str(error)))
            if interrupted is not None or stop.is_set():
                break
    if interrupted is not None:
        _log.warning("interrupted; the results so far are kept")
        raise interrupted
    delivery = None if broker is None else broker.delivery()
    return RunSummary(tuple(summaries), perf_counter() - began, delivery)


def _calibrations(given: Calibrations | None, specs: Sequence[SourceSpec]) -> dict[str, Calibration]:
    """Of each stream by name."""
    if given is None:
        return {}
    names = [spec.name for spec in specs]
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                raise UsageError(f"calibration is of {name!r}: the streams are {', '.join(names)}")
        return {name: Calibration.load(path) for name, path in given.items()}
    return dict.fromkeys(names, Calibration.load(given))


def _to_records(path: str | Path, specs: Sequence[SourceSpec], stack: ExitStack) -> Sink:
    writer: RecordWriter
    if str(path) == STANDARD_OUTPUT:
        writer = stack.enter_context(StandardOutput())
    elif any(spec.live for spec in specs):
        writer = stack.enter_context(RecordLog(path))
    else:
        writer = stack.enter_context(JsonLinesWriter(path))
    return lambda _, result: writer.write(result.record())


def _mcap_log(
    path: str | Path, specs: Sequence[SourceSpec], calibrations: Mapping[str, Calibration], widest: int
) -> McapLog:
    from catseye.runtime.outputs.mcap_log import McapLog  # not every run needs it

    live = any(spec.live for spec in specs)
    return McapLog(path, endless=live, calibrations=calibrations, widest=widest)


def _broker(url: str, specs: Sequence[SourceSpec]) -> MqttOutput:
    from catseye.runtime.outputs.mqtt import STATUS, MqttOutput, topic_word
    from catseye.runtime.outputs.mqtt_address import MqttAddress

    for spec in specs:
        if topic_word(spec.name) == STATUS:
            raise UsageError(f"stream {spec.name!r}: the topic of that name tells whether we are online")
    return MqttOutput(MqttAddress.parse(url))


def _to_videos(path: Path, specs: Sequence[SourceSpec], streams: int, stack: ExitStack) -> Sink:
    """Each stream drawn into its own file: ``path``, or below it where there are several."""
    videos = {
        spec.name: stack.enter_context(AnnotatedVideo(path if streams == 1 else path / _file_name(spec)))
        for spec in specs
    }
    return lambda frame, result: videos[result.stream].write(frame, result)


def _file_name(spec: SourceSpec) -> str:
    """Of a file its path without the suffix, in one word, so that those of several folders are told apart."""
    name = spec.name if spec.live else Path(spec.name).with_suffix("").as_posix()
    return re.sub(r"[^\w.-]+", "_", name).strip("_") + ".mp4"


def _check_options(
    specs: Sequence[SourceSpec],
    *,
    jsonl: str | Path | None,
    video: str | Path | None,
    mcap: str | Path | None,
    mcap_pictures: int,
    threshold: float | None,
    min_likeness: float,
) -> None:
    if threshold is not None and not 0 < threshold <= 1:
        raise UsageError(f"threshold is {threshold}: give a score above 0 and up to 1")
    if not 0 <= min_likeness <= 1:
        raise UsageError(f"min_likeness is {min_likeness}: must be from 0 to 1")
    written = [] if jsonl is None or str(jsonl) == STANDARD_OUTPUT else [("jsonl", Path(jsonl))]
    if mcap is not None:
        if Path(mcap).suffix.lower() != ".mcap":
            raise UsageError(f"mcap is {mcap}: its name must end in .mcap")
        if mcap_pictures < 0 or mcap_pictures == 1:
            raise UsageError(f"mcap_pictures is {mcap_pictures}: give a width in pixels, or 0 for none")
        written.append(("mcap", Path(mcap)))
    if video is not None:
        is_file = Path(video).suffix.lower() == ".mp4"
        if len(specs) == 1 and not is_file:
            raise UsageError(f"video is {video}: its name must end in .mp4")
        if len(specs) > 1 and is_file:
            raise UsageError(f"video is {video}: there are {len(specs)} streams, so give a folder for them")
        written += [
            ("video", Path(video) if len(specs) == 1 else Path(video) / _file_name(spec)) for spec in specs
        ]
    taken = {Path(spec.address).resolve() for spec in specs if not spec.live}
    for name, path in written:
        if path.resolve() in taken:
            raise UsageError(f"{name} is {path}: that is the source, which would be lost")
