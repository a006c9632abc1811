"""Where footage is uploaded to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import fsspec

from catseye.capture.uploading.pace import Meter
from catseye.capture.uploading.source import Source
from catseye.errors import InputError, MissingExtraError
from catseye.files import sha256_of_stream


class Target(Protocol):
    """A folder elsewhere. Names are relative to it, with slashes.

    fsspec's own file objects send a file in one life of a process: one that was killed leaves nothing to go
    on from. So there are two targets of our own: S3's multipart uploads, and appending for the rest.

    Methods raise ``OSError`` where another attempt may help, ``PermissionError`` and ``FileNotFoundError``
    where not.
    """

    def url_of(self, name: str) -> str:
        """The whole address, without credentials."""
        ...

    def size_of(self, name: str) -> int | None:
        """Bytes of what is there under a name; None for nothing."""
        ...

    def holds(self, name: str, source: Source) -> bool:
        """Whether what is there has a source's size and checksum, as the target tells or as read back."""
        ...

    def send(self, name: str, source: Source) -> None:
        """Put a source under a name, going on from what an earlier attempt has left.

        When this returns the target has shown that it holds the source. Until then whatever was there under
        the name is untouched.

        Raises:
            InputError: the source has changed.
        """
        ...


def open_target(
    url: str, *, meter: Meter, state: Path, part_bytes: int, storage_options: Mapping[str, Any]
) -> Target:
    """The target at an fsspec URL.

    Args:
        url: of a folder.
        meter: counts and paces what is sent.
        state: folder for what must be remembered to go on after a kill.
        part_bytes: least size of a part of an S3 upload.
        storage_options: of fsspec for this URL.

    Raises:
        InputError: the URL is of no known kind, or of one that cannot append.
        MissingExtraError: the library for this kind of URL is not installed.
    """
    from catseye.capture.uploading.appending import AppendingTarget
    from catseye.capture.uploading.s3 import S3Target, s3_options

    is_s3 = url.startswith(("s3://", "s3a://"))
    options = s3_options(storage_options) if is_s3 else dict(storage_options)
    try:
        filesystem, root = fsspec.core.url_to_fs(url.rstrip("/"), **options)
    except ImportError as error:
        if is_s3:
            raise MissingExtraError("s3fs", "upload") from None
        raise InputError(url, f"needs a library that is not installed ({error})", "install it") from None
    except (ValueError, TypeError) as error:
        raise InputError(
            url, f"is no address that can be written to ({error})", "give a folder or a URL"
        ) from None
    if is_s3:
        filesystem.retries = 1
        return S3Target(filesystem, root, meter=meter, state=state, part_bytes=part_bytes)
    return AppendingTarget(filesystem, root, meter=meter)


def sha256_at(filesystem: Any, path: str) -> str:
    """Hex SHA-256 of a remote file, read back in blocks."""
    with filesystem.open(path, "rb") as stream:
        return sha256_of_stream(stream)
