"""Room for new footage: what cannot be played goes first, then the oldest, what is locked last.

What is being written never goes. What a salvage could not use is evidence that something was lost, but the
journal tells of that in a gap or a line that stays; to keep the bytes would cost footage that does play.

What is on the disk decides, not the journals: only files that are there can be deleted, and those that no
journal knows of take room as well.
"""

from __future__ import annotations

import heapq
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Protocol

from catseye.capture.folder_sizes import FolderSizes
from catseye.capture.journal import (
    BAD_SUFFIX,
    JOURNAL_NAME,
    LOCK_SUFFIX,
    PART_SUFFIX,
    PROXY_SUFFIX,
    TAIL_SUFFIX,
    Removed,
    append,
)
from catseye.capture.telemetry import TELEMETRY_SUFFIX
from catseye.errors import InputError, UsageError
from catseye.files import fsync

VIDEO_SUFFIXES = frozenset({".mp4", ".ts", ".mkv", ".mov", ".avi"})
_log = logging.getLogger(__name__)


class _DiskUsage(Protocol):
    @property
    def free(self) -> int: ...


@dataclass(frozen=True)
class StoredSegment:
    """A segment on the disk with all that goes with it: its proxy, its telemetry, its lock.

    What a salvage set aside is one of its own, under the lock of the segment that it is of.

    Args:
        folder: the camera's.
        stem: the UTC time of its start as its file is named, so that stems sort by time.
        files: names in the folder.
        size_bytes: of all files together.
        locked: whether it is to be kept as long as there is anything else to delete.
    """

    folder: Path
    stem: str
    files: tuple[str, ...]
    size_bytes: int
    locked: bool


def deletion_order(folders: Iterable[tuple[Path, Mapping[str, int]]]) -> Iterator[StoredSegment]:
    """The closed segments of cameras' folders in the order to delete them.

    Those without a lock come first, among these what was set aside, and among equals the oldest, whichever
    camera's it is. Each is made as it is asked for: to find the oldest of a hundred thousand is little work.

    Args:
        folders: of cameras, each with the bytes of its files by name.
    """
    cameras = [_Camera.of(folder, sizes) for folder, sizes in folders]
    for locked in (False, True):
        for set_aside in (True, False):
            streams = [camera.segments(locked=locked, set_aside=set_aside) for camera in cameras]
            yield from heapq.merge(*streams, key=lambda segment: (segment.stem, segment.folder))


def to_delete(ordered: Iterable[StoredSegment], *, need_bytes: int) -> list[StoredSegment]:
    """The first segments of an order whose deletion frees ``need_bytes``; all if that is too few."""
    chosen: list[StoredSegment] = []
    freed = 0
    for segment in ordered if need_bytes > 0 else ():
        chosen.append(segment)
        freed += segment.size_bytes
        if freed >= need_bytes:
            break
    return chosen


def make_room(
    root: Path,
    *,
    quota_bytes: int | None,
    min_free_bytes: int,
    sizes: FolderSizes | None = None,
    disk_usage: Callable[[Path], _DiskUsage] = shutil.disk_usage,
) -> list[Path]:
    """Delete as much footage as brings it below its quota and leaves the disk its free space.

    A deletion comes before its entry in the journal, since a disk may be too full to take the entry; one that
    cannot be noted is warned of.

    Args:
        root: the footage of all vehicles and cameras.
        quota_bytes: most that everything below ``root`` may take together; None for no limit.
        min_free_bytes: free space to leave on the disk.
        sizes: of the files below ``root``, by ``footage_sizes``: makes it cheap to call again and again.
        disk_usage: tells the free space of a path's disk.

    Returns:
        The files deleted, in order; empty where nothing had to go, or nothing is left that may.

    Raises:
        OSError: something had to go and nothing could be deleted, as on a disk that has turned read-only.
        UsageError: a limit is below 0.
    """
    for name, limit in (("quota_bytes", quota_bytes), ("min_free_bytes", min_free_bytes)):
        if limit is not None and limit < 0:
            raise UsageError(f"{name} {limit}: must not be below 0")
    need_bytes = min_free_bytes - disk_usage(root).free
    if need_bytes <= 0 and quota_bytes is None:
        return []
    folders = (sizes or footage_sizes(root)).read()
    reason = "free space"
    if quota_bytes is not None:
        excess_bytes = sum(sum(files.values()) for _, files in folders) - quota_bytes
        if excess_bytes > need_bytes:
            need_bytes, reason = excess_bytes, "quota"
    if need_bytes <= 0:
        return []
    ordered = deletion_order((folder, files) for folder, files in folders if JOURNAL_NAME in files)
    return _delete_all(to_delete(ordered, need_bytes=need_bytes), reason=reason)


def footage_sizes(root: Path) -> FolderSizes:
    """Sizes of all files below ``root``, where closed footage is written to no more."""
    return FolderSizes(root, is_final=lambda name: segment_stem(name) is not None)


@dataclass(frozen=True)
class _Camera:
    """A camera's folder: bytes of its files by name, and the stems of what is locked or being written."""

    folder: Path
    sizes: Mapping[str, int]
    locked: frozenset[str | None]
    being_written: frozenset[str | None]

    @classmethod
    def of(cls, folder: Path, sizes: Mapping[str, int]) -> _Camera:
        locks = frozenset(segment_stem(name) for name in sizes if name.endswith(LOCK_SUFFIX))
        parts = (name.removesuffix(PART_SUFFIX) for name in sizes if name.endswith(PART_SUFFIX))
        return cls(folder, sizes, locks, frozenset(map(segment_stem, parts)))

    def segments(self, *, locked: bool, set_aside: bool) -> Iterator[StoredSegment]:
        """One kind of them, the oldest first."""
        # Names begin with their stem, and so do not need it to be sorted by it.
        names = sorted(name for name in self.sizes if name.endswith(BAD_SUFFIX) is set_aside)
        for stem, group in groupby(names, key=segment_stem):
            if stem is None or stem in self.being_written or (stem in self.locked) is not locked:
                continue
            files = tuple(group)
            size_bytes = sum(self.sizes[name] for name in files)
            yield StoredSegment(self.folder, stem, files, size_bytes, locked)


def segment_stem(name: str) -> str | None:
    """What a segment's own name and those of its companions share; None for a file that is none of them."""
    name = name.removesuffix(LOCK_SUFFIX)
    if name.endswith(BAD_SUFFIX):
        name = name.removesuffix(BAD_SUFFIX).removesuffix(TAIL_SUFFIX)
    if name.startswith("."):
        return None
    if name.endswith(TELEMETRY_SUFFIX):
        return name.removesuffix(TELEMETRY_SUFFIX)
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  # a Path for each of a million names takes seconds
    return stem.removesuffix(PROXY_SUFFIX) if suffix in VIDEO_SUFFIXES else None


def delete(segment: StoredSegment, *, reason: str) -> list[Path]:
    """Delete a segment with its companions, then say so in the journal.

    Args:
        segment: what to delete; files that are gone already are passed over.
        reason: for the journal's entries.

    Returns:
        The files deleted.

    Raises:
        OSError: a file cannot be deleted. Those that were are in the journal.
    """
    deleted: list[Path] = []
    try:
        # The lock goes last: a power cut in between leaves nothing that is less protected than it was.
        for name in sorted(segment.files, key=lambda name: name.endswith(LOCK_SUFFIX)):
            path = segment.folder / name
            try:
                path.unlink()
            except FileNotFoundError:
                continue
            deleted.append(path)
    finally:
        if deleted:
            fsync(segment.folder)
            _note(deleted, reason)
    return deleted


def lock(path: Path) -> Path:
    """Keep a segment from being deleted while there is any without a lock.

    Args:
        path: the segment, closed or still being written.

    Returns:
        The lock's file.

    Raises:
        InputError: there is no such segment, or its folder cannot be written to.
    """
    if not path.is_file() or not _is_footage(path):
        raise InputError(path, "no such segment", "name a file of the footage")
    marker = _lock_of(path)
    try:
        marker.touch()
        fsync(marker.parent)
    except OSError as error:
        raise InputError(path, f"cannot be locked ({error.strerror})", "check the disk") from None
    return marker


def unlock(path: Path) -> None:
    """Take a segment's lock away, if it has one.

    Raises:
        InputError: its folder cannot be written to.
    """
    marker = _lock_of(path)
    try:
        marker.unlink(missing_ok=True)
        fsync(marker.parent)
    except OSError as error:
        raise InputError(path, f"cannot be unlocked ({error.strerror})", "check the disk") from None


def _is_footage(path: Path) -> bool:
    """Whether it has a segment's name, beside a journal or still without one in a camera's first minute."""
    name = path.name.removesuffix(PART_SUFFIX)
    return segment_stem(name) is not None and (name != path.name or (path.parent / JOURNAL_NAME).exists())


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(PART_SUFFIX) + LOCK_SUFFIX)


def _delete_all(segments: Sequence[StoredSegment], *, reason: str) -> list[Path]:
    deleted: list[Path] = []
    failure: OSError | None = None
    for segment in segments:
        try:
            deleted += delete(segment, reason=reason)
        except OSError as error:
            failure = error
    if failure is not None:
        if not deleted:
            raise failure
        _log.warning("%s: cannot be deleted (%s)", failure.filename, failure.strerror)
    return deleted


def _note(deleted: Sequence[Path], reason: str) -> None:
    at = datetime.now(timezone.utc)
    for path in deleted:
        if path.name.endswith(LOCK_SUFFIX):
            continue
        try:
            append(path.parent, Removed(file=path.name, at_utc=at, reason=reason))
        except OSError as error:
            _log.warning("%s: deleted, which the journal could not take (%s)", path, error.strerror)
