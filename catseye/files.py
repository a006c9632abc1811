"""Files written so that a crash or a full disk leaves the old one or the new one, never half of either."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What an ``OSError`` says where a disk, or the user's share of it, is full."""


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether a file or folder exists; one whose name would be too long for a file does not."""
    return os.path.exists(path)  # noqa: PTH110  # Path.exists raises where a name is too long


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; on success it takes the name ``path``.

    The name keeps the suffix, because muxers choose their format by it. File and folder are fsynced before
    and after the rename. On any error what was written aside is removed and ``path`` is untouched.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    aside = final.with_name(f".{final.stem}.{os.getpid()}.part{final.suffix}")
    try:
        yield aside
        fsync(aside)
        aside.replace(final)
        fsync(final.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    with replacing(path) as aside:
        aside.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], document: Any) -> None:
    write_text(path, json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file's content, read in blocks of 1 MiB."""
    with Path(path).open("rb") as stream:
        return sha256_of_stream(stream)


def sha256_of_stream(stream: IO[bytes]) -> str:
    """The same of what is left of an open stream."""
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


@contextmanager
def exclusive(lock: Path, *, busy: Exception) -> Iterator[None]:
    """Hold a lock on the file ``lock``, made where it is not there. It ends with the process at the latest.

    Raises:
        busy: another process holds it.
    """
    with lock.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield


def fsync(path: Path) -> None:
    """Make a file's content, or the names in a folder, last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
