"""Uploads to what speaks S3: in parts, which the server keeps for the attempt after a kill."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from catseye.capture.uploading.pace import DamagedError, Meter
from catseye.capture.uploading.source import Source
from catseye.capture.uploading.target import sha256_at
from catseye.files import write_text

_log = logging.getLogger(__name__)

MIN_PART_BYTES = 5 << 20
"""S3 takes no smaller part but the last: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

MAX_PARTS = 10_000


class _Unfinished(BaseModel):
    """A multipart upload that was begun: what it is of, and what the server calls it."""

    model_config = ConfigDict(frozen=True)

    url: str
    upload_id: str
    part_bytes: int
    size_bytes: int
    sha256: str


class S3Target:
    """A prefix in a bucket. Every part is sent with its MD5, which the server checks before it takes it.

    An object counts as held when its size and its ETag are those of the source (the MD5 of one part, or the
    MD5 of the parts' MD5s); where the server makes its ETags otherwise, as under KMS encryption, the object
    is read back.

    Args:
        filesystem: an ``s3fs.S3FileSystem`` that does not retry on its own.
        root: ``bucket/prefix``.
        meter: counts and paces what is sent, in whole parts.
        state: folder for the names of unfinished uploads.
        part_bytes: least size of a part; a file of more than 10,000 of them gets larger ones.
    """

    def __init__(self, filesystem: Any, root: str, *, meter: Meter, state: Path, part_bytes: int) -> None:
        self._filesystem, self._root, self._meter = filesystem, root.rstrip("/"), meter
        self._state, self._part_bytes = state, part_bytes

    def url_of(self, name: str) -> str:
        return f"s3://{self._root}/{name}"

    def size_of(self, name: str) -> int | None:
        head = self._head(name)
        return None if head is None else int(head["ContentLength"])

    def holds(self, name: str, source: Source) -> bool:
        part_bytes = self._part_size(source)
        return self._shows(name, source, etag([_md5(block) for _, block in source.blocks(part_bytes)]))

    def send(self, name: str, source: Source) -> None:
        if source.size_bytes <= self._part_size(source):
            expected = self._put(name, source)
        else:
            expected = self._put_in_parts(name, source)
        if not self._shows(name, source, expected):
            raise DamagedError(f"{name} arrived damaged")

    def _put(self, name: str, source: Source) -> str:
        (_, content), *_ = source.blocks(self._part_size(source))
        md5 = _md5(content)
        self._meter.wait(len(content))
        self._call(
            "put_object", name, Body=content, ContentMD5=_base64(md5), Metadata={"sha256": source.sha256}
        )
        self._meter.sent(len(content))
        return etag([md5])

    def _put_in_parts(self, name: str, source: Source) -> str:
        upload, there = self._go_on(name, source) or self._begin(name, source)
        digests: list[bytes] = []
        for number, (_, block) in enumerate(source.blocks(upload.part_bytes), start=1):
            digests.append(_md5(block))
            if there.get(number) == digests[-1].hex():
                self._meter.resumed(len(block))
                continue
            self._meter.wait(len(block))
            self._call(
                "upload_part",
                name,
                UploadId=upload.upload_id,
                PartNumber=number,
                Body=block,
                ContentMD5=_base64(digests[-1]),
            )
            self._meter.sent(len(block))
        parts = [
            {"PartNumber": number, "ETag": f'"{md5.hex()}"'} for number, md5 in enumerate(digests, start=1)
        ]
        self._call(
            "complete_multipart_upload", name, UploadId=upload.upload_id, MultipartUpload={"Parts": parts}
        )
        self._state_file(name).unlink(missing_ok=True)
        return etag(digests)

    def _begin(self, name: str, source: Source) -> tuple[_Unfinished, dict[int, str]]:
        begun = self._call("create_multipart_upload", name, Metadata={"sha256": source.sha256})
        upload = _Unfinished(
            url=self.url_of(name),
            upload_id=begun["UploadId"],
            part_bytes=self._part_size(source),
            size_bytes=source.size_bytes,
            sha256=source.sha256,
        )
        try:
            write_text(self._state_file(name), upload.model_dump_json())
        except OSError as error:  # a full disk is one more reason to go on
            _log.warning("%s: an interrupted upload will start afresh (%s)", name, error.strerror)
        return upload, {}

    def _go_on(self, name: str, source: Source) -> tuple[_Unfinished, dict[int, str]] | None:
        """The upload that was begun of this very content, and the MD5s of its parts there by number."""
        try:
            upload = _Unfinished.model_validate_json(self._state_file(name).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        if (upload.sha256, upload.size_bytes) != (source.sha256, source.size_bytes):
            self._abort(name, upload)
            return None
        there: dict[int, str] = {}
        after = 0
        while True:
            try:
                page = self._call("list_parts", name, UploadId=upload.upload_id, PartNumberMarker=after)
            except FileNotFoundError:
                return None  # the server has given it up, as its lifecycle rules may say
            there |= {part["PartNumber"]: part["ETag"].strip('"') for part in page.get("Parts", ())}
            if not page.get("IsTruncated"):
                return upload, there
            after = page["NextPartNumberMarker"]

    def _abort(self, name: str, upload: _Unfinished) -> None:
        try:
            self._call("abort_multipart_upload", name, UploadId=upload.upload_id)
        except FileNotFoundError:
            return

    def _shows(self, name: str, source: Source, expected: str) -> bool:
        head = self._head(name)
        if head is None or int(head["ContentLength"]) != source.size_bytes:
            return False
        if head["ETag"].strip('"') == expected:
            return True
        self._filesystem.invalidate_cache()
        return sha256_at(self._filesystem, self._path(name)) == source.sha256

    def _head(self, name: str) -> dict[str, Any] | None:
        try:
            return self._call("head_object", name)
        except FileNotFoundError:
            return None

    def _call(self, method: str, name: str, **arguments: Any) -> dict[str, Any]:
        from aiohttp import ClientError
        from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

        bucket, _, key = self._path(name).partition("/")
        try:
            answer: dict[str, Any] = self._filesystem.call_s3(method, Bucket=bucket, Key=key, **arguments)
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise PermissionError(str(error)) from None
        except (BotoCoreError, ClientError, asyncio.TimeoutError) as error:
            raise ConnectionError(str(error)) from error
        return answer

    def _part_size(self, source: Source) -> int:
        return max(self._part_bytes, -(-source.size_bytes // MAX_PARTS))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _state_file(self, name: str) -> Path:
        return self._state / f"{hashlib.sha256(self.url_of(name).encode()).hexdigest()[:24]}.json"


def etag(digests: list[bytes]) -> str:
    """The ETag that S3 gives an object sent in parts with these MD5s, or whole if there is only one."""
    return digests[0].hex() if len(digests) == 1 else f"{_md5(b''.join(digests)).hex()}-{len(digests)}"


def s3_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """fsspec options for a filesystem of our own, which leaves retries to the uploader."""
    config = {"retries": {"max_attempts": 0}, **options.get("config_kwargs", {})}
    return {**options, "config_kwargs": config, "skip_instance_cache": True}


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
