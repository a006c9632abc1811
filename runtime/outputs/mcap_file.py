"""One MCAP file (https://mcap.dev/spec), of which a killed process loses the last chunk at most."""

from __future__ import annotations

import fcntl
import logging
import struct
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO, Any

from catseye.errors import InputError, MissingExtraError
from catseye.files import fsync, replacing
from catseye.runtime.outputs.foxglove_schemas import schema_text
from catseye.version import __version__

_log = logging.getLogger(__name__)

PART = ".part"
_CHUNK_BYTES = 1 << 20
_CHUNK_S = 1.0
_LIBRARY = f"catseye {__version__}"
_MAGIC = b"\x89MCAP0\r\n"


def check_library() -> None:
    """Raises:
    MissingExtraError: the library that writes MCAP is not installed.
    """
    try:
        import mcap.writer  # noqa: F401
    except ImportError:
        raise MissingExtraError("mcap", "mcap") from None


class McapFile:
    """A file that is written under ``<name>.part`` and takes its name when it is finished.

    A chunk is closed when it has a megabyte, or at the first message after a second, and handed to the
    system; each carries its own index and checksum. The file is locked while it is open.

    Args:
        path: in a folder that is there.

    Raises:
        InputError: another process writes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._aside = path.with_name(path.name + PART)
        self._aside.touch()
        self._stream: IO[bytes] = self._aside.open("r+b")
        if not _locked(self._stream):
            self._stream.close()
            raise InputError(path, "is written by another run", "give another name")
        self._stream.truncate()
        self._writer = _begun(self._stream)
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._flushed_s = monotonic()
        self._is_whole = True

    @property
    def written(self) -> int:
        """Bytes so far, but for the open chunk."""
        return self._stream.tell()

    def add(self, topic: str, schema: str, message: bytes, *, at_ns: int) -> None:
        """Append a message.

        Args:
            schema: by a name that ``schema_text`` knows; the same for all messages of a topic.
            message: as JSON.
            at_ns: its place in time, in nanoseconds.

        Raises:
            OSError: it could not be written; the file takes no more.
        """
        self._is_whole = False
        channel = self._channel(topic, schema)
        self._writer.add_message(channel, log_time=at_ns, data=message, publish_time=at_ns)
        if monotonic() - self._flushed_s >= _CHUNK_S:
            self._writer.flush()
            self._flushed_s = monotonic()
        self._is_whole = True

    def finish(self) -> None:
        """Write the index, and give the file its name.

        Raises:
            OSError: that failed.
        """
        with self._stream:
            self._writer.finish()
        fsync(self._aside)
        self._aside.replace(self.path)
        fsync(self.path.parent)

    def leave(self) -> Path:
        """End where it stands, after a fault: with an index if it is whole, and under the name it has now."""
        with suppress(OSError), self._stream:
            if self._is_whole:
                self._writer.finish()
        return self._aside

    def _channel(self, topic: str, schema: str) -> int:
        if topic not in self._channels:
            if schema not in self._schemas:
                text = schema_text(schema)
                self._schemas[schema] = self._writer.register_schema(schema, "jsonschema", text)
            self._channels[topic] = self._writer.register_channel(topic, "json", self._schemas[schema])
        return self._channels[topic]


def finish_left(part: Path) -> None:
    """Close what a killed process has left: its whole chunks, with an index, under the name meant for them.

    A file without a whole chunk goes. One that another process writes, or that is no MCAP file, stays.

    Raises:
        OSError: it cannot be read, or the other not be written.
    """
    path = part.with_name(part.name.removesuffix(PART))
    with part.open("rb") as left:
        if not _locked(left):
            return
        begins = left.read(len(_MAGIC))
        left.seek(0)
        if any(begins) and not _MAGIC.startswith(begins):
            _log.warning("%s is no MCAP file; it stays as it is", part)
            return
        with replacing(path) as aside, aside.open("wb") as stream:
            count = _copy_whole(left, stream)
        if not count:
            path.unlink()
        part.unlink()
    _log.info("%s: closed with the %d messages that a killed run had left", path, count)


def _copy_whole(left: IO[bytes], stream: IO[bytes]) -> int:
    """Copy the messages of all whole chunks, and count them."""
    from mcap.exceptions import McapError
    from mcap.records import Channel, Message, Schema
    from mcap.stream_reader import StreamReader
    from zstandard import ZstdError

    writer = _begun(stream)
    schemas: dict[int, int] = {}
    channels: dict[int, int] = {}
    count = 0
    try:
        for record in StreamReader(left, validate_crcs=True).records:
            if isinstance(record, Schema) and record.id not in schemas:
                schemas[record.id] = writer.register_schema(record.name, record.encoding, record.data)
            elif isinstance(record, Channel) and record.id not in channels:
                channels[record.id] = writer.register_channel(
                    record.topic, record.message_encoding, schemas[record.schema_id]
                )
            elif isinstance(record, Message):
                count += 1
                writer.add_message(
                    channels[record.channel_id], record.log_time, record.data, record.publish_time
                )
    except (McapError, ZstdError, struct.error, ValueError, KeyError):
        pass  # the tail, which was cut or never reached the disk
    writer.finish()
    return count


def _locked(stream: IO[bytes]) -> bool:
    """Whether nobody else holds it. It is let go on closing."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _begun(stream: IO[bytes]) -> Any:
    """A writer, some of whose methods state no types."""
    from mcap.writer import CompressionType, Writer

    writer = Writer(stream, chunk_size=_CHUNK_BYTES, compression=CompressionType.ZSTD)
    writer.start(profile="", library=_LIBRARY)
    return writer
