"""Our own look at an ONNX model before any native library sees it.

The messages are those of onnx.proto. What is not known here is refused: fields, tensor types, operators. The
graph must be flat, in order and self-contained, every value's type and shape must follow from what came
before it, and what is alive at once must fit into memory.
"""

from __future__ import annotations

import math
import os
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from catseye.errors import InputError
from catseye.runtime.onnx_operators import OPERATORS, infer
from catseye.runtime.onnx_tensors import FLOAT16, FLOAT32, INT32, INT64, ITEM_BYTES, Node, Tensor
from catseye.runtime.protobuf import Field, Message, Reader, RefusedMessageError, decode

OPSETS = range(17, 22)
"""Versions of the ONNX operator set that every engine here reads."""

MAX_TENSOR_BYTES = 1 << 29
MAX_LIVE_BYTES = 1 << 32
"""Of weights and of all values that are still needed, at the node where they are most."""
_MAX_NODES = 20_000
_MAX_RANK = 8
_MAX_FAULT_LENGTH = 300
_REMEDY = "export the network again with this version of catseye"

_DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
}

_IR_VERSIONS = range(3, 14)
_MOST_VALUES = 64

_ENTRY = {1: Field("key", "text"), 2: Field("value", "text")}
_MODEL = {
    1: Field("ir_version", "int"),
    2: Field("producer_name", "text"),
    3: Field("producer_version", "text"),
    4: Field("domain", "text"),
    5: Field("model_version", "int"),
    6: Field("doc_string", "text"),
    7: Field("graph", "bytes"),
    8: Field("opset_import", "bytes", many=True),
    14: Field("metadata_props", "bytes", many=True),
    20: Field("training_info", "has a training graph"),
    25: Field("functions", "has functions"),
}
_OPSET = {1: Field("domain", "text"), 2: Field("version", "int")}
_GRAPH = {
    1: Field("node", "bytes", many=True),
    2: Field("name", "text"),
    5: Field("initializer", "bytes", many=True),
    10: Field("doc_string", "text"),
    11: Field("input", "bytes", many=True),
    12: Field("output", "bytes", many=True),
    13: Field("value_info", "bytes", many=True),
    15: Field("sparse_initializer", "has sparse tensors"),
    16: Field("metadata_props", "bytes", many=True),
}
_NODE = {
    1: Field("input", "bytes", many=True),
    2: Field("output", "bytes", many=True),
    3: Field("name", "text"),
    4: Field("op_type", "text"),
    5: Field("attribute", "bytes", many=True),
    6: Field("doc_string", "text"),
    7: Field("domain", "text"),
    9: Field("metadata_props", "bytes", many=True),
}
_ATTRIBUTE = {
    1: Field("name", "text"),
    2: Field("f", "float"),
    3: Field("i", "int"),
    4: Field("s", "bytes"),
    5: Field("t", "bytes"),
    6: Field("g", "has a graph inside it"),
    8: Field("ints", "int", many=True),
    11: Field("graphs", "has graphs inside it"),
    13: Field("doc_string", "text"),
    20: Field("type", "int"),
    22: Field("sparse_tensor", "has sparse tensors"),
    23: Field("sparse_tensors", "has sparse tensors"),
}
_ATTRIBUTE_TYPES = {1: "f", 2: "i", 3: "s", 4: "t", 7: "ints"}
"""The field that holds an attribute's value, by AttributeProto.AttributeType."""
_TENSOR = {
    1: Field("dims", "int", many=True),
    2: Field("data_type", "int"),
    8: Field("name", "text"),
    9: Field("raw_data", "bytes"),
    12: Field("doc_string", "text"),
    13: Field("external_data", "keeps weights in another file"),
    14: Field("data_location", "int"),
}
_VALUE = {1: Field("name", "text"), 2: Field("type", "bytes"), 3: Field("doc_string", "text")}
_TYPE = {1: Field("tensor_type", "bytes"), 6: Field("denotation", "text")}
_TENSOR_TYPE = {1: Field("elem_type", "int"), 2: Field("shape", "bytes")}
_SHAPE = {1: Field("dim", "bytes", many=True)}
_DIM = {
    1: Field("dim_value", "int"),
    2: Field("dim_param", "has a size that is not fixed"),
    3: Field("denotation", "text"),
}


@dataclass(frozen=True)
class Value:
    """A graph input or output: its element type as NumPy names it, and its static shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class GraphSummary:
    """What a model declares: its interface, operator set, bytes of weights, and uses of each operator.

    ``live_bytes`` are those of its weights, inputs and values where most of them are needed at once.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    opset: int
    weights_bytes: int
    live_bytes: int
    operators: Mapping[str, int]


@dataclass(frozen=True)
class _Step:
    """A node as written: names of what it takes and makes."""

    place: str
    operator: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, object]


def check_model(data: bytes | memoryview, *, subject: str | os.PathLike[str]) -> GraphSummary:
    """Walk a serialised ModelProto and say what it declares.

    Raises:
        InputError: the model is truncated or malformed, keeps data elsewhere, nests graphs, uses unknown
            operators or attributes, its nodes are not in order, a value is not of the type and shape that it
            must or claims to be, or values are oversize, one by one or together.
    """
    try:
        return _read_model(Reader(), memoryview(data))
    except RefusedMessageError as error:
        raise InputError(subject, str(error)[:_MAX_FAULT_LENGTH], _REMEDY) from None


def _read_model(reader: Reader, data: memoryview) -> GraphSummary:
    model = reader.read(data, _MODEL, "the model")
    if model.integer("ir_version") not in _IR_VERSIONS:
        raise RefusedMessageError(f"is of IR version {model.integer('ir_version')}, which is not known")
    opset = _read_opset(reader, model)
    graph = reader.read(model.view("graph"), _GRAPH, "the graph")
    for message, place in ((model, "the model"), (graph, "the graph")):
        _read_metadata(reader, message, place)
    contents = graph.views.get("node", [])
    if len(contents) > _MAX_NODES:
        raise RefusedMessageError(f"has {len(contents)} nodes, {_MAX_NODES} at most")
    inputs, outputs, between = (
        [_read_value(reader, content) for content in graph.views.get(name, [])]
        for name in ("input", "output", "value_info")
    )
    values = {name: Tensor(dtype, shape) for name, dtype, shape in inputs}
    weights = [_read_tensor(reader, content, "a weight") for content in graph.views.get("initializer", [])]
    values |= dict(weights)
    if len(values) != len(inputs) + len(weights) or "" in values:
        raise RefusedMessageError("has two inputs or weights of one name, or one without")
    weights_bytes = sum(_size(tensor) for _, tensor in weights)
    steps = [_read_node(reader, content) for content in contents]
    for step in steps:
        values |= _made(step, values)
    _require_declared(outputs + between, values)
    return GraphSummary(
        inputs=tuple(_value(*found) for found in inputs),
        outputs=tuple(_value(*found) for found in outputs),
        opset=opset,
        weights_bytes=weights_bytes,
        live_bytes=_live_bytes(
            steps,
            values,
            kept=[name for name, *_ in (*inputs, *outputs)],
            held=weights_bytes + sum(_size(values[name]) for name, *_ in inputs),
        ),
        operators=Counter(step.operator for step in steps),
    )


def _read_opset(reader: Reader, model: Message) -> int:
    entries = [
        reader.read(content, _OPSET, "an operator set") for content in model.views.get("opset_import", [])
    ]
    domains = [entry.text("domain") for entry in entries]
    if domains not in (["ai.onnx"], [""]):
        raise RefusedMessageError(f"uses operator sets {domains}, not the standard one alone")
    version = entries[0].integer("version")
    if version not in OPSETS:
        raise RefusedMessageError(f"uses operator set {version}, not one of {OPSETS[0]} to {OPSETS[-1]}")
    return version


def _read_metadata(reader: Reader, message: Message, place: str) -> None:
    for content in message.views.get("metadata_props", []):
        reader.read(content, _ENTRY, f"metadata of {place}")


def _read_value(reader: Reader, data: memoryview) -> tuple[str, int, tuple[int, ...]]:
    """Name, element type and shape."""
    value = reader.read(data, _VALUE, "a value")
    place = f"value {value.text('name')!r}"
    tensor = reader.read(
        reader.read(value.view("type"), _TYPE, place).view("tensor_type"), _TENSOR_TYPE, place
    )
    shape = reader.read(tensor.view("shape"), _SHAPE, place)
    dims = [reader.read(dim, _DIM, place).integer("dim_value", -1) for dim in shape.views.get("dim", [])]
    data_type = tensor.integer("elem_type")
    _declared_bytes(dims, data_type, place)
    if 0 in dims:
        raise RefusedMessageError(f"{place} is empty")
    return value.text("name"), data_type, tuple(dims)


def _value(name: str, data_type: int, shape: tuple[int, ...]) -> Value:
    return Value(name, _DTYPES.get(data_type, str(data_type)), shape)


def _read_tensor(reader: Reader, data: memoryview, place: str) -> tuple[str, Tensor]:
    """A tensor's name, and the tensor."""
    tensor = reader.read(data, _TENSOR, place)
    place = f"{place} {tensor.text('name')!r}"
    if tensor.integer("data_location") != 0:
        raise RefusedMessageError(f"{place} keeps weights in another file")
    data_type, shape = tensor.integer("data_type"), tuple(tensor.ints.get("dims", []))
    declared = _declared_bytes(shape, data_type, place)
    raw = tensor.view("raw_data")
    if declared != len(raw):
        raise RefusedMessageError(f"{place} declares {declared} bytes and carries {len(raw)}")
    return tensor.text("name"), Tensor(data_type, shape, constant=True, values=_values(raw, data_type))


def _values(raw: memoryview, data_type: int) -> tuple[float, ...] | None:
    """Those of a small tensor, where an operator may ask for them."""
    code = {FLOAT32: "f", FLOAT16: "e", INT32: "i", INT64: "q"}.get(data_type)
    count = len(raw) // ITEM_BYTES[data_type]
    return struct.unpack(f"<{count}{code}", raw) if code and count <= _MOST_VALUES else None


def _size(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype]


def _declared_bytes(dims: Iterable[int], data_type: int, place: str) -> int:
    dims = list(dims)
    if data_type not in ITEM_BYTES:
        raise RefusedMessageError(f"{place} is of element type {data_type}, which is not supported")
    if len(dims) > _MAX_RANK or any(dim < 0 for dim in dims):
        raise RefusedMessageError(f"{place} has no fixed shape of at most {_MAX_RANK} dimensions")
    size = math.prod(dims) * ITEM_BYTES[data_type]
    if size > MAX_TENSOR_BYTES:
        raise RefusedMessageError(f"{place} declares {size} bytes, {MAX_TENSOR_BYTES} at most")
    return size


def _read_node(reader: Reader, data: memoryview) -> _Step:
    node = reader.read(data, _NODE, "a node")
    operator, place = node.text("op_type"), f"node {node.text('name')!r}"
    _read_metadata(reader, node, place)
    if operator not in OPERATORS or node.text("domain") not in {"", "ai.onnx"}:
        raise RefusedMessageError(
            f"{place} uses operator {node.text('domain')}::{operator}, which is not allowed"
        )
    attributes = [_read_attribute(reader, content, place) for content in node.views.get("attribute", [])]
    if len(dict(attributes)) != len(attributes):
        raise RefusedMessageError(f"{place} has an attribute twice")
    inputs, outputs = ([decode(name) for name in node.views.get(field, [])] for field in ("input", "output"))
    return _Step(place, operator, inputs, outputs, dict(attributes))


def _read_attribute(reader: Reader, data: memoryview, place: str) -> tuple[str, object]:
    attribute = reader.read(data, _ATTRIBUTE, place)
    name = attribute.text("name")
    field = _ATTRIBUTE_TYPES.get(attribute.integer("type"))
    if field is None or attribute.present & set(_ATTRIBUTE_TYPES.values()) - {field}:
        raise RefusedMessageError(f"{place} has attribute {name!r} whose value is not of its type")
    value: object
    if field == "t":
        _, value = _read_tensor(reader, attribute.view("t"), f"the tensor of {place}")
    elif field == "ints":
        value = tuple(attribute.ints.get("ints", []))
    else:
        value = {"i": attribute.integer("i"), "f": 0.0, "s": attribute.text("s")}[field]
    return name, value


def _made(step: _Step, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a node adds to the values that there are."""
    for name in step.inputs:
        if name and name not in values:
            raise RefusedMessageError(f"{step.place} reads {name!r} before any node makes it")
    given = [values[name] if name else None for name in step.inputs]
    try:
        tensors = infer(Node(step.operator, given, len(step.outputs), step.attributes))
    except RefusedMessageError as error:
        raise RefusedMessageError(f"{step.place} ({step.operator}) {error}") from None
    made = {}
    for name, tensor in zip(step.outputs, tensors, strict=False):
        if name in values or name in made:
            raise RefusedMessageError(f"{step.place} makes {name!r} a second time")
        _declared_bytes(tensor.shape, tensor.dtype, f"{step.place} ({step.operator})")
        if 0 in tensor.shape and step.operator != "Constant":
            raise RefusedMessageError(f"{step.place} ({step.operator}) makes an empty tensor")
        if name:
            made[name] = tensor
    return made


def _require_declared(
    declared: Iterable[tuple[str, int, tuple[int, ...]]], values: Mapping[str, Tensor]
) -> None:
    for name, data_type, shape in declared:
        found = values.get(name)
        if found is None:
            raise RefusedMessageError(f"declares {name!r}, which no node makes")
        if (found.dtype, found.shape) != (data_type, shape):
            raise RefusedMessageError(
                f"declares {name!r} of element type {data_type} and shape {shape}; "
                f"it is of {found.dtype} and {found.shape}"
            )


def _live_bytes(steps: Sequence[_Step], values: Mapping[str, Tensor], kept: Iterable[str], held: int) -> int:
    """Bytes where they are most: of what stays throughout (``kept`` by name; what is there before the first
    node is ``held``) and of what a later node still needs. What follows from constants alone an engine
    computes once and keeps."""
    last = {name: number for number, step in enumerate(steps) for name in (*step.outputs, *step.inputs)}
    staying = {name for name, tensor in values.items() if tensor.constant}.union(kept)
    live = most = held
    for number, step in enumerate(steps):
        live += sum(_size(values[name]) for name in step.outputs if name)
        most = max(most, live)
        if most > MAX_LIVE_BYTES:
            raise RefusedMessageError(f"needs {most} bytes at once at {step.place}, {MAX_LIVE_BYTES} at most")
        done = {name for name in (*step.outputs, *step.inputs) if name and last[name] == number}
        live -= sum(_size(values[name]) for name in done - staying)
    return most
