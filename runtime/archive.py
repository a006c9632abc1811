"""The one-file container of a bundle: a stored ZIP in one canonical form.

Any ZIP tool opens it. Reading trusts nothing that a ZIP says about itself: the entries are walked from the
start, and the file must then equal, byte for byte, the canonical archive of those entries. That one
comparison refuses compression, flags, dates, comments, a second directory and trailing bytes.

Structures as in PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from catseye.errors import InputError

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCAL_MAGIC, _CENTRAL_MAGIC, _END_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_VERSION, _FLAGS, _STORED, _TIME, _DATE = 20, 0, 0, 0, 0x21  # 1 January 1980, the format's first day

_FRAMING = 1 << 16
"""More than all headers take."""
REMEDY = "copy it again from where it was exported, or export again"


def canonical(entries: Iterable[tuple[str, bytes | memoryview]]) -> Iterator[bytes | memoryview]:
    """The archive's bytes, in pieces. Names are ASCII; the whole stays below 4 GiB."""
    directory = []
    offset = 0
    for name, content in entries:
        label = name.encode("ascii")
        crc, size = zlib.crc32(content), len(content)
        common = (_FLAGS, _STORED, _TIME, _DATE, crc, size, size, len(label), 0)
        yield _LOCAL.pack(_LOCAL_MAGIC, _VERSION, *common) + label
        yield content
        directory.append(
            _CENTRAL.pack(_CENTRAL_MAGIC, _VERSION, _VERSION, *common, 0, 0, 0, 0, offset) + label
        )
        offset += _LOCAL.size + len(label) + size
    listing = b"".join(directory)
    yield listing
    yield _END.pack(_END_MAGIC, 0, 0, len(directory), len(directory), len(listing), offset, 0)


def read_archive(path: str | Path, *, limits: Mapping[str, int]) -> dict[str, memoryview]:
    """Read a whole archive.

    Args:
        path: the file.
        limits: the names it may hold, and how many bytes each at most.

    Raises:
        InputError: the file is absent, too large, or not the canonical archive of allowed entries.
    """
    path = Path(path)
    largest = sum(limits.values()) + _FRAMING
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > largest:
                raise InputError(path, f"is larger than {largest} bytes, which no bundle is", REMEDY)
            data = memoryview(stream.read(size))
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the path") from None
    except IsADirectoryError:
        raise InputError(path, "is a folder, not a bundle", "name one .catseye file") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", REMEDY) from None
    entries = _walk(data, limits, path)
    offset = 0
    for piece in canonical(entries.items()):
        if data[offset : offset + len(piece)] != piece:
            raise InputError(path, f"was altered or cut off near byte {offset}", REMEDY)
        offset += len(piece)
    if offset != len(data):
        raise InputError(path, f"has {len(data) - offset} bytes after its end", REMEDY)
    return entries


def _walk(data: memoryview, limits: Mapping[str, int], path: Path) -> dict[str, memoryview]:
    entries: dict[str, memoryview] = {}
    offset = 0
    if data[:4] != _LOCAL_MAGIC:
        raise InputError(path, "is not a bundle", "give a .catseye file made by export")
    while data[offset : offset + 4] == _LOCAL_MAGIC:
        start = offset + _LOCAL.size
        if start > len(data):
            raise InputError(path, "is cut off", REMEDY)
        fields = _LOCAL.unpack(data[offset:start])
        method, size, name_length = fields[3], fields[8], fields[9]
        name = bytes(data[start : start + name_length][:256]).decode("ascii", "replace")
        content = data[start + name_length : start + name_length + size]
        if name not in limits:
            raise InputError(path, f"holds {name!r}, which is no entry of a bundle", REMEDY)
        if name in entries:
            raise InputError(path, f"holds {name!r} twice", REMEDY)
        if method != _STORED:
            raise InputError(path, f"entry {name!r} is compressed", REMEDY)
        if size > limits[name]:
            raise InputError(path, f"entry {name!r} claims {size} bytes, {limits[name]} at most", REMEDY)
        if len(content) < size:
            raise InputError(path, f"is cut off in entry {name!r}", REMEDY)
        entries[name] = content
        offset = start + name_length + size
    return entries
