"""Faults of the graph's bytes, which no library would write."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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


def spoilt_encodings() -> Iterator[tuple[str, bytes]]:
    sound = sound_graph()
    graph = sound.graph.SerializeToString()
    model = onnx.ModelProto()
    model.CopyFrom(sound)
    model.ClearField("graph")
    outer = model.SerializeToString()

    def whole(graph: bytes) -> bytes:
        return outer + _field(7, graph)

    def node(more: bytes) -> bytes:
        return whole(_field(1, sound.graph.node[0].SerializeToString() + more) + graph)

    def attribute(more: bytes) -> bytes:
        extra = helper.make_attribute("saturate", 1).SerializeToString()
        return node(_field(5, extra + more))

    def weight(more: bytes) -> bytes:
        extra = numpy_helper.from_array(np.zeros(2, np.float32), "more").SerializeToString()
        return whole(graph + _field(5, extra + more))

    def value(more: bytes) -> bytes:
        return whole(graph + _field(13, sound.graph.value_info[0].SerializeToString() + more))

    levels: dict[str, Callable[[bytes], bytes]] = {
        "model": lambda more: whole(graph) + more,
        "graph": lambda more: whole(graph + more),
        "node": node,
        "attribute": attribute,
        "weight": weight,
        "value": value,
        "operator set": lambda more: whole(graph) + _field(8, more),
        "metadata": lambda more: whole(graph) + _field(14, more),
        "type": lambda more: whole(graph + _field(13, _field(1, b"x") + _field(2, more))),
        "shape": lambda more: whole(
            graph + _field(13, _field(1, b"x") + _field(2, _field(1, _integer(1, 1) + _field(2, more))))
        ),
    }
    for place, build in levels.items():
        for name, tail in _TAIL.items():
            yield f"{place}: {name}", build(tail)
    bad = b"\xff\xfe\xc0\x80"
    for name, content in {
        "producer": whole(graph) + _field(2, bad),
        "graph": whole(graph + _field(2, bad)),
        "node": whole(_field(1, _field(3, bad)) + graph),
        "operator": whole(_field(1, _field(4, bad)) + graph),
        "input of a node": whole(_field(1, _field(1, bad) + _field(4, b"Relu")) + graph),
        "output of a node": node(_field(2, bad)),
        "attribute": node(_field(5, _field(1, bad))),
        "weight": whole(graph + _field(5, _field(8, bad))),
        "value": whole(graph + _field(13, _field(1, bad))),
        "operator set": outer + _field(8, _field(1, bad)) + _field(7, graph),
        "metadata": whole(graph) + _field(14, _field(1, bad)),
        "document": whole(graph) + _field(6, bad),
    }.items():
        yield f"not UTF-8: {name}", content
    for depth in (100, 10_000):
        nested = b""
        for _ in range(depth):
            nested = _field(6, _field(1, _field(5, nested)))
            if len(nested) > 1 << 20:
                break
        yield f"attributes and graphs {depth} deep", node(_field(5, _field(1, b"g") + nested))
    nested = b""
    for _ in range(1000):
        nested = _field(4, _field(1, nested))
    yield "types 1,000 deep", whole(graph + _field(13, _field(1, b"x") + _field(2, nested)))
    yield "graph twice", whole(graph) + _field(7, graph)
    yield "graph twice, one empty", whole(graph) + _field(7, b"")
    yield "no graph", outer
    yield "empty graph", whole(b"")
    yield "empty", b""
    yield "400,000 empty metadata", whole(graph) + _field(14, b"") * 400_000
    yield "400,000 empty nodes", whole(graph + _field(1, b"") * 400_000)
    yield "400,000 empty weights", whole(graph + _field(5, b"") * 400_000)
    yield "400,000 empty values", whole(graph + _field(13, b"") * 400_000)
    packed = _varint(1) * 1_000_000
    yield (
        "a million packed dimensions",
        whole(graph + _field(5, _field(1, packed) + _integer(2, 1) + _field(8, b"m"))),
    )
    yield "a million packed attribute values", attribute(_field(8, packed))
    yield "packed dimensions cut off", whole(graph + _field(5, _field(1, b"\x80") + _integer(2, 1)))
    yield "packed floats of three bytes", attribute(_field(7, b"abc"))
    yield "packed doubles", whole(graph + _field(5, _field(10, b"abc") + _integer(2, 11)))
    yield "fixed64 for an integer", whole(graph + _field(5, _varint(1 << 3 | 1) + bytes(8)))
    yield "fixed32 for an integer", whole(graph + _field(5, _varint(2 << 3 | 5) + bytes(4)))
    yield "an integer for a name", whole(graph + _integer(2, 7))
    yield "bytes for the IR version", whole(graph) + _field(1, b"\x08")
    for width in (32, 33, 63):
        wide = (1 << width) + 1
        yield (
            f"weight's type of {width} bits",
            whole(
                graph + _field(5, _integer(1, 1) + _integer(2, wide) + _field(8, b"m") + _field(9, bytes(4)))
            ),
        )
        yield f"data location of {width} bits", weight(_integer(14, 1 << width))
        yield (
            f"attribute's type of {width} bits",
            node(_field(5, _field(1, b"saturate") + _integer(3, 1) + _integer(20, (1 << width) + 2))),
        )
    for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999):
        content = sound.SerializeToString()
        yield f"cut off after {share:.1%}", content[: int(len(content) * share)]
    yield "JSON", b'{"irVersion": "8"}'
    yield "text", str(sound).encode()[:100_000]
