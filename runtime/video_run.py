"""``run``: a bundle on a video file, with the results as JSON Lines and drawn onto the video."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from pathlib import Path

from catseye.capture.calibration import Calibration
from catseye.capture.sources import VideoFile
from catseye.errors import UsageError
from catseye.progress import Progress, silent
from catseye.runtime.annotated import AnnotatedVideo
from catseye.runtime.bundle import open_bundle
from catseye.runtime.engines.load import load_engine
from catseye.runtime.pipeline import RunSummary, Sink, track_video
from catseye.runtime.plan_options import PlanOptions
from catseye.runtime.results import JsonLinesWriter

_log = logging.getLogger(__name__)


def run(
    bundle: str | Path,
    source: str | Path,
    *,
    jsonl: str | Path | None = None,
    video: str | Path | None = None,
    calibration: str | Path | None = None,
    engine: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    plans: PlanOptions | None = None,
    threshold: float | None = None,
    progress: Progress = silent,
) -> RunSummary:
    """Detect, track and range what is in a video file.

    Args:
        bundle: a signed bundle.
        source: a video file.
        jsonl: where to write one record a frame, by ``results.schema.json``.
        video: where to write the video with the tracks drawn on it.
        calibration: the camera's ``calibration.json``; without it distances in metres are null.
        engine: what executes the graph, see ``load_engine``.
        precision: which of the bundle's graphs, likewise.
        threads: cores one call of the engine may use on the CPU; 0 takes all.
        plans: how TensorRT's plans are built and kept, see ``load_engine``.
        threshold: score from which a detection counts as sure of itself; None takes the bundle's.

    Interrupted by KeyboardInterrupt, it finishes both files with what is done and raises it again. On any
    other error the records so far stay in ``<jsonl>.part``.

    Raises:
        InputError: bundle, source or calibration is not what it must be.
        UsageError: an option has a value that cannot be.
        CatseyeError: the engine does not load the graph.
        OSError: an output cannot be written.
    """
    _check_options(source, jsonl=jsonl, video=video, threshold=threshold)
    opened = open_bundle(bundle)
    camera = Calibration.load(calibration) if calibration is not None else None
    if threshold is None:
        threshold = opened.manifest.score_threshold
    interrupted: KeyboardInterrupt | None = None
    with ExitStack() as stack:
        file = stack.enter_context(VideoFile(source))
        runner = stack.enter_context(
            closing(load_engine(opened, engine=engine, precision=precision, threads=threads, plans=plans))
        )
        sinks: list[Sink] = []
        if jsonl is not None:
            lines = stack.enter_context(JsonLinesWriter(jsonl))
            sinks.append(lambda frame, result: lines.write(result.record()))
        if video is not None:
            sinks.append(stack.enter_context(AnnotatedVideo(video, file.info)).write)
        try:
            return track_video(
                runner,
                opened.manifest,
                file,
                calibration=camera,
                threshold=threshold,
                sinks=sinks,
                progress=progress,
            )
        except KeyboardInterrupt as error:
            interrupted = error
    _log.warning("interrupted; the results so far are kept")
    raise interrupted


def _check_options(
    source: str | Path, *, jsonl: str | Path | None, video: str | Path | None, threshold: float | None
) -> None:
    if threshold is not None and not 0 < threshold <= 1:
        raise UsageError(f"threshold is {threshold}: give a score above 0 and up to 1")
    if video is not None and Path(video).suffix.lower() != ".mp4":
        raise UsageError(f"video is {video}: its name must end in .mp4")
    taken = Path(source).resolve()
    for name, path in (("jsonl", jsonl), ("video", video)):
        if path is not None and Path(path).resolve() == taken:
            raise UsageError(f"{name} is {path}: that is the source, which would be lost")
