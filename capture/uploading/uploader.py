"""The way off the vehicle for all that the journals list."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from catseye.capture import journal
from catseye.capture.journal import JOURNAL_NAME, Uploaded
from catseye.capture.retention import StoredSegment, delete
from catseye.capture.uploading.order import Item, items_of, upload_order
from catseye.capture.uploading.pace import Meter, TokenBucket, retrying
from catseye.capture.uploading.s3 import MIN_PART_BYTES
from catseye.capture.uploading.source import Source
from catseye.capture.uploading.target import Target, open_target
from catseye.errors import CatseyeError, InputError, UsageError
from catseye.files import exclusive
from catseye.progress import Progress, silent

STATE_NAME = ".upload"
"""Folder in the footage for the lock and for what unfinished uploads must remember."""

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class UploadError(CatseyeError):
    """The target cannot be reached, or refuses. What has arrived stays; the next upload goes on from it."""


@dataclass(frozen=True)
class UploadSummary:
    """What an upload did.

    Args:
        uploaded: files that are at the target now and were not before.
        already_there: files that were.
        removed: local files deleted after they had been verified at the target.
        sent_bytes: bytes sent, journals included.
        resumed_bytes: bytes that an attempt before had sent, and that were not sent again.
        failed: why a file could not be uploaded, by its path in the footage; others were.
    """

    uploaded: int
    already_there: int
    removed: int
    sent_bytes: int
    resumed_bytes: int
    failed: Mapping[str, str]


def upload(
    footage: Path,
    url: str,
    *,
    delete_after: bool = False,
    limit_bytes_per_s: float | None = None,
    part_bytes: int = 8 << 20,
    attempts: int = 8,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    sleep: Callable[[float], None] = time.sleep,
) -> UploadSummary:
    """Copy every closed segment, its proxy, its telemetry and the journals to a folder at any fsspec URL.

    It may be killed at any time and run again: it goes on within the file that it was at. A file counts as
    uploaded when the target has shown its size and checksum; the journal then says so. Nothing at the target
    is overwritten but a journal by the same journal grown longer.

    Args:
        footage: folder of all vehicles and cameras, as ``record`` writes it.
        url: where to; ``<vehicle>/<camera>/<file>`` are put below it.
        delete_after: delete a segment with its companions once all of them are verified at the target, unless
            it is locked.
        limit_bytes_per_s: rate held on average, for S3 over some parts; None for no limit.
        part_bytes: what is sent again at most after a kill, for S3; at least 5 MiB.
        attempts: failures in a row, with no byte arriving between them, after which it gives up.
        storage_options: of fsspec for this URL; S3's credentials and endpoint are otherwise taken from the
            environment, as AWS's tools do.
        progress: told bytes done and in all.
        sleep: waits seconds between attempts.

    Raises:
        InputError: there is no footage, the address is none, or another process is uploading this footage.
        MissingExtraError: the URL needs ``catseye[upload]``.
        UploadError: the target cannot be reached or refuses.
        UsageError: an option is out of its range, or the URL is a folder in the footage.
    """
    for name, value, least in (("part_bytes", part_bytes, MIN_PART_BYTES), ("attempts", attempts, 1)):
        if value < least:
            raise UsageError(f"{name} {value}: must be at least {least}")
    if limit_bytes_per_s is not None and not limit_bytes_per_s > 0:
        raise UsageError(f"limit_bytes_per_s {limit_bytes_per_s}: must be above 0")
    folders = journal.camera_folders(footage) if footage.is_dir() else []
    if not folders:
        raise InputError(footage, "has no footage: no journal lies below it", "record with: catseye record")
    bar = _Bar(progress)
    bucket = TokenBucket(limit_bytes_per_s) if limit_bytes_per_s else None
    meter = Meter(bucket, on_bytes=bar.advance)
    (footage / STATE_NAME).mkdir(exist_ok=True)
    busy = InputError(footage, "is being uploaded by another process", "wait for it to end")
    with exclusive(footage / STATE_NAME / "lock", busy=busy):
        target = open_target(
            url,
            meter=meter,
            state=footage / STATE_NAME,
            part_bytes=part_bytes,
            storage_options=storage_options or {},
        )
        if target.url_of("").startswith(f"{footage.resolve().as_uri()}/"):
            raise UsageError(f"{url}: lies in the footage; give a folder outside of it")
        run = _Run(footage, target, meter, attempts=attempts, sleep=sleep, delete_after=delete_after)
        run.upload_segments(folders, bar)
        run.upload_journals(folders)
    return run.summary()


@dataclass
class _Bar:
    """Progress in bytes over files whose sizes are known beforehand."""

    progress: Progress
    total: int = 0
    done: int = 0
    label: str = ""

    def advance(self, count: int) -> None:
        # A part that is sent a second time counts once.
        self.done = min(self.done + count, self.total)
        self.progress(self.label, self.done, self.total)


@dataclass
class _Run:
    """One pass over the footage."""

    footage: Path
    target: Target
    meter: Meter
    attempts: int
    sleep: Callable[[float], None]
    delete_after: bool
    uploaded: int = 0
    already_there: int = 0
    removed: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def upload_segments(self, folders: Sequence[Path], bar: _Bar) -> None:
        items: list[Item] = []
        for folder in folders:
            found, missing = items_of(folder, url=self.target.url_of(self._name(folder)))
            items += found
            for file in missing:
                _log.warning("%s: is in the journal and not on the disk", folder / file)
        outstanding = {item.segment: 0 for item in items}
        for item in items:
            outstanding[item.segment] += 1
        todo = [
            item for item in items if not item.uploaded or (self.delete_after and not item.segment.locked)
        ]
        self.already_there += len(items) - len(todo)
        bar.total = sum(item.path.stat().st_size for item in todo if item.path.exists())
        for item in upload_order(todo):
            bar.label = self._name(item.path)
            try:
                self._upload(item)
            except InputError as error:
                self.failed[self._name(item.path)] = str(error)
                continue
            outstanding[item.segment] -= 1
            if self.delete_after and not outstanding[item.segment] and not item.segment.locked:
                self._delete(item.segment)

    def upload_journals(self, folders: Sequence[Path]) -> None:
        """Put the journals as they are now; at the target may be what they were earlier, and nothing else."""
        for folder in folders:
            path = folder / JOURNAL_NAME
            name = self._name(path)
            source = _lasting(path)
            there = self._retrying(lambda name=name: self.target.size_of(name))  # type: ignore[misc]  # mypy infers no default of a lambda
            if there is not None:
                earlier = Source.of(path, size_bytes=there) if there <= source.size_bytes else None
                if earlier is None or not self._holds(name, earlier):
                    self.failed[name] = f"{self.target.url_of(name)} is of another recorder; give another URL"
                    continue
                if there == source.size_bytes:
                    continue
            self._send(name, source)

    def summary(self) -> UploadSummary:
        return UploadSummary(
            uploaded=self.uploaded,
            already_there=self.already_there,
            removed=self.removed,
            sent_bytes=self.meter.sent_bytes,
            resumed_bytes=self.meter.resumed_bytes,
            failed=self.failed,
        )

    def _upload(self, item: Item) -> None:
        try:
            source = _source(item)
        except FileNotFoundError:
            raise InputError(item.path, "is gone", "nothing: it was deleted for room") from None
        name = self._name(item.path)
        there = self._retrying(lambda: self.target.size_of(name))
        if there is None:
            self._send(name, source)
            self.uploaded += 1
        elif self._holds(name, source):
            self.already_there += 1
        else:
            raise InputError(
                self.target.url_of(name),
                "is there with other content",
                "it is not overwritten; give another URL",
            )
        if not item.uploaded:
            url, at = self.target.url_of(name), datetime.now(timezone.utc)
            done = Uploaded(file=item.file, sha256=source.sha256, at_utc=at, url=url)
            try:
                journal.append(item.segment.folder, done)
            except OSError as error:
                fault = f"is uploaded, which its journal could not take ({error.strerror})"
                raise InputError(item.path, fault, "make room on the disk") from None

    def _delete(self, segment: StoredSegment) -> None:
        try:
            self.removed += len(delete(segment, reason="uploaded"))
        except OSError as error:
            self.failed[self._name(segment.folder / segment.stem)] = f"cannot be deleted ({error.strerror})"

    def _send(self, name: str, source: Source) -> None:
        self._retrying(lambda: self.target.send(name, source))

    def _holds(self, name: str, source: Source) -> bool:
        return self._retrying(lambda: self.target.holds(name, source))

    def _retrying(self, action: Callable[[], _T]) -> _T:
        try:
            return retrying(
                action, attempts=self.attempts, progress=lambda: self.meter.sent_bytes, sleep=self.sleep
            )
        except OSError as error:
            raise UploadError(
                f"{self.target.url_of('')}: {_reason(error)}; what has arrived stays: upload again"
            ) from error

    def _name(self, path: Path) -> str:
        return path.relative_to(self.footage).as_posix()


def _source(item: Item) -> Source:
    if item.closed is None:
        return Source.of(item.path)
    size_bytes = item.path.stat().st_size
    if size_bytes != item.closed.size_bytes:
        fault = f"has {size_bytes} bytes and not the {item.closed.size_bytes} that the journal says"
        raise InputError(item.path, fault, "check the disk; it is not uploaded")
    return Source(item.path, size_bytes, item.closed.sha256)


def _lasting(path: Path) -> Source:
    """A journal as far as it is on the disk: a power cut must not take back what is elsewhere already."""
    with path.open("rb") as stream:
        size_bytes = os.fstat(stream.fileno()).st_size
        os.fsync(stream.fileno())
    return Source.of(path, size_bytes=size_bytes)


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"refuses access ({error}); check the credentials"
    if isinstance(error, FileNotFoundError):
        return f"is not there ({error}); check the address"
    return f"cannot be written to ({error})"
