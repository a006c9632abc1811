"""Footage into a dataset: in parallel, resumable, and idempotent by content.

Each finished video leaves its rows in ``.work/<sha256>.parquet``. Only when all are done are the tables
written, from those rows and the ones the dataset had before, and ``.work`` is emptied. What depends on a
file's place and neighbours (drive, split, speed, calibration) is joined then, so that it can be given or
changed later without decoding anything again.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from catseye.capture.dataset import (
    ClipOptions,
    Dataset,
    open_dataset,
    read_telemetry_table,
    write_dataset,
)
from catseye.capture.erasure import Erasures, keep_out
from catseye.capture.hardware import Decoder, check_decoder
from catseye.capture.ingest_file import ingest_file
from catseye.capture.manifest import Clip, read_clips, write_clips
from catseye.capture.merge import File, merge
from catseye.capture.probe import Source, find_sources
from catseye.capture.redaction import Redact
from catseye.capture.splits import VALIDATION
from catseye.capture.telemetry import Telemetry
from catseye.capture.workers import Alive, Work, run_here, run_in_processes, run_on_ray
from catseye.capture.workspace import Hashes, known_clips, locked, rows_path, tidy
from catseye.errors import CatseyeError, InputError, UsageError
from catseye.files import DISK_IS_FULL, replacing
from catseye.progress import Progress, silent

_log = logging.getLogger(__name__)

SHORTEST_MAX_CLIP_S = 2.0
UNEXPECTED = "cannot be ingested"
_PATIENCE = 2.0
"""A process is killed after so many times the stall, as it first has the time to notice by itself."""


def ingest(
    paths: Sequence[Path],
    out: Path,
    *,
    holdout: Sequence[Path] = (),
    width: int = 320,
    height: int = 192,
    jobs: int = 0,
    ray: str | None = None,
    decoder: Decoder = "cpu",
    drive_from: str | None = None,
    calibration: Path | None = None,
    redact: Redact | None = None,
    redacted_by: str = "",
    max_clip_s: float = 10,
    gap_s: float | None = None,
    stall_s: float = 60,
    validation_fraction: float = 0.1,
    progress: Progress = silent,
) -> Dataset:
    """Make a dataset of videos, or add videos to one.

    A video is known by its content: one that the dataset has is not decoded again, and a copy of it becomes a
    row that names the first. A path given again with other content replaces what it gave before. A video that
    cannot be read becomes a row with the reason. What was erased with its drive stays out.

    Args:
        paths: video files and folders of them.
        out: the dataset's folder.
        holdout: files and folders for the split ``test``; the whole drives they belong to go there, and stay.
        width, height: network size in pixels, even.
        jobs: processes; 0 for one a core, 1 for none but this one, which a video can then crash. The result
            does not depend on it.
        ray: address of a Ray cluster that does the work instead, see ``workers.run_on_ray``.
        decoder: ``cpu``, ``cuda`` or ``auto``, see ``hardware``.
        drive_from: regular expression whose first group names a path's drive; without it the recorder's
            journal does, and where there is none a file is a drive.
        calibration: a camera's calibration for all of these videos.
        redact: names what to blur in the shards, see ``redaction.Redact``. The originals stay as they are.
        redacted_by: what the dataset says has blurred it; with ``redact`` only, and needed there. Footage
            that is blurred otherwise is refused.
        max_clip_s: longest clip in seconds, at least 2.
        gap_s: a longer step between frames ends a clip; without it a second or eight median steps.
        stall_s: of a video that gives no frame for so long, no more is expected.
        validation_fraction: share of the drives for the split ``validation``, see ``splits.assign_splits``.
        progress: told of files done.

    Raises:
        InputError: a path is missing, a folder has no video, a sidecar does not fit its format, not one video
            can be read, the dataset was made with other options, or the disk is full.
        UsageError: an option cannot be.
        MissingExtraError: Ray is asked for and not installed.
    """
    options = ClipOptions(
        **_checked_sizes(width, height, max_clip_s, gap_s), redaction=_checked_redaction(redact, redacted_by)
    )
    _check_options(jobs, stall_s, validation_fraction)
    check_decoder(decoder)
    sources = find_sources(paths, holdout=holdout, drive_from=drive_from, calibration=calibration)
    out = out.absolute()
    how = _How(jobs=jobs or len(os.sched_getaffinity(0)), ray=ray, stall_s=stall_s)
    work = IngestOne(out=out, options=options, decoder=decoder, redact=redact, stall_s=stall_s)
    if redact is not None:
        _log.warning(
            "shards are blurred by %s; the originals stay as they are, with all they show", redacted_by
        )
        _check_pickles(work, how)
    try:
        with locked(out):
            erasures = Erasures.of(out)
            erased = {sha for drive in erasures.drives for sha in drive.sources_sha256}
            known = [clip for clip in known_clips(out, options) if clip.source_sha256 not in erased]
            files = keep_out(_hash(sources, out, jobs=how.jobs, progress=progress), erasures)
            files = _ingest_new(files, known, work, how, progress=progress)
            clips = merge(
                known,
                files,
                _new_rows(files, out),
                options=options,
                validation_fraction=validation_fraction,
            )
            samples = _telemetry(clips, files, out)
            write_dataset(out, clips, samples, options, validation_fraction=validation_fraction)
            tidy(out, clips)
            _tell(clips, validation_fraction)
    except OSError as error:
        if error.errno in DISK_IS_FULL:
            raise InputError(
                out, "no space is left on its disk", "free some and run it again: it goes on"
            ) from None
        raise
    return open_dataset(out)


@dataclass(frozen=True)
class IngestOne:
    """The work on one video, for whichever process does it: see ``ingest_file.ingest_file``."""

    out: Path
    options: ClipOptions
    decoder: Decoder
    redact: Redact | None
    stall_s: float
    threads: int = 1

    def __call__(self, sha256: str, path: Path, alive: Alive) -> str:
        """Leave a video's rows aside. Returns why it cannot be read, or nothing."""
        try:
            clips = ingest_file(
                path,
                sha256=sha256,
                folder=self.out,
                options=self.options,
                threads=self.threads,
                decoder=self.decoder,
                redact=self.redact,
                stall_s=self.stall_s,
                alive=alive,
            )
        except InputError as error:
            return error.fault
        except CatseyeError:
            raise
        except Exception as error:  # one video that finds a fault of ours must not cost a fleet the others
            if isinstance(error, OSError) and error.errno in DISK_IS_FULL:
                raise
            _log.warning("%s: cannot be ingested", path, exc_info=True)
            return f"{UNEXPECTED} ({type(error).__name__}: {error})"
        with replacing(rows_path(self.out, sha256)) as aside:
            write_clips(clips, str(aside))
        return ""


@dataclass(frozen=True)
class _How:
    """Where the work is done."""

    jobs: int
    ray: str | None
    stall_s: float


def _checked_sizes(width: int, height: int, max_clip_s: float, gap_s: float | None) -> dict[str, Any]:
    for name, size in (("width", width), ("height", height)):
        if size <= 0 or size % 2:
            raise UsageError(f"--{name} {size}: must be positive and even")
    if not max_clip_s >= SHORTEST_MAX_CLIP_S:
        raise UsageError(f"--max-clip-s {max_clip_s}: must be at least {SHORTEST_MAX_CLIP_S:g}")
    if gap_s is not None and not gap_s > 0:
        raise UsageError(f"--gap-s {gap_s}: must be above 0")
    return {"width": width, "height": height, "max_clip_s": max_clip_s, "gap_s": gap_s}


def _checked_redaction(redact: Redact | None, redacted_by: str) -> str:
    if (redact is None) == bool(redacted_by):
        raise UsageError(
            f"redacted_by {redacted_by!r}: must say what blurs where, and only where, redact is given"
        )
    return redacted_by


def _check_options(jobs: int, stall_s: float, validation_fraction: float) -> None:
    if jobs < 0:
        raise UsageError(f"--jobs {jobs}: must be 0, for all cores, or more")
    if not stall_s > 0:
        raise UsageError(f"--stall-s {stall_s}: must be above 0")
    if not 0 <= validation_fraction < 1:
        raise UsageError(
            f"--validation-fraction {validation_fraction}: must be from 0 up to, not including, 1"
        )


def _check_pickles(work: IngestOne, how: _How) -> None:
    if how.jobs == 1 and how.ray is None:
        return
    try:
        pickle.dumps(work)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise UsageError(
            f"redact {work.redact!r} cannot go to other processes ({error}): use --jobs 1"
        ) from None


def _hash(sources: Sequence[Source], out: Path, *, jobs: int, progress: Progress) -> list[File]:
    hashes = Hashes(out)

    def one(source: Source) -> File:
        try:
            return File(source, hashes.of(source.path))
        except OSError as error:
            return File(source, "", fault=f"cannot be read ({error.strerror})")

    files: list[File] = []
    with ThreadPoolExecutor(jobs) as pool:
        for file in pool.map(one, sources):
            files.append(file)
            progress("hash", len(files), len(sources))
    hashes.save()
    return files


def _ingest_new(
    files: Sequence[File], known: Sequence[Clip], work: IngestOne, how: _How, *, progress: Progress
) -> list[File]:
    """Leave aside the rows of every content that the dataset has not; note the files that cannot be read."""
    done = {clip.source_sha256 for clip in known if len(clip)}
    paths: dict[str, Path] = {}
    for file in files:
        if not file.fault:
            paths.setdefault(file.sha256, file.source.path)
    pending = {
        sha: path for sha, path in paths.items() if sha not in done and not rows_path(work.out, sha).exists()
    }
    finished = len(paths) - len(pending)
    progress("ingest", finished, len(paths))
    faults: dict[str, str] = {}
    for sha, fault in _run(pending, work, how):
        faults[sha] = fault
        finished += 1
        progress("ingest", finished, len(paths))
    files = [replace(file, fault=file.fault or faults.get(file.sha256, "")) for file in files]
    if files and all(file.fault for file in files):
        remedy = "not one of the videos given can be read: record or copy them again"
        raise InputError(files[0].source.path, files[0].fault, remedy)
    for file in files:
        if file.fault:
            _log.warning("%s: %s; it is set aside", file.source.path, file.fault)
    return files


def _run(pending: Mapping[str, Path], work: IngestOne, how: _How) -> Iterator[tuple[str, str]]:
    """Yield (sha256, why it cannot be read or nothing) as each video is finished."""
    patience_s = _PATIENCE * how.stall_s
    if not pending:
        return iter(())
    if how.ray is not None:
        return run_on_ray(pending, work, address=how.ray, stall_s=patience_s)
    if how.jobs == 1:
        return run_here(pending, work)
    jobs = min(how.jobs, len(pending))
    shared: Work = replace(work, threads=how.jobs // jobs)
    return run_in_processes(pending, shared, jobs=jobs, stall_s=patience_s)


def _new_rows(files: Sequence[File], out: Path) -> dict[str, tuple[Clip, ...]]:
    found = {file.sha256: rows_path(out, file.sha256) for file in files if file.sha256}
    return {sha: read_clips(str(path)) for sha, path in found.items() if path.exists()}


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


def _tell(clips: Sequence[Clip], validation_fraction: float) -> None:
    usable = [clip for clip in clips if clip.usable]
    if not usable:
        _log.warning("not one clip can be trained on: the reasons are in the dataset")
    elif validation_fraction > 0 and not any(clip.split == VALIDATION for clip in usable):
        _log.warning("there is one drive only, so nothing is left for validation: give more footage")
