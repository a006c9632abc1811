"""Drives: one vehicle's footage over all its cameras without a gap of more than ten minutes.

The recorder's journals say when each segment was recorded, those that are gone by now too, so that a drive
has the same name whichever of its segments are ingested, and when. Where journals of some cameras came
without the others, what they call by different names and what is close in time is joined later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from catseye.capture import journal
from catseye.capture.journal import SegmentClosed
from catseye.capture.manifest import Clip

MAX_GAP = timedelta(minutes=10)


@dataclass(frozen=True)
class Recorded:
    """What the journal says of a file.

    Args:
        vehicle, camera: the names of its folders.
        drive: see ``drive_name``.
        segment: its line.
    """

    vehicle: str
    camera: str
    drive: str
    segment: SegmentClosed


def recorded_files(folders: Iterable[Path]) -> dict[Path, Recorded]:
    """The journal's word on each file of camera folders; nothing for a folder without a journal.

    All cameras of a vehicle count for its drives, also those that are not among ``folders``.

    Raises:
        InputError: a journal cannot be read.
    """
    cameras = {folder for folder in folders if (folder / journal.JOURNAL_NAME).exists()}
    found: dict[Path, Recorded] = {}
    for vehicle in sorted({camera.parent for camera in cameras}):
        siblings = sorted(path.parent for path in vehicle.glob(f"*/{journal.JOURNAL_NAME}"))
        closed = {
            folder / entry.file: entry
            for folder in siblings
            for entry in journal.read(folder)
            if isinstance(entry, SegmentClosed)
        }
        starts = drive_starts([(entry.start_utc, end_of(entry)) for entry in closed.values()])
        for (path, entry), start in zip(closed.items(), starts, strict=True):
            if path.parent in cameras:
                name = drive_name(vehicle.name, start)
                found[path] = Recorded(vehicle.name, path.parent.name, name, entry)
    return found


def end_of(segment: SegmentClosed) -> datetime:
    return segment.start_utc + timedelta(seconds=max(0.0, segment.duration_s))


def drive_starts(spans: Sequence[tuple[datetime, datetime]]) -> list[datetime]:
    """For each span of footage of one vehicle, the beginning of the drive it belongs to.

    Args:
        spans: first and last moment, in any order.
    """
    starts: list[datetime] = [datetime.min] * len(spans)
    begin = until = None
    for index in sorted(range(len(spans)), key=lambda index: spans[index]):
        first, last = spans[index]
        if until is None or begin is None or first - until > MAX_GAP:
            begin, until = first, last
        starts[index], until = begin, max(until, last)
    return starts


def drive_name(vehicle: str, start: datetime) -> str:
    """``<vehicle>-<UTC of its beginning>``, which sorts by time."""
    return f"{vehicle}-{start.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}"


def join_drives(clips: Sequence[Clip]) -> list[Clip]:
    """Rows of one drive under one name: the earliest of those that touch.

    Two names are of one drive where their rows come within ``MAX_GAP`` of each other. Names that were given
    otherwise than by the journal are left alone.
    """
    by_vehicle: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.vehicle and re.fullmatch(re.escape(clip.vehicle) + r"-\d{8}T\d{6}Z", clip.drive):
            by_vehicle.setdefault(clip.vehicle, []).append(clip)
    names: dict[str, str] = {}
    for rows in by_vehicle.values():
        names |= _joined_names(rows)
    return [replace(clip, drive=names[clip.drive]) if clip.drive in names else clip for clip in clips]


def connected(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """For each name in any pair, the least name that it is connected to through pairs."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while parents.setdefault(name, name) != name:
            name = parents[name]
        return name

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parents[high] = low
    return {name: root(name) for name in parents}


def _joined_names(rows: Sequence[Clip]) -> Mapping[str, str]:
    """Other names for the drives of one vehicle, where they have any."""
    timed = [clip for clip in rows if clip.start_time is not None]
    spans = [
        (start, start + timedelta(seconds=clip.duration_s)) for clip in timed if (start := clip.start_time)
    ]
    first_of: dict[datetime, str] = {}
    pairs = []
    for clip, start in zip(timed, drive_starts(spans), strict=True):
        pairs.append((clip.drive, first_of.setdefault(start, clip.drive)))
    return {name: other for name, other in connected(pairs).items() if name != other}
