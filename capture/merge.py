"""The dataset's rows from what it had and what was given now, joined with what lies beside each video.

Every path stands for one content, every content for one path: the one that had it first. The other paths of a
content become rows that name the first.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from hashlib import sha256 as sha256_of_bytes

import numpy as np

from catseye.capture.calibration import Calibration
from catseye.capture.dataset import ClipOptions
from catseye.capture.drives import connected, join_drives
from catseye.capture.geometry import letterbox
from catseye.capture.ingest_file import DUPLICATE, NEAR_DUPLICATE, UNREADABLE, reason_for, set_aside
from catseye.capture.manifest import Clip
from catseye.capture.near_duplicates import find_near_duplicates
from catseye.capture.probe import Source
from catseye.capture.splits import TEST, assign_splits

_log = logging.getLogger(__name__)

_ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class File:
    """A source given now, its content's hash, and why it cannot be read, or nothing.

    ``sha256`` is empty where not even the bytes can be read.
    """

    source: Source
    sha256: str
    fault: str = ""


def merge(
    known: Sequence[Clip],
    files: Sequence[File],
    new_rows: Mapping[str, Sequence[Clip]],
    *,
    options: ClipOptions,
    validation_fraction: float,
) -> list[Clip]:
    """All rows of the dataset, in an order that depends on nothing but them.

    Args:
        known: the rows it had. A path given again with other content loses its rows.
        files: what was given now.
        new_rows: rows by sha256 of what was ingested now.
        options: the network size.
        validation_fraction: see ``splits.assign_splits``.
    """
    given = {str(file.source.path): file for file in files}
    contents = {clip.source: clip.source_sha256 for clip in _owners_first(known)}
    # What cannot be read today may have been read before: that is kept.
    given = {path: file for path, file in given.items() if file.sha256 or path not in contents}
    for path, file in given.items():
        if contents.get(path, file.sha256) != file.sha256:
            _log.warning("%s: has other content than before, which it replaces", path)
        contents[path] = file.sha256
    old_rows = _by_content(known)
    rows: list[Clip] = []
    owners: dict[str, Clip] = {}
    for path, sha in contents.items():
        if sha and sha in owners:
            rows.append(_copy(path, owners[sha]))
            _log.warning("%s: has the same content as %s; it is set aside", path, owners[sha].source)
            continue
        found = _rows_of(path, sha, given.get(path), new_rows.get(sha, old_rows.get(sha, ())))
        if path in given:
            found = [_join(clip, given[path], options) for clip in _timed(found, given[path].source)]
        rows.extend(found)
        owners[sha] = found[0]
    rows, repeats = _with_near_duplicates(join_drives(rows), known)
    return sorted(
        _with_splits(rows, _held_out(known, files), repeats, validation_fraction),
        key=lambda clip: (clip.source, clip.clip_id),
    )


def near_duplicate_drives(clips: Sequence[Clip], drive: str) -> set[str]:
    """Other drives that show in part the same as a drive."""
    _, repeats = _with_near_duplicates(clips, clips)
    return {name for pair in repeats if drive in pair for name in pair} - {drive}


def _owners_first(known: Sequence[Clip]) -> list[Clip]:
    return sorted(known, key=lambda clip: DUPLICATE in clip.tags)


def _by_content(known: Sequence[Clip]) -> dict[str, list[Clip]]:
    rows: dict[str, list[Clip]] = {}
    for clip in known:
        if DUPLICATE not in clip.tags:
            rows.setdefault(clip.source_sha256, []).append(clip)
    return rows


def _rows_of(path: str, sha: str, file: File | None, rows: Sequence[Clip]) -> list[Clip]:
    if file is not None and file.fault:
        name = "" if sha else f"{UNREADABLE}-{_short_hash(path)}"
        return [set_aside(path, sha, UNREADABLE, file.fault, own_id=name)]
    return [replace(clip, source=path) for clip in rows]


def _copy(path: str, owner: Clip) -> Clip:
    row = set_aside(
        path,
        owner.source_sha256,
        DUPLICATE,
        f"has the same content as {owner.source}",
        own_id=f"copy-{_short_hash(path)}",
    )
    return replace(row, drive=owner.drive)


def _timed(clips: Sequence[Clip], source: Source) -> list[Clip]:
    """Rows of one file with the start times that follow from the journal's, where there is one."""
    if source.start_utc is None:
        return list(clips)
    first = min(
        (Fraction(int(clip.pts[0])) * clip.time_base for clip in clips if len(clip)), default=Fraction(0)
    )
    since = [float(int(clip.pts[0]) * clip.time_base - first) if len(clip) else 0.0 for clip in clips]
    return [
        replace(clip, start_time=source.start_utc + timedelta(seconds=seconds))
        for clip, seconds in zip(clips, since, strict=True)
    ]


def _join(clip: Clip, file: File, options: ClipOptions) -> Clip:
    source, telemetry = file.source, file.source.telemetry
    calibration = source.calibration if _fits(source.calibration, clip) else None
    speed = np.full(len(clip), np.nan, dtype=np.float32)
    if telemetry is not None:
        speed = telemetry.speed_at(np.asarray(clip.pts * float(clip.time_base), dtype=np.float64))
    return replace(
        clip,
        drive=source.drive(file.sha256),
        vehicle=source.vehicle,
        camera=source.camera or (calibration.camera if calibration else ""),
        speed_mps=speed,
        intrinsics=_intrinsics(calibration, clip, options) if calibration else None,
        calibration_hash=calibration.content_hash if calibration else source.calibration_hash,
    )


def _fits(calibration: Calibration | None, clip: Clip) -> bool:
    if calibration is None or not len(clip):
        return False
    ratio = (clip.width / clip.height) / (calibration.width / calibration.height)
    if abs(ratio - 1) <= _ASPECT_TOLERANCE:
        return True
    _log.warning(
        "%s: is %dx%d and its calibration for %dx%d, another shape; it is taken as uncalibrated",
        clip.source,
        clip.width,
        clip.height,
        calibration.width,
        calibration.height,
    )
    return False


def _intrinsics(
    calibration: Calibration, clip: Clip, options: ClipOptions
) -> tuple[float, float, float, float]:
    width, height = options.width, options.height
    K = calibration.network_matrix(letterbox(clip.width, clip.height, width, height))
    return float(K[0, 0]) / width, float(K[1, 1]) / height, float(K[0, 2]) / width, float(K[1, 2]) / height


def _held_out(known: Sequence[Clip], files: Sequence[File]) -> set[str]:
    """Contents kept out of training: once a test clip, always one."""
    return {clip.source_sha256 for clip in known if clip.split == TEST} | {
        file.sha256 for file in files if file.source.held_out
    }


def _with_near_duplicates(
    rows: Sequence[Clip], known: Sequence[Clip]
) -> tuple[list[Clip], list[tuple[str, str]]]:
    """Rows of which those are set aside that repeat another file's; and the drives that share footage, in
    pairs.

    What the dataset could be trained on before comes first, then the order of paths. All is judged anew, as
    the first of two may have gone.
    """
    before = {clip.clip_id for clip in known if clip.usable}
    rows = [_judged_without(clip) for clip in rows]
    order = sorted(
        (clip for clip in rows if clip.usable),
        key=lambda clip: (clip.clip_id not in before, clip.source, clip.clip_id),
    )
    firsts = find_near_duplicates(order)
    marked = [_repeated(clip, firsts[clip.clip_id]) if clip.clip_id in firsts else clip for clip in rows]
    pairs = {(clip.drive, firsts[clip.clip_id].drive) for clip in rows if clip.clip_id in firsts}
    return marked, sorted(pair for pair in pairs if pair[0] != pair[1])


def _judged_without(clip: Clip) -> Clip:
    if NEAR_DUPLICATE not in clip.tags:
        return clip
    tags = clip.tags - {NEAR_DUPLICATE}
    return replace(clip, tags=tags, usable=not tags, reason=reason_for(tags))


def _repeated(clip: Clip, first: Clip) -> Clip:
    reason = f"shows the same as {first.clip_id} of {first.source}"
    return replace(clip, tags=clip.tags | {NEAR_DUPLICATE}, usable=False, reason=reason)


def _with_splits(
    rows: Sequence[Clip], held_out: set[str], repeats: Sequence[tuple[str, str]], validation_fraction: float
) -> list[Clip]:
    """Drives that share footage go to one side together."""
    group = connected(repeats)
    splits = assign_splits(
        {group.get(clip.drive, clip.drive) for clip in rows},
        held_out={group.get(clip.drive, clip.drive) for clip in rows if clip.source_sha256 in held_out},
        usable={group.get(clip.drive, clip.drive) for clip in rows if clip.usable},
        validation_fraction=validation_fraction,
    )
    return [replace(clip, split=splits[group.get(clip.drive, clip.drive)]) for clip in rows]


def _short_hash(text: str) -> str:
    return sha256_of_bytes(text.encode()).hexdigest()[:8]
