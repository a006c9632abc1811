"""Stamps: the seal after every fragment of a segment, by which a torn file is verified.

A stamp holds the journal line that the segment would have if it ended here, and a SHA-256 over that line and
everything before it in the file. So what a crash leaves can be cut back to its longest verified prefix, and
journalled, without decoding: decoding would not notice a lost sector anyway. Players pass stamps over: in MP4
each is a ``uuid`` box between fragments (ISO/IEC 14496-12, 4.2), in MPEG-TS a run of null packets
(ISO/IEC 13818-1, 2.4.3.3).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

Container = Literal["mp4", "ts"]

_MARK = bytes.fromhex("8c5f1d3e0b7a4c62a1e9c4d07b3f6e21")
_DIGEST_BYTES = 32
_BOX_HEADER = struct.Struct(">I4s")
_LENGTH = struct.Struct(">I")

_TS_PACKET = 188
_TS_NULL_HEADER = bytes.fromhex("471fff10")
_TS_PAYLOAD = _TS_PACKET - len(_TS_NULL_HEADER)


@dataclass(frozen=True)
class Prefix:
    """The longest prefix of a file that its stamps vouch for.

    Args:
        size_bytes, sha256: of the prefix, its last stamp included.
        line: what that stamp holds.
    """

    size_bytes: int
    sha256: str
    line: bytes


def stamp(container: Container, digest: bytes, line: bytes) -> bytes:
    """The stamp to append after bytes whose SHA-256 is ``digest``."""
    seal = _seal(digest, line)
    content = _MARK + seal + line
    if container == "mp4":
        return _BOX_HEADER.pack(_BOX_HEADER.size + len(content), b"uuid") + content
    content = _MARK + _LENGTH.pack(len(line)) + seal + line
    return b"".join(
        _TS_NULL_HEADER + content[start : start + _TS_PAYLOAD].ljust(_TS_PAYLOAD, b"\xff")
        for start in range(0, len(content), _TS_PAYLOAD)
    )


def verified_prefix(path: Path, container: Container) -> Prefix | None:
    """The longest verified prefix of a file; None where not even its first stamp is right."""
    digest, size, found = hashlib.sha256(), 0, None
    with path.open("rb") as stream:
        pieces = _mp4_pieces(stream) if container == "mp4" else _ts_pieces(stream)
        for raw, stamped in pieces:
            if stamped is not None:
                seal, line = stamped[:_DIGEST_BYTES], stamped[_DIGEST_BYTES:]
                if seal != _seal(digest.digest(), line):
                    break
            digest.update(raw)
            size += len(raw)
            if stamped is not None:
                found = Prefix(size, digest.hexdigest(), line)
    return found


def _seal(digest: bytes, line: bytes) -> bytes:
    return hashlib.sha256(digest + line).digest()


def _mp4_pieces(stream: BinaryIO) -> Iterator[tuple[bytes, bytes | None]]:
    """Each whole box, and of a stamp its seal and line; ends where the boxes do."""
    left = Path(stream.name).stat().st_size
    while left >= _BOX_HEADER.size:
        header = stream.read(_BOX_HEADER.size)
        size, kind = _BOX_HEADER.unpack(header)
        if not _BOX_HEADER.size <= size <= left:
            return
        body = stream.read(size - _BOX_HEADER.size)
        is_stamp = kind == b"uuid" and body.startswith(_MARK)
        yield header + body, body[len(_MARK) :] if is_stamp else None
        left -= size


def _ts_pieces(stream: BinaryIO) -> Iterator[tuple[bytes, bytes | None]]:
    """Each whole packet, and each stamp with its seal and line; ends where the packets do."""
    while len(packet := stream.read(_TS_PACKET)) == _TS_PACKET and packet[:1] == _TS_NULL_HEADER[:1]:
        if not packet.startswith(_TS_NULL_HEADER + _MARK):
            yield packet, None
            continue
        start = len(_TS_NULL_HEADER) + len(_MARK)
        length = len(_MARK) + _LENGTH.size + _DIGEST_BYTES + _LENGTH.unpack_from(packet, start)[0]
        further = -(-length // _TS_PAYLOAD) - 1
        raw = packet + stream.read(min(further, 1000) * _TS_PACKET)
        payload = b"".join(
            raw[at + len(_TS_NULL_HEADER) : at + _TS_PACKET] for at in range(0, len(raw), _TS_PACKET)
        )
        yield raw, payload[len(_MARK) + _LENGTH.size : length]
