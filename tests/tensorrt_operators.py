"""What TensorRT's ONNX parser takes by its documents: operators, types of their first input, restrictions.

From the operator lists of onnx-tensorrt (``docs/operators.md``) at 10.6, 10.8 and 10.15, and that of 11.2 as
NVIDIA's Isaac deployment tools carry it. The list of 10.3 is that of 10.6 without what the change log says
was new in 10.4 to 10.6, none of which is here. Here is what our own reader lets into a bundle, of the types
that our graphs can have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx
from onnx import TensorProto, helper, numpy_helper

_FLOAT = {TensorProto.FLOAT, TensorProto.FLOAT16}
_NUMBER = _FLOAT | {TensorProto.INT32, TensorProto.INT64}
_ANY = _NUMBER | {TensorProto.BOOL}
_BOOL = {TensorProto.BOOL}
_FLOAT_ONLY = """
    AveragePool BatchNormalization Ceil Clip Conv ConvTranspose Cos Elu Erf Exp Floor Gemm
    GlobalAveragePool GridSample HardSigmoid HardSwish InstanceNormalization LayerNormalization LeakyRelu Log
    MatMul MaxPool PRelu Pow QuantizeLinear Reciprocal Resize Round Sigmoid Sin Softmax Softplus Sqrt Tanh
"""
_NUMBERS = """
    Add ArgMax Div Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mod Mul Neg Pad ReduceL2 ReduceMax
    ReduceMean ReduceMin ReduceSum Relu Sub TopK
"""
_ALL = """
    Concat Constant Expand Flatten Gather GatherElements Identity Reshape Slice Split Squeeze Transpose
    Unsqueeze Where
"""

TENSORRT_10_3: Mapping[str, set[int]] = {
    **dict.fromkeys(_FLOAT_ONLY.split(), _FLOAT),
    **dict.fromkeys(_NUMBERS.split(), _NUMBER),
    **dict.fromkeys(_ALL.split(), _ANY),
    **dict.fromkeys(("And", "Not", "Or", "Xor"), _BOOL),
    "Cast": _ANY | {TensorProto.UINT8},
    "DequantizeLinear": {TensorProto.INT8},
}
TENSORRT_11: Mapping[str, set[int]] = {**TENSORRT_10_3, "Pow": _NUMBER}

LISTS = {"10.3": TENSORRT_10_3, "11.2": TENSORRT_11}
OPSETS = {"10.3": range(9, 21), "11.2": range(9, 25)}

_MOST_K = 3840
_RESIZE_MODES = {b"nearest", b"linear"}
_RESIZE_COORDINATES = {b"half_pixel", b"pytorch_half_pixel", b"asymmetric", b"align_corners"}


def refusals(graph: bytes, release: str) -> list[str]:
    """What of a serialised graph a release's documents do not list, a line each."""
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(graph), strict_mode=True)
    version = next(entry.version for entry in model.opset_import if not entry.domain)
    found = [] if version in OPSETS[release] else [f"opset {version}"]
    parts = model.graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*parts.input, *parts.value_info, *parts.output)
    } | {weight.name: weight.data_type for weight in parts.initializer}
    constants = {weight.name: weight for weight in parts.initializer}
    interface = {value.name for value in (*parts.input, *parts.output)}
    for node in parts.node:
        listed = LISTS[release].get(node.op_type, set())
        dtypes = [types[name] for name in node.input[:1]]
        if node.op_type == "Cast":
            dtypes.append(types[node.output[0]])
        names = [TensorProto.DataType.Name(dtype) for dtype in dtypes if dtype not in listed]
        found += [f"{node.name}: {node.op_type} of {name}" for name in names]
        found += [f"{node.name}: {fault}" for fault in _restricted(node, constants)]
    found += [
        f"{name} is UINT8 within the graph"
        for name, dtype in types.items()
        if dtype == TensorProto.UINT8 and name not in interface
    ]
    return found


def _restricted(node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> Iterator[str]:
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if node.op_type == "TopK":
        k = constants.get(node.input[1])
        if not attributes.get("sorted", 1) or k is None or numpy_helper.to_array(k).max() > _MOST_K:
            yield "TopK unsorted, or of too many, or of a number that is computed"
    if node.op_type == "Resize":
        coordinates = attributes.get("coordinate_transformation_mode", b"half_pixel")
        mode = attributes.get("mode", b"nearest")
        if attributes.get("antialias") or mode not in _RESIZE_MODES or coordinates not in _RESIZE_COORDINATES:
            yield f"Resize {mode} {coordinates}"
    if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
        zero = constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is not None and numpy_helper.to_array(zero).any():
            yield "a zero point that is not 0"
    if node.op_type.startswith("Reduce") and len(node.input) > 1 and node.input[1] not in constants:
        yield "axes that are computed"
