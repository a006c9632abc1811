"""Records of a run that has no end: a file that grows, and can be moved away meanwhile."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from typing_extensions import Self

from catseye.runtime.results import line_of

_TAIL = 1 << 20


class RecordLog:
    """A file to which a line a record is appended at once; use as a context manager.

    It goes on where an earlier run ended, less what a power cut left of half a line. Where it is moved away,
    as logrotate does, or deleted, it is begun anew.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> Self:
        self._file = self._open()
        return self

    def write(self, record: dict[str, Any]) -> None:
        """Append a record.

        Raises:
            OSError: it could not be written; nothing is left of it.
        """
        if not self._is_in_place():
            self._file.close()
            self._file = self._open()
        line = line_of(record)
        before = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(line)
            if written != len(line):  # a disk that fills up; the rest of the line says so
                self._file.write(line[written:])
        except OSError:
            with suppress(OSError):
                self._file.truncate(before)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    def _open(self) -> IO[bytes]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+b", buffering=0)
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - _TAIL))
        file.truncate(start + file.read().rfind(b"\n") + 1)
        return file


class StandardOutput:
    """Records to standard output; use as a context manager."""

    def __enter__(self) -> Self:
        return self

    def write(self, record: dict[str, Any]) -> None:
        sys.stdout.buffer.write(line_of(record))  # UTF-8, whatever the terminal has
        sys.stdout.buffer.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave standard output open."""
