"""Uploads by appending: to a directory, over SFTP, or to any other fsspec filesystem that can append."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from catseye.capture.uploading.pace import DamagedError, Meter
from catseye.capture.uploading.source import Source
from catseye.capture.uploading.target import sha256_at
from catseye.errors import InputError
from catseye.files import fsync

_BLOCK_BYTES = 1 << 20


class AppendingTarget:
    """Writes beside the final name, under one that tells the content; goes on at the length that is there.

    Args:
        filesystem: fsspec's.
        root: the folder's path in it.
        meter: counts and paces what is sent.
    """

    def __init__(self, filesystem: Any, root: str, *, meter: Meter) -> None:
        self._filesystem, self._root, self._meter = filesystem, root.rstrip("/"), meter
        self._is_local = isinstance(filesystem, LocalFileSystem)

    def url_of(self, name: str) -> str:
        return str(self._filesystem.unstrip_protocol(self._path(name)))

    def size_of(self, name: str) -> int | None:
        return self._size(self._path(name))

    def holds(self, name: str, source: Source) -> bool:
        path = self._path(name)
        return self._size(path) == source.size_bytes and sha256_at(self._filesystem, path) == source.sha256

    def send(self, name: str, source: Source) -> None:
        path = self._path(name)
        folder, _, base = path.rpartition("/")
        aside = f"{folder}/.{base}.{source.sha256[:16]}.uploading"
        self._filesystem.makedirs(folder, exist_ok=True)
        self._append(aside, source)
        if not (
            self._size(aside) == source.size_bytes and sha256_at(self._filesystem, aside) == source.sha256
        ):
            self._filesystem.rm(aside)
            raise DamagedError(f"{name} arrived damaged")
        self._filesystem.mv(aside, path)
        if self._is_local:
            # The folders above may be new as well.
            for parent in (Path(folder), *Path(folder).parents):
                fsync(parent)
                if parent == Path(self._root):
                    break

    def _append(self, aside: str, source: Source) -> None:
        there = self._size(aside) or 0
        if there > source.size_bytes:
            self._filesystem.rm(aside)
            there = 0
        try:
            stream = self._filesystem.open(aside, "ab" if there else "wb")
        except (NotImplementedError, ValueError) as error:
            raise InputError(
                self.url_of(""),
                f"cannot be appended to ({error}), so no upload could be resumed",
                "give a directory, sftp:// or s3:// (Google's storage speaks S3 too)",
            ) from None
        with stream:
            self._meter.resumed(there)
            for offset, block in source.blocks(_BLOCK_BYTES):
                new = block[max(0, there - offset) :]
                if new:
                    self._meter.wait(len(new))
                    stream.write(new)
                    self._meter.sent(len(new))
            if self._is_local:
                stream.flush()
                os.fsync(stream.fileno())

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _size(self, path: str) -> int | None:
        self._filesystem.invalidate_cache()
        try:
            return int(self._filesystem.info(path)["size"])
        except FileNotFoundError:
            return None
