"""The file below a segment: append-only, sealed by stamps, synced, and named when it is complete."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from catseye.capture.journal import PART_SUFFIX
from catseye.capture.recording.stamps import Container, stamp
from catseye.files import DISK_IS_FULL, fsync


class SegmentFile:
    """Bytes of a muxer, on the disk a commit at a time.

    A commit is one write of what the muxer gave and a stamp over all of it, so that whatever a crash leaves
    ends with a stamp but for a torn last write. While it is open it is locked, so that a salvage beside a
    running recorder lets it be.

    Args:
        path: its final name; until ``finish`` it is ``<name>.part``.
        container: what kind of stamp it takes.
        fsync_s: longest time that committed bytes wait for the disk.
        wait_for_room: called when the disk is full, and the write is tried again when it returns.

    Raises:
        OSError: from any method, where the disk fails; nothing is left to do then but to ``close``.
    """

    def __init__(
        self,
        path: Path,
        *,
        container: Container,
        fsync_s: float,
        wait_for_room: Callable[[OSError], None],
    ) -> None:
        self.path = path
        self.part = path.with_name(path.name + PART_SUFFIX)
        self.size_bytes = 0
        self.closed = False
        self._container = container
        self._fsync_s = fsync_s
        self._wait_for_room = wait_for_room
        self._pending = bytearray()
        self._digest = hashlib.sha256()
        self._is_dirty = False
        self._synced_s = float("-inf")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.part, flags, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fsync(path.parent)
        except OSError:
            self.close()
            raise

    def write(self, content: bytes) -> int:
        """Take what the muxer gives; it reaches the disk with the next commit."""
        self._pending += content
        return len(content)

    @property
    def pending_bytes(self) -> int:
        return len(self._pending)

    def commit(self, line: Callable[[str, int], bytes]) -> None:
        """Write what is pending and its stamp, and sync when that is due.

        Args:
            line: what the stamp holds, from SHA-256 and size of the file before it.
        """
        content = bytes(self._pending)
        self._pending.clear()
        self._digest.update(content)
        line_bytes = line(self._digest.hexdigest(), self.size_bytes + len(content))
        sealed = stamp(self._container, self._digest.digest(), line_bytes)
        self._digest.update(sealed)
        self._write_whole(content + sealed)
        self._is_dirty = True
        self.sync_if_due()

    def sync_if_due(self) -> None:
        if self._is_dirty and time.monotonic() - self._synced_s >= self._fsync_s:
            os.fdatasync(self._descriptor)
            self._is_dirty = False
            self._synced_s = time.monotonic()

    def finish(self) -> str:
        """Sync everything, give the file its final name and return its SHA-256 in hex. It stays locked."""
        os.fsync(self._descriptor)
        self.part.rename(self.path)
        fsync(self.path.parent)
        return self._digest.hexdigest()

    def close(self) -> None:
        """Let go of the file as it is; one that was not finished is left for a salvage."""
        if not self.closed:
            self.closed = True
            os.close(self._descriptor)

    def _write_whole(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except OSError as error:
                if error.errno not in DISK_IS_FULL:
                    raise
                self._wait_for_room(error)
            else:
                self.size_bytes += written
                rest = rest[written:]
