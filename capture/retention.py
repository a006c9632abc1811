"""Room for new footage: the oldest goes first, what is locked goes last, what is being written never.

What is on the disk decides, not the journals: only files that are there can be deleted, and those that no
journal knows of take room as well.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from catseye.capture.journal import (
    JOURNAL_NAME,
    LOCK_SUFFIX,
    PART_SUFFIX,
    PROXY_SUFFIX,
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


def to_delete(stored: Iterable[StoredSegment], *, need_bytes: int) -> list[StoredSegment]:
    """The segments whose deletion frees ``need_bytes``, in the order to delete them; all if that is too few.

    Those without a lock come first, and among equals the oldest, whichever camera's it is.
    """
    chosen: list[StoredSegment] = []
    freed = 0
    for segment in sorted(stored, key=lambda s: (s.locked, s.stem, str(s.folder))):
        if freed >= need_bytes:
            break
        chosen.append(segment)
        freed += segment.size_bytes
    return chosen


def make_room(
    root: Path,
    *,
    quota_bytes: int | None,
    min_free_bytes: int,
    disk_usage: Callable[[Path], _DiskUsage] = shutil.disk_usage,
) -> list[Path]:
    """Delete as much footage as brings it below its quota and leaves the disk its free space.

    A deletion comes before its entry in the journal, since a disk may be too full to take the entry; one that
    cannot be noted is warned of.

    Args:
        root: the footage of all vehicles and cameras.
        quota_bytes: most that everything below ``root`` may take together; None for no limit.
        min_free_bytes: free space to leave on the disk.
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
    folders = list(_folders(root))
    reason = "free space"
    if quota_bytes is not None:
        excess_bytes = sum(sum(sizes.values()) for _, sizes in folders) - quota_bytes
        if excess_bytes > need_bytes:
            need_bytes, reason = excess_bytes, "quota"
    if need_bytes <= 0:
        return []
    stored = (
        segment for folder, sizes in folders if JOURNAL_NAME in sizes for segment in group(folder, sizes)
    )
    return _delete_all(to_delete(stored, need_bytes=need_bytes), reason=reason)


def group(folder: Path, sizes: dict[str, int]) -> Iterator[StoredSegment]:
    """The closed segments of a camera's folder, each with its companions.

    Args:
        folder: the camera's.
        sizes: bytes of each file in it, by name.
    """
    members: dict[str, list[str]] = {}
    being_written: set[str | None] = set()
    for name in sizes:
        if name.endswith(PART_SUFFIX):
            being_written.add(segment_stem(name.removesuffix(PART_SUFFIX)))
        elif (stem := segment_stem(name)) is not None:
            members.setdefault(stem, []).append(name)
    for stem in members.keys() - being_written:
        names = members[stem]
        yield StoredSegment(
            folder=folder,
            stem=stem,
            files=tuple(sorted(names)),
            size_bytes=sum(sizes[name] for name in names),
            locked=any(name.endswith(LOCK_SUFFIX) for name in names),
        )


def segment_stem(name: str) -> str | None:
    """What a segment's own name and those of its companions share; None for a file that is none of them."""
    name = name.removesuffix(LOCK_SUFFIX)
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
    if not path.is_file():
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


def _folders(root: Path) -> Iterator[tuple[Path, dict[str, int]]]:
    """Each folder from ``root`` down with the sizes of its files by name, but for what vanishes meanwhile."""
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        files: dict[str, int] = {}
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        else:
                            files[entry.name] = entry.stat(follow_symlinks=False).st_size
                    except FileNotFoundError:
                        continue
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            continue
        yield Path(folder), files
