"""A protobuf reader for messages that nobody vouches for (https://protobuf.dev/programming-guides/encoding/).

It knows the fields it is told of and refuses all others. It never recurses and never copies: a sub-message is
a view that the caller reads in turn, or does not. The number of fields is bounded, and with it memory and
time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MAX_FIELDS = 300_000

_VARINT_BYTES = 10
_BYTES = 2
_WIRE_TYPES = {"int": 0, "bytes": _BYTES, "text": _BYTES, "float": 5}
_FIXED_SIZES = {1: 8, 5: 4}


class RefusedMessageError(ValueError):
    """A message is malformed or holds what it may not; the text says where and what."""


@dataclass(frozen=True)
class Field:
    """A field of a message: ``kind`` is ``int``, ``float``, ``text`` or ``bytes``, or says why it is refused.

    Only integers and bytes may be repeated.
    """

    name: str
    kind: str
    many: bool = False


@dataclass(frozen=True)
class Message:
    """The fields found. Texts and sub-messages are views; of floats only their presence is kept."""

    present: frozenset[str]
    ints: Mapping[str, list[int]]
    views: Mapping[str, list[memoryview]]

    def integer(self, name: str, default: int = 0) -> int:
        return self.ints.get(name, [default])[0]

    def view(self, name: str) -> memoryview:
        return self.views.get(name, [memoryview(b"")])[0]

    def text(self, name: str) -> str:
        """A name, see ``decode``."""
        return decode(self.view(name))


def decode(content: memoryview) -> str:
    """A name that every reader takes for the same: UTF-8, and printable, since some end at a zero.

    Raises:
        RefusedMessageError: it is not.
    """
    try:
        text = bytes(content).decode()
    except UnicodeDecodeError:
        raise RefusedMessageError("has a name that is not UTF-8") from None
    if not text.isprintable():
        raise RefusedMessageError(f"has a name of what cannot be printed, {text!r}")
    return text


class Reader:
    """Reads messages, and counts the fields of all of them together."""

    def __init__(self) -> None:
        self._seen = 0

    def read(self, data: memoryview, fields: Mapping[int, Field], place: str) -> Message:
        """Read one message; ``place`` names it in errors.

        Raises:
            RefusedMessageError: it is malformed, has a field that is unknown, refused or wrongly repeated, or
            has too many.
        """
        ints: dict[str, list[int]] = {}
        views: dict[str, list[memoryview]] = {}
        met: set[str] = set()
        for number, wire, value, content in self._wire(data, place):
            field = fields.get(number)
            if field is None:
                raise RefusedMessageError(f"{place} has field {number}, which is not allowed")
            if field.kind not in _WIRE_TYPES:
                raise RefusedMessageError(f"{place} {field.kind}")
            if field.name in met and not field.many:
                raise RefusedMessageError(f"{place} has {field.name!r} twice")
            met.add(field.name)
            packed = field.many and field.kind == "int" and wire == _BYTES
            if wire != _WIRE_TYPES[field.kind] and not packed:
                raise RefusedMessageError(f"{place} has {field.name!r} in an encoding that does not fit")
            if field.kind == "int":
                ints.setdefault(field.name, []).extend(self._packed(content, place) if packed else [value])
            elif wire == _BYTES:
                if field.kind == "text":
                    _require_text(content, f"{place} has {field.name!r}")
                views.setdefault(field.name, []).append(content)
        return Message(frozenset(met), ints, views)

    def _wire(self, data: memoryview, place: str) -> Iterator[tuple[int, int, int, memoryview]]:
        """Field number, wire type, and its integer or its bytes, in turn."""
        offset = 0
        while offset < len(data):
            key, offset = self._varint(data, offset, place)
            number, wire = key >> 3, key & 7
            if wire == 0:
                value, offset = self._varint(data, offset, place)
                yield number, wire, value, data[:0]
                continue
            if wire == _BYTES:
                size, offset = self._varint(data, offset, place)
            elif wire in _FIXED_SIZES:
                size = _FIXED_SIZES[wire]
            else:
                raise RefusedMessageError(f"{place} is malformed")
            if not 0 <= size <= len(data) - offset:
                raise RefusedMessageError(f"{place} is cut off")
            yield number, wire, 0, data[offset : offset + size]
            offset += size

    def _packed(self, data: memoryview, place: str) -> Iterator[int]:
        offset = 0
        while offset < len(data):
            value, offset = self._varint(data, offset, place)
            yield value

    def _varint(self, data: memoryview, offset: int, place: str) -> tuple[int, int]:
        """A signed 64-bit integer and where it ends."""
        self._seen += 1
        if self._seen > MAX_FIELDS:
            raise RefusedMessageError(f"has more than {MAX_FIELDS} fields")
        if offset < len(data) and data[offset] < 0x80:  # as nearly all are
            return data[offset], offset + 1
        value = 0
        for index, byte in enumerate(data[offset : offset + _VARINT_BYTES]):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                value &= (1 << 64) - 1
                return value - (1 << 64) if value >> 63 else value, offset + index + 1
        raise RefusedMessageError(f"{place} is malformed or cut off")


def _require_text(content: memoryview, place: str) -> None:
    try:
        str(content, "utf-8")
    except UnicodeDecodeError:
        raise RefusedMessageError(f"{place} that is not UTF-8") from None
