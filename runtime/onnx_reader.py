"""Our own look at an ONNX model before any native library sees it.

The messages are those of onnx.proto. What is not known here is refused: fields, tensor types, operators. The
graph must be flat, in order, self-contained and of static shapes.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from catseye.errors import InputError
from catseye.runtime.protobuf import Field, Message, Reader, RefusedMessageError, decode

OPSETS = range(17, 22)
"""Versions of the ONNX operator set that every engine here reads."""

_OPERATOR_NAMES = """
Add And ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant Conv ConvTranspose Cos
DequantizeLinear Div Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements Gemm GlobalAveragePool
Greater GreaterOrEqual GridSample HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization
LeakyRelu Less LessOrEqual Log MatMul Max MaxPool Min Mod Mul Neg Not Or Pad Pow PRelu QuantizeLinear
Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize Round Sigmoid Sin Slice
Softmax Softplus Split Sqrt Squeeze Sub Tanh TopK Transpose Unsqueeze Where Xor
"""
OPERATORS = frozenset(_OPERATOR_NAMES.split())
"""Operators a graph may use: without control flow, and without any that allocates at will.

Graphs of our own have no GridSample, which TensorRT has miscomputed; wrapped transformers cannot do without,
and a plan is good only where the proof says so.
"""

MAX_TENSOR_BYTES = 1 << 29
_MAX_NODES = 20_000
_MAX_RANK = 8
_MAX_FAULT_LENGTH = 300
_REMEDY = "export the network again with this version of catseye"

_ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""Bytes an element by TensorProto.DataType; strings, complex numbers and the small floats are left out."""

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

_MODEL = {
    1: Field("ir_version", "int"),
    2: Field("producer_name", "bytes"),
    3: Field("producer_version", "bytes"),
    4: Field("domain", "bytes"),
    5: Field("model_version", "int"),
    6: Field("doc_string", "bytes"),
    7: Field("graph", "bytes"),
    8: Field("opset_import", "bytes", many=True),
    14: Field("metadata_props", "bytes", many=True),
    20: Field("training_info", "has a training graph"),
    25: Field("functions", "has functions"),
}
_OPSET = {1: Field("domain", "bytes"), 2: Field("version", "int")}
_GRAPH = {
    1: Field("node", "bytes", many=True),
    2: Field("name", "bytes"),
    5: Field("initializer", "bytes", many=True),
    10: Field("doc_string", "bytes"),
    11: Field("input", "bytes", many=True),
    12: Field("output", "bytes", many=True),
    13: Field("value_info", "bytes", many=True),
    15: Field("sparse_initializer", "has sparse tensors"),
    16: Field("metadata_props", "bytes", many=True),
}
_NODE = {
    1: Field("input", "bytes", many=True),
    2: Field("output", "bytes", many=True),
    3: Field("name", "bytes"),
    4: Field("op_type", "bytes"),
    5: Field("attribute", "bytes", many=True),
    6: Field("doc_string", "bytes"),
    7: Field("domain", "bytes"),
    9: Field("metadata_props", "bytes", many=True),
}
_ATTRIBUTE = {
    1: Field("name", "bytes"),
    2: Field("f", "float"),
    3: Field("i", "int"),
    4: Field("s", "bytes"),
    5: Field("t", "bytes"),
    6: Field("g", "has a graph inside it"),
    7: Field("floats", "float", many=True),
    8: Field("ints", "int", many=True),
    9: Field("strings", "bytes", many=True),
    11: Field("graphs", "has graphs inside it"),
    13: Field("doc_string", "bytes"),
    20: Field("type", "int"),
    22: Field("sparse_tensor", "has sparse tensors"),
    23: Field("sparse_tensors", "has sparse tensors"),
}
_TENSOR = {
    1: Field("dims", "int", many=True),
    2: Field("data_type", "int"),
    8: Field("name", "bytes"),
    9: Field("raw_data", "bytes"),
    12: Field("doc_string", "bytes"),
    13: Field("external_data", "keeps weights in another file"),
    14: Field("data_location", "int"),
}
_VALUE = {1: Field("name", "bytes"), 2: Field("type", "bytes"), 3: Field("doc_string", "bytes")}
_TYPE = {1: Field("tensor_type", "bytes"), 6: Field("denotation", "bytes")}
_TENSOR_TYPE = {1: Field("elem_type", "int"), 2: Field("shape", "bytes")}
_SHAPE = {1: Field("dim", "bytes", many=True)}
_DIM = {
    1: Field("dim_value", "int"),
    2: Field("dim_param", "has a size that is not fixed"),
    3: Field("denotation", "bytes"),
}


@dataclass(frozen=True)
class Value:
    """A graph input or output: its element type as NumPy names it, and its static shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class GraphSummary:
    """What a model declares: its interface, operator set, bytes of weights, and uses of each operator."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    opset: int
    weights_bytes: int
    operators: Mapping[str, int]


def check_model(data: bytes | memoryview, *, subject: str | os.PathLike[str]) -> GraphSummary:
    """Walk a serialised ModelProto and say what it declares.

    Raises:
        InputError: the model is truncated or malformed, keeps data elsewhere, declares tensors that are
        oversize or
            not of the size they claim, nests graphs, uses unknown operators, or its nodes are not in order.
    """
    try:
        return _read_model(Reader(), memoryview(data))
    except RefusedMessageError as error:
        raise InputError(subject, str(error)[:_MAX_FAULT_LENGTH], _REMEDY) from None


def _read_model(reader: Reader, data: memoryview) -> GraphSummary:
    model = reader.read(data, _MODEL, "the model")
    opset = _read_opset(reader, model)
    graph = reader.read(model.view("graph"), _GRAPH, "the graph")
    nodes = graph.views.get("node", [])
    if len(nodes) > _MAX_NODES:
        raise RefusedMessageError(f"has {len(nodes)} nodes, {_MAX_NODES} at most")
    inputs, outputs, _ = (
        tuple(_read_value(reader, content) for content in graph.views.get(name, []))
        for name in ("input", "output", "value_info")
    )
    weights = [_read_tensor(reader, content, "a weight") for content in graph.views.get("initializer", [])]
    names = [value.name for value in inputs] + [name for name, _ in weights]
    if len(set(names)) != len(names):
        raise RefusedMessageError("has two inputs or weights of one name")
    defined = set(names)
    operators = Counter(_read_node(reader, content, defined) for content in nodes)
    for value in outputs:
        if value.name not in defined:
            raise RefusedMessageError(f"declares output {value.name!r}, which no node makes")
    return GraphSummary(inputs, outputs, opset, sum(size for _, size in weights), operators)


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


def _read_value(reader: Reader, data: memoryview) -> Value:
    value = reader.read(data, _VALUE, "a value")
    place = f"value {value.text('name')!r}"
    tensor = reader.read(
        reader.read(value.view("type"), _TYPE, place).view("tensor_type"), _TENSOR_TYPE, place
    )
    shape = reader.read(tensor.view("shape"), _SHAPE, place)
    dims = [reader.read(dim, _DIM, place).integer("dim_value", -1) for dim in shape.views.get("dim", [])]
    data_type = tensor.integer("elem_type")
    _declared_bytes(dims, data_type, place)
    return Value(value.text("name"), _DTYPES.get(data_type, str(data_type)), tuple(dims))


def _read_tensor(reader: Reader, data: memoryview, place: str) -> tuple[str, int]:
    """A tensor's name and bytes."""
    tensor = reader.read(data, _TENSOR, place)
    place = f"{place} {tensor.text('name')!r}"
    if tensor.integer("data_location") != 0:
        raise RefusedMessageError(f"{place} keeps weights in another file")
    declared = _declared_bytes(tensor.ints.get("dims", []), tensor.integer("data_type"), place)
    carried = len(tensor.view("raw_data"))
    if declared != carried:
        raise RefusedMessageError(f"{place} declares {declared} bytes and carries {carried}")
    return tensor.text("name"), declared


def _declared_bytes(dims: Iterable[int], data_type: int, place: str) -> int:
    dims = list(dims)
    if data_type not in _ITEM_BYTES:
        raise RefusedMessageError(f"{place} is of element type {data_type}, which is not supported")
    if len(dims) > _MAX_RANK or any(dim < 0 for dim in dims):
        raise RefusedMessageError(f"{place} has no fixed shape of at most {_MAX_RANK} dimensions")
    size = math.prod(dims) * _ITEM_BYTES[data_type]
    if size > MAX_TENSOR_BYTES:
        raise RefusedMessageError(f"{place} declares {size} bytes, {MAX_TENSOR_BYTES} at most")
    return size


def _read_node(reader: Reader, data: memoryview, defined: set[str]) -> str:
    """Check one node and add what it makes to ``defined``; return its operator."""
    node = reader.read(data, _NODE, "a node")
    operator, place = node.text("op_type"), f"node {node.text('name')!r}"
    if operator not in OPERATORS or node.text("domain") not in {"", "ai.onnx"}:
        raise RefusedMessageError(
            f"{place} uses operator {node.text('domain')}::{operator}, which is not allowed"
        )
    for content in node.views.get("attribute", []):
        attribute = reader.read(content, _ATTRIBUTE, place)
        if "t" in attribute.views:
            _read_tensor(reader, attribute.view("t"), f"the tensor of {place}")
    for name in map(decode, node.views.get("input", [])):
        if name and name not in defined:
            raise RefusedMessageError(f"{place} reads {name!r} before any node makes it")
    for name in filter(None, map(decode, node.views.get("output", []))):
        if name in defined:
            raise RefusedMessageError(f"{place} makes {name!r} a second time")
        defined.add(name)
    return operator
