"""What is uploaded: a file, or the beginning of one that grows, and the proof that it is what it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catseye.errors import InputError


@dataclass(frozen=True)
class Source:
    """The first bytes of a file.

    Args:
        path: the file.
        size_bytes: how many.
        sha256: of them, in hex.
    """

    path: Path
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path, *, size_bytes: int | None = None) -> Source:
        """As the file, or its first ``size_bytes``, are now."""
        size_bytes = path.stat().st_size if size_bytes is None else size_bytes
        digest = hashlib.sha256()
        for block in _read(path, size_bytes, 1 << 20):
            digest.update(block)
        return cls(path, size_bytes, digest.hexdigest())

    def blocks(self, block_bytes: int) -> Iterator[tuple[int, bytes]]:
        """Offset and content of consecutive blocks, all but the last of ``block_bytes``; at least one.

        The last block comes only after all has been found to have the ``sha256``, so that whoever sends them
        cannot finish with content that has changed.

        Raises:
            InputError: the file is shorter, cannot be read, or its content is not what it was.
        """
        digest = hashlib.sha256()
        offset = 0
        for block in _read(self.path, self.size_bytes, block_bytes):
            digest.update(block)
            if offset + len(block) == self.size_bytes and digest.hexdigest() != self.sha256:
                raise InputError(
                    self.path,
                    "its content has changed since it was closed",
                    "check the disk; it is not uploaded",
                )
            yield offset, block
            offset += len(block)


def _read(path: Path, size_bytes: int, block_bytes: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            left = size_bytes
            while left or not size_bytes:
                block = stream.read(min(block_bytes, left))
                if len(block) < min(block_bytes, left):
                    raise InputError(path, "is shorter than it was", "check the disk; it is not uploaded")
                yield block
                left -= len(block)
                if not size_bytes:
                    return
    except FileNotFoundError:
        raise InputError(path, "is gone", "it was deleted for room before it could be uploaded") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the disk") from None
