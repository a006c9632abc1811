"""What each operator that a graph may use takes and makes: attributes, element types, shapes.

Every shape must follow from the graph's inputs and its constants, so that what an engine will allocate is
known before one sees the graph. Rules as in https://onnx.ai/onnx/operators for opsets 17 to 21; forms that
no detector needs (crops inside Resize, blocked quantisation, training) are left out and so refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from catseye.runtime import onnx_rules, onnx_windows
from catseye.runtime.onnx_tensors import (
    ANY,
    BOOLS,
    FLOATS,
    INT32,
    NUMBERS,
    QUANTISED,
    Node,
    Tensor,
    require_type,
)
from catseye.runtime.protobuf import RefusedMessageError

Rule = Callable[[Node], Sequence[Tensor]]
Kind = str | tuple[str, ...]
"""Of an attribute: ``int``, ``float``, ``ints``, ``tensor``, or the strings that it may be."""


@dataclass(frozen=True)
class Operator:
    """Args:
    rule: a node to what it makes.
    types: that its first input may have.
    inputs: at least and at most.
    attributes: it may have, each with its kind.
    outputs: at most.
    """

    rule: Rule
    types: frozenset[int] = FLOATS
    inputs: tuple[int, int] = (1, 1)
    attributes: Mapping[str, Kind] | None = None
    outputs: int = 1


def infer(node: Node) -> Sequence[Tensor]:
    """What a node makes.

    Raises:
        RefusedMessageError: its operator is not known here, or does not take what the node gives it, or what
        it makes would depend on more than shapes and constants.
    """
    operator = OPERATORS[node.operator]
    fewest, most = operator.inputs
    if not fewest <= len(node.inputs) <= most or None in node.inputs[:fewest]:
        raise RefusedMessageError(f"has {len(node.given())} inputs, not {fewest} to {most}")
    if not 1 <= node.outputs <= operator.outputs:
        raise RefusedMessageError(f"has {node.outputs} outputs, not 1 to {operator.outputs}")
    for name, value in node.attributes.items():
        kind = (operator.attributes or {}).get(name)
        if kind is None or not _fits(value, kind):
            raise RefusedMessageError(f"has attribute {name!r} of a kind or value that is not known")
    if node.inputs and node.inputs[0] is not None:
        require_type(node.inputs[0], operator.types)
    made = operator.rule(node)
    fixed = all(tensor.constant for tensor in node.given())
    return [Tensor(tensor.dtype, tensor.shape, fixed, tensor.values) for tensor in made]


def _fits(value: object, kind: Kind) -> bool:
    if isinstance(kind, tuple):
        return value in kind
    return isinstance(value, {"int": int, "float": float, "ints": tuple, "tensor": Tensor}[kind])


_AUTO_PAD = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
_WINDOW: dict[str, Kind] = {"kernel_shape": "ints", "strides": "ints", "dilations": "ints", "pads": "ints"}
_POOL: dict[str, Kind] = {**_WINDOW, "auto_pad": _AUTO_PAD, "ceil_mode": "int"}
_AXIS: dict[str, Kind] = {"axis": "int"}
_REDUCTION: dict[str, Kind] = {"axes": "ints", "keepdims": "int", "noop_with_empty_axes": "int"}
_QUANTISATION: dict[str, Kind] = {"axis": "int", "saturate": "int"}
_MANY = 1 << 12


def _each(names: str, operator: Operator) -> dict[str, Operator]:
    return dict.fromkeys(names.split(), operator)


OPERATORS: Mapping[str, Operator] = {
    **_each(
        "Ceil Cos Erf Exp Floor HardSwish Log Reciprocal Round Sigmoid Sin Softplus Sqrt Tanh",
        Operator(onnx_rules.same),
    ),
    **_each("Neg Relu", Operator(onnx_rules.same, NUMBERS)),
    **_each("Elu LeakyRelu", Operator(onnx_rules.same, attributes={"alpha": "float"})),
    "HardSigmoid": Operator(onnx_rules.same, attributes={"alpha": "float", "beta": "float"}),
    "Identity": Operator(onnx_rules.same, ANY),
    "Not": Operator(onnx_rules.same, BOOLS),
    **_each("Add Mul Sub", Operator(onnx_rules.elementwise, NUMBERS, (2, 2))),
    "Div": Operator(onnx_rules.division, NUMBERS, (2, 2)),
    "Mod": Operator(onnx_rules.division, NUMBERS, (2, 2), {"fmod": "int"}),
    "Pow": Operator(onnx_rules.power, NUMBERS, (2, 2)),
    **_each("Max Min", Operator(onnx_rules.elementwise, NUMBERS, (1, _MANY))),
    **_each("And Or Xor", Operator(onnx_rules.elementwise, BOOLS, (2, 2))),
    "Equal": Operator(onnx_rules.comparison, ANY, (2, 2)),
    **_each("Greater GreaterOrEqual Less LessOrEqual", Operator(onnx_rules.comparison, NUMBERS, (2, 2))),
    "Where": Operator(onnx_rules.where, BOOLS, (3, 3)),
    "Clip": Operator(onnx_rules.clip, NUMBERS, (1, 3)),
    "PRelu": Operator(onnx_rules.prelu, inputs=(2, 2)),
    "Cast": Operator(onnx_rules.cast, ANY, attributes={"to": "int", "saturate": "int"}),
    "Constant": Operator(
        onnx_rules.constant_value,
        inputs=(0, 0),
        attributes={"value": "tensor", "value_int": "int", "value_ints": "ints", "value_float": "float"},
    ),
    **_each(
        "ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum",
        Operator(onnx_rules.reduction, NUMBERS, (1, 2), _REDUCTION),
    ),
    "ArgMax": Operator(
        onnx_rules.arg_max, NUMBERS, attributes={**_AXIS, "keepdims": "int", "select_last_index": "int"}
    ),
    "TopK": Operator(
        onnx_rules.top_k, NUMBERS, (2, 2), {**_AXIS, "largest": "int", "sorted": "int"}, outputs=2
    ),
    "Softmax": Operator(onnx_rules.axis_kept, attributes=_AXIS),
    "BatchNormalization": Operator(
        onnx_rules.batch_normalization, inputs=(5, 5), attributes={"epsilon": "float", "momentum": "float"}
    ),
    "InstanceNormalization": Operator(
        onnx_rules.batch_normalization, inputs=(3, 3), attributes={"epsilon": "float"}
    ),
    "LayerNormalization": Operator(
        onnx_rules.layer_normalization,
        inputs=(2, 3),
        attributes={**_AXIS, "epsilon": "float", "stash_type": "int"},
    ),
    "Conv": Operator(
        onnx_windows.convolution, inputs=(2, 3), attributes={**_WINDOW, "auto_pad": _AUTO_PAD, "group": "int"}
    ),
    "ConvTranspose": Operator(
        onnx_windows.transposed_convolution,
        inputs=(2, 3),
        attributes={**_WINDOW, "auto_pad": ("NOTSET",), "group": "int", "output_padding": "ints"},
    ),
    "AveragePool": Operator(onnx_windows.pooling, attributes={**_POOL, "count_include_pad": "int"}),
    "MaxPool": Operator(
        onnx_windows.pooling, FLOATS | QUANTISED, attributes={**_POOL, "storage_order": "int"}
    ),
    "GlobalAveragePool": Operator(onnx_windows.global_pooling),
    "MatMul": Operator(onnx_rules.matrix_product, inputs=(2, 2)),
    "Gemm": Operator(
        onnx_rules.gemm,
        inputs=(2, 3),
        attributes={"alpha": "float", "beta": "float", "transA": "int", "transB": "int"},
    ),
    "Concat": Operator(onnx_rules.concat, ANY, (1, _MANY), _AXIS),
    "Split": Operator(onnx_rules.split, ANY, (1, 2), {**_AXIS, "num_outputs": "int"}, outputs=_MANY),
    "Slice": Operator(onnx_rules.sliced, ANY, (3, 5)),
    "Pad": Operator(onnx_rules.pad, ANY, (2, 4), {"mode": ("constant", "reflect", "edge")}),
    "Gather": Operator(onnx_rules.gather, ANY, (2, 2), _AXIS),
    "GatherElements": Operator(onnx_rules.gather_elements, ANY, (2, 2), _AXIS),
    "GridSample": Operator(
        onnx_rules.grid_sample,
        inputs=(2, 2),
        attributes={
            "align_corners": "int",
            "mode": ("bilinear", "linear", "nearest", "bicubic", "cubic"),
            "padding_mode": ("zeros", "border", "reflection"),
        },
    ),
    "Reshape": Operator(onnx_rules.reshape, ANY, (2, 2), {"allowzero": "int"}),
    "Flatten": Operator(onnx_rules.flatten, ANY, attributes=_AXIS),
    "Squeeze": Operator(onnx_rules.squeeze, ANY, (1, 2)),
    "Unsqueeze": Operator(onnx_rules.unsqueeze, ANY, (2, 2)),
    "Transpose": Operator(onnx_rules.transpose, ANY, attributes={"perm": "ints"}),
    "Expand": Operator(onnx_rules.expand, ANY, (2, 2)),
    "Resize": Operator(
        onnx_rules.resize,
        NUMBERS,
        (1, 4),
        {
            "antialias": "int",
            "coordinate_transformation_mode": (
                "half_pixel",
                "half_pixel_symmetric",
                "pytorch_half_pixel",
                "align_corners",
                "asymmetric",
            ),
            "cubic_coeff_a": "float",
            "exclude_outside": "int",
            "extrapolation_value": "float",
            "keep_aspect_ratio_policy": ("stretch",),
            "mode": ("nearest", "linear", "cubic"),
            "nearest_mode": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
        },
    ),
    "QuantizeLinear": Operator(
        onnx_rules.quantize, inputs=(2, 3), attributes={**_QUANTISATION, "output_dtype": "int"}
    ),
    "DequantizeLinear": Operator(onnx_rules.dequantize, QUANTISED | {INT32}, (2, 3), _QUANTISATION),
}
"""Operators a graph may use: without control flow, and without any that allocates at will.

Graphs of our own have no GridSample, which TensorRT has miscomputed; wrapped transformers cannot do without,
and a plan is good only where the proof says so.
"""
