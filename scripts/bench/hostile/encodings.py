"""Faults of the graph's bytes, which no library would write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hostile.sound_bundle import sound_graph


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


_TAIL = {
    "field 0": b"\x00\x01",
    "field unknown": _integer(99, 1),
    "field of the future": _field(1000, b"new"),
    "field number of 29 bits and more": _varint(1 << 35) + b"\x01",
    "group": b"\x0b\x0c",
    "group never ended": _varint(99 << 3 | 3) * 1000,
    "group ended only": _varint(99 << 3 | 4),
    "wire type 6": _varint(1 << 3 | 6),
    "wire type 7": _varint(1 << 3 | 7),
    "number of ten bytes and more": b"\x08" + b"\xff" * 10 + b"\x01",
    "number that never ends": b"\x08" + b"\x80" * 100_000,
    "key that never ends": b"\xff" * 11,
    "length that never ends": b"\x12" + b"\xff" * 10 + b"\x01",
    "length behind the end": b"\x12" + _varint(1000) + b"x",
    "length of 2^63": b"\x12" + _varint(1 << 63) + b"x",
    "negative length": b"\x12" + _varint(-1) + b"x",
    "length of 4 GB": b"\x12" + _varint(1 << 32),
    "fixed64 cut off": b"\x09\x00",
    "fixed32 cut off": b"\x0d\x00",
    "key cut off": b"\x80",
    "zeros": bytes(1000),
}


@cache
def _sound() -> onnx.ModelProto:
    return sound_graph()


@cache
def _graph() -> bytes:
    return _sound().graph.SerializeToString()


def _whole(graph: bytes) -> bytes:
    """A model around the bytes of a graph."""
    model = onnx.ModelProto()
    model.CopyFrom(_sound())
    model.ClearField("graph")
    return model.SerializeToString() + _field(7, graph)


def _node(more: bytes) -> bytes:
    return _whole(_field(1, _sound().graph.node[0].SerializeToString() + more) + _graph())


def _attribute(more: bytes) -> bytes:
    return _node(_field(5, helper.make_attribute("saturate", 1).SerializeToString() + more))


def _weight(more: bytes) -> bytes:
    extra = numpy_helper.from_array(np.zeros(2, np.float32), "more").SerializeToString()
    return _whole(_graph() + _field(5, extra + more))


def _value(more: bytes) -> bytes:
    return _whole(_graph() + _field(13, _sound().graph.value_info[0].SerializeToString() + more))


def spoilt_encodings() -> Iterator[tuple[str, bytes]]:
    yield from _tails()
    yield from _texts()
    yield from _depths()
    yield from _counts()
    yield from _widths()


def _tails() -> Iterator[tuple[str, bytes]]:
    """Every tail at the end of every kind of message."""
    levels: dict[str, Callable[[bytes], bytes]] = {
        "model": lambda more: _whole(_graph()) + more,
        "graph": lambda more: _whole(_graph() + more),
        "node": _node,
        "attribute": _attribute,
        "weight": _weight,
        "value": _value,
        "operator set": lambda more: _whole(_graph()) + _field(8, more),
        "metadata": lambda more: _whole(_graph()) + _field(14, more),
        "type": lambda more: _whole(_graph() + _field(13, _field(1, b"x") + _field(2, more))),
        "shape": lambda more: _whole(
            _graph() + _field(13, _field(1, b"x") + _field(2, _field(1, _integer(1, 1) + _field(2, more))))
        ),
    }
    for place, build in levels.items():
        for name, tail in _TAIL.items():
            yield f"{place}: {name}", build(tail)


def _texts() -> Iterator[tuple[str, bytes]]:
    bad = b"\xff\xfe\xc0\x80"
    for name, content in {
        "producer": _whole(_graph()) + _field(2, bad),
        "graph": _whole(_graph() + _field(2, bad)),
        "node": _whole(_field(1, _field(3, bad)) + _graph()),
        "operator": _whole(_field(1, _field(4, bad)) + _graph()),
        "input of a node": _whole(_field(1, _field(1, bad) + _field(4, b"Relu")) + _graph()),
        "output of a node": _node(_field(2, bad)),
        "attribute": _node(_field(5, _field(1, bad))),
        "weight": _whole(_graph() + _field(5, _field(8, bad))),
        "value": _whole(_graph() + _field(13, _field(1, bad))),
        "operator set": _field(8, _field(1, bad)) + _whole(_graph()),
        "metadata": _whole(_graph()) + _field(14, _field(1, bad)),
        "document": _whole(_graph()) + _field(6, bad),
    }.items():
        yield f"not UTF-8: {name}", content


def _depths() -> Iterator[tuple[str, bytes]]:
    for depth in (100, 10_000):
        nested = b""
        for _ in range(depth):
            nested = _field(6, _field(1, _field(5, nested)))
            if len(nested) > 1 << 20:
                break
        yield f"attributes and graphs {depth} deep", _node(_field(5, _field(1, b"g") + nested))
    nested = b""
    for _ in range(1000):
        nested = _field(4, _field(1, nested))
    yield "types 1,000 deep", _whole(_graph() + _field(13, _field(1, b"x") + _field(2, nested)))


def _counts() -> Iterator[tuple[str, bytes]]:
    yield "graph twice", _whole(_graph()) + _field(7, _graph())
    yield "graph twice, one empty", _whole(_graph()) + _field(7, b"")
    yield "no graph", onnx.ModelProto(ir_version=8, opset_import=_sound().opset_import).SerializeToString()
    yield "empty graph", _whole(b"")
    yield "empty", b""
    yield "400,000 empty metadata", _whole(_graph()) + _field(14, b"") * 400_000
    yield "400,000 empty nodes", _whole(_graph() + _field(1, b"") * 400_000)
    yield "400,000 empty weights", _whole(_graph() + _field(5, b"") * 400_000)
    yield "400,000 empty values", _whole(_graph() + _field(13, b"") * 400_000)
    packed = _varint(1) * 1_000_000
    yield (
        "a million packed dimensions",
        _whole(_graph() + _field(5, _field(1, packed) + _integer(2, 1) + _field(8, b"m"))),
    )
    yield "a million packed attribute values", _attribute(_field(8, packed))
    yield "packed dimensions cut off", _whole(_graph() + _field(5, _field(1, b"\x80") + _integer(2, 1)))
    yield "packed floats of three bytes", _attribute(_field(7, b"abc"))
    yield "packed doubles", _whole(_graph() + _field(5, _field(10, b"abc") + _integer(2, 11)))
    yield "fixed64 for an integer", _whole(_graph() + _field(5, _varint(1 << 3 | 1) + bytes(8)))
    yield "fixed32 for an integer", _whole(_graph() + _field(5, _varint(2 << 3 | 5) + bytes(4)))
    yield "an integer for a name", _whole(_graph() + _integer(2, 7))
    yield "bytes for the IR version", _whole(_graph()) + _field(1, b"\x08")


def _widths() -> Iterator[tuple[str, bytes]]:
    for width in (32, 33, 63):
        wide = (1 << width) + 1
        yield (
            f"weight's type of {width} bits",
            _whole(
                _graph()
                + _field(5, _integer(1, 1) + _integer(2, wide) + _field(8, b"m") + _field(9, bytes(4)))
            ),
        )
        yield f"data location of {width} bits", _weight(_integer(14, 1 << width))
        yield (
            f"attribute's type of {width} bits",
            _node(_field(5, _field(1, b"saturate") + _integer(3, 1) + _integer(20, (1 << width) + 2))),
        )
    for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999):
        content = _sound().SerializeToString()
        yield f"cut off after {share:.1%}", content[: int(len(content) * share)]
    yield "JSON", b'{"irVersion": "8"}'
    yield "text", str(_sound()).encode()[:100_000]
