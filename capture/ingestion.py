"""Footage into a dataset: in parallel, resumable, and idempotent by content.

Each finished video leaves its rows in ``.work/<sha256>.parquet``. Only when all are done are the tables
written, from those rows and the ones the dataset had before, and ``.work`` is emptied. What depends on a
file's place and neighbours (drive, split, speed, calibration) is joined then, so that it can be given or
changed later without decoding anything again.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import pyarrow as pa

from catseye.capture.dataset import (
    CLIPS_NAME,
    INFO_NAME,
    SHARDS_NAME,
    WORK_NAME,
    ClipOptions,
    Dataset,
    DatasetInfo,
    open_dataset,
    read_telemetry_table,
    write_dataset,
)
from catseye.capture.ingest_file import ingest_file
from catseye.capture.manifest import Clip, read_clips, write_clips
from catseye.capture.merge import File, merge
from catseye.capture.probe import Source, find_sources
from catseye.capture.splits import VALIDATION
from catseye.capture.telemetry import Telemetry
from catseye.errors import InputError, UsageError
from catseye.files import replacing, sha256_of
from catseye.progress import Progress, silent

_log = logging.getLogger(__name__)

SHORTEST_MAX_CLIP_S = 2.0
_LOCK = "lock"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


def ingest(
    paths: Sequence[Path],
    out: Path,
    *,
    holdout: Sequence[Path] = (),
    width: int = 320,
    height: int = 192,
    jobs: int = 0,
    drive_from: str | None = None,
    calibration: Path | None = None,
    max_clip_s: float = 10,
    gap_s: float | None = None,
    validation_fraction: float = 0.1,
    progress: Progress = silent,
) -> Dataset:
    """Make a dataset of videos, or add videos to one.

    A video is known by its content: one that the dataset has is not decoded again, and a copy of it becomes a
    row that names the first. A path given again with other content replaces what it gave before. A video that
    cannot be read becomes a row with the reason.

    Args:
        paths: video files and folders of them.
        out: the dataset's folder.
        holdout: files and folders for the split ``test``; the whole drives they belong to go there, and stay.
        width, height: network size in pixels, even.
        jobs: processes; 0 for one a core. The result does not depend on it.
        drive_from: regular expression whose first group names a path's drive; without it a file is a drive.
        calibration: a camera's calibration for all of these videos.
        max_clip_s: longest clip in seconds, at least 2.
        gap_s: a longer step between frames ends a clip; without it a second or eight median steps.
        validation_fraction: share of the drives for the split ``validation``, see ``splits.assign_splits``.
        progress: told of files done.

    Raises:
        InputError: a path is missing, a folder has no video, a sidecar does not fit its format, not one video
            can be read, the dataset was made with other options, or the disk is full.
        UsageError: an option cannot be.
    """
    options = _check_options(width, height, jobs, max_clip_s, gap_s, validation_fraction)
    workers = jobs or len(os.sched_getaffinity(0))
    sources = find_sources(paths, holdout=holdout, drive_from=drive_from, calibration=calibration)
    try:
        with _locked(out):
            known = _known_clips(out, options)
            files = _hash(sources, jobs=workers, progress=progress)
            files = _ingest_new(files, known, out, options, jobs=workers, progress=progress)
            clips = merge(
                known,
                files,
                _new_rows(files, out),
                options=options,
                validation_fraction=validation_fraction,
            )
            write_dataset(out, clips, _telemetry(clips, files, out), options)
            _tidy(out, clips)
            _tell(clips, validation_fraction)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise InputError(
                out, "no space is left on its disk", "free some and run it again: it goes on"
            ) from None
        raise
    return open_dataset(out)


def _check_options(
    width: int, height: int, jobs: int, max_clip_s: float, gap_s: float | None, validation_fraction: float
) -> ClipOptions:
    for name, size in (("width", width), ("height", height)):
        if size <= 0 or size % 2:
            raise UsageError(f"--{name} {size}: must be positive and even")
    if jobs < 0:
        raise UsageError(f"--jobs {jobs}: must be 0, for all cores, or more")
    if not max_clip_s >= SHORTEST_MAX_CLIP_S:
        raise UsageError(f"--max-clip-s {max_clip_s}: must be at least {SHORTEST_MAX_CLIP_S:g}")
    if gap_s is not None and not gap_s > 0:
        raise UsageError(f"--gap-s {gap_s}: must be above 0")
    if not 0 <= validation_fraction < 1:
        raise UsageError(
            f"--validation-fraction {validation_fraction}: must be from 0 up to, not including, 1"
        )
    return ClipOptions(width=width, height=height, max_clip_s=max_clip_s, gap_s=gap_s)


def _work(out: Path) -> Path:
    return out / WORK_NAME


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold the dataset for one writer; make its folders."""
    try:
        for folder in (_work(out), out / SHARDS_NAME):
            folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(out, "is not a folder", "name another --out") from None
    with (_work(out) / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(out, "is being written by another ingest", "wait until that is done") from None
        yield


def _known_clips(out: Path, options: ClipOptions) -> tuple[Clip, ...]:
    """The rows the dataset has, after making sure that new ones will be like them."""
    begun = _work(out) / "options.json"
    if (out / INFO_NAME).exists():
        _check_same(out, ClipOptions.model_validate(DatasetInfo.load(out / INFO_NAME).model_dump()), options)
    elif begun.exists():
        _check_same(out, ClipOptions.load(begun), options)
    else:
        options.save(begun)
    if not (out / CLIPS_NAME).exists():
        return ()
    try:
        return read_clips(str(out / CLIPS_NAME))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(out / CLIPS_NAME, f"cannot be read ({error})", "name another --out") from None


def _check_same(out: Path, had: ClipOptions, wanted: ClipOptions) -> None:
    for name in ("width", "height", "max_clip_s", "gap_s"):
        if getattr(had, name) != getattr(wanted, name):
            raise InputError(
                out,
                f"was made with {name} {getattr(had, name)}, not {getattr(wanted, name)}",
                "give the same or name another --out",
            )


def _hash(sources: Sequence[Source], *, jobs: int, progress: Progress) -> list[File]:
    def one(source: Source) -> File:
        try:
            return File(source, sha256_of(source.path))
        except OSError as error:
            return File(source, "", fault=f"cannot be read ({error.strerror})")

    files: list[File] = []
    with ThreadPoolExecutor(jobs) as pool:
        for file in pool.map(one, sources):
            files.append(file)
            progress("hash", len(files), len(sources))
    return files


def _ingest_new(
    files: Sequence[File],
    known: Sequence[Clip],
    out: Path,
    options: ClipOptions,
    *,
    jobs: int,
    progress: Progress,
) -> list[File]:
    """Leave aside the rows of every content that the dataset has not; note the files that cannot be read."""
    done = {clip.source_sha256 for clip in known if len(clip)}
    paths: dict[str, Path] = {}
    for file in files:
        if not file.fault:
            paths.setdefault(file.sha256, file.source.path)
    pending = {
        sha: path for sha, path in paths.items() if sha not in done and not _rows_path(out, sha).exists()
    }
    finished = len(paths) - len(pending)
    progress("ingest", finished, len(paths))
    faults: dict[str, str] = {}
    for sha, fault in _run(pending, out, options, jobs=jobs):
        faults[sha] = fault
        finished += 1
        progress("ingest", finished, len(paths))
    files = [replace(file, fault=file.fault or faults.get(file.sha256, "")) for file in files]
    if all(file.fault for file in files):
        remedy = "not one of the videos given can be read: record or copy them again"
        raise InputError(files[0].source.path, files[0].fault, remedy)
    for file in files:
        if file.fault:
            _log.warning("%s: %s; it is set aside", file.source.path, file.fault)
    return files


def _new_rows(files: Sequence[File], out: Path) -> dict[str, tuple[Clip, ...]]:
    found = {file.sha256: _rows_path(out, file.sha256) for file in files if file.sha256}
    return {sha: read_clips(str(path)) for sha, path in found.items() if path.exists()}


def _rows_path(out: Path, sha: str) -> Path:
    return _work(out) / f"{sha}.parquet"


def _run(
    pending: Mapping[str, Path], out: Path, options: ClipOptions, *, jobs: int
) -> Iterator[tuple[str, str]]:
    """Yield (sha256, why it cannot be read or nothing) as each video is finished."""
    if min(jobs, len(pending)) <= 1:
        for sha, path in pending.items():
            yield sha, _ingest_one(path, sha, out, options, threads=jobs)
        return
    crashed: list[str] = []
    with _processes(min(jobs, len(pending))) as pool:
        futures = {pool.submit(_ingest_one, path, sha, out, options): sha for sha, path in pending.items()}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                crashed.append(futures[future])
    # A crash takes the whole pool with it: alone, the guilty video is told from the others.
    for sha in crashed:
        with _processes(1) as pool:
            try:
                yield sha, pool.submit(_ingest_one, pending[sha], sha, out, options).result()
            except BrokenProcessPool:
                yield sha, "crashes the decoder"


@contextmanager
def _processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of fresh processes; on an error, what has not begun never does."""
    pool = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _ingest_one(path: Path, sha: str, out: Path, options: ClipOptions, threads: int = 1) -> str:
    """Leave a video's rows aside. Returns why it cannot be read, or nothing."""
    try:
        clips = ingest_file(path, sha256=sha, folder=out, options=options, threads=threads)
    except InputError as error:
        return error.fault
    with replacing(_rows_path(out, sha)) as aside:
        write_clips(clips, str(aside))
    return ""


def _telemetry(clips: Sequence[Clip], files: Sequence[File], out: Path) -> dict[str, Telemetry]:
    """Speed samples by sha256 of every source that has rows."""
    samples = read_telemetry_table(out)
    for file in files:
        samples.pop(file.sha256, None)
    for file in files:
        if file.source.telemetry is not None:
            samples.setdefault(file.sha256, file.source.telemetry)
    present = sorted({clip.source_sha256 for clip in clips} & samples.keys())
    return {sha: samples[sha] for sha in present}


def _tidy(out: Path, clips: Sequence[Clip]) -> None:
    """Remove what was set by for going on, and shards that no row refers to."""
    for path in _work(out).iterdir():
        if path.name != _LOCK:
            path.unlink()
    wanted = {clip.shard for clip in clips}
    for path in (out / SHARDS_NAME).iterdir():
        if f"{SHARDS_NAME}/{path.name}" not in wanted:
            path.unlink()


def _tell(clips: Sequence[Clip], validation_fraction: float) -> None:
    usable = [clip for clip in clips if clip.usable]
    if not usable:
        _log.warning("not one clip can be trained on: the reasons are in the dataset")
    elif validation_fraction > 0 and not any(clip.split == VALIDATION for clip in usable):
        _log.warning("there is one drive only, so nothing is left for validation: give more footage")
