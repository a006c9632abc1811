"""Files written so that a crash or a full disk leaves the old one or the new one, never half of either."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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
        _fsync(aside)
        aside.replace(final)
        _fsync(final.parent)
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
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
