"""Shapes and types of our own agree with ONNX's inference, and memory alive at once with arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from catseye.errors import InputError
from catseye.runtime import onnx_reader
from catseye.runtime.onnx_operators import OPERATORS
from catseye.runtime.onnx_reader import GraphSummary, check_model

FLOAT, INT64, BOOL, HALF = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT16
Case = tuple[str, Sequence[Any], Mapping[str, Any]]


def model(
    operator: str, inputs: Sequence[Any], attributes: Mapping[str, Any], *, outputs: int = 1, opset: int = 18
) -> onnx.ModelProto:
    """One node. A tuple is an input of that shape, with a type before it where it is not float; an array is a
    constant; None is left out."""
    names, values, weights = [], [], []
    for index, given in enumerate(inputs):
        name = f"x{index}"
        names.append("" if given is None else name)
        if isinstance(given, np.ndarray | np.generic):
            weights.append(numpy_helper.from_array(np.asarray(given), name))
        elif given is not None:
            data_type, shape = given if isinstance(given[-1], tuple) else (FLOAT, given)
            values.append(helper.make_tensor_value_info(name, data_type, shape))
    made = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(operator, names, made, name="it", **attributes)
    graph = helper.make_graph([node], "g", values, [], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


CASES: list[Case] = [
    ("Add", [(2, 1, 3), (4, 1)], {}),
    ("Pow", [(2, 3), np.float32(2)], {}),
    ("Max", [(2, 3), (3,), (1, 1)], {}),
    ("Div", [(INT64, (2, 3)), ints(2)], {}),
    ("Equal", [(INT64, (2, 3)), (INT64, (3,))], {}),
    ("Where", [(BOOL, (3,)), (2, 3), (1,)], {}),
    ("Clip", [(2, 3), np.float32(0), None], {}),
    ("Cast", [(2, 3)], {"to": INT64}),
    ("Sigmoid", [(HALF, (2, 3))], {}),
    ("ReduceMean", [(2, 3, 4), ints(-1, 0)], {"keepdims": 0}),
    ("ReduceMax", [(2, 3, 4)], {}),
    ("ReduceSum", [(2, 3, 4)], {"noop_with_empty_axes": 1}),
    ("ArgMax", [(2, 3, 4)], {"axis": -2, "keepdims": 0}),
    ("TopK", [(2, 30), ints(7)], {"axis": 1}),
    ("Softmax", [(2, 30)], {}),
    ("BatchNormalization", [(2, 3, 4, 4), (3,), (3,), (3,), (3,)], {}),
    ("LayerNormalization", [(2, 3, 4), (4,), (4,)], {}),
    ("Conv", [(2, 6, 17, 19), (4, 3, 3, 5), (4,)], {"group": 2, "strides": [2, 3], "pads": [1, 2, 0, 1]}),
    ("Conv", [(2, 6, 17, 19), (4, 6, 3, 3)], {"dilations": [2, 3]}),
    ("Conv", [(2, 6, 17, 19), (4, 6, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("Conv", [(2, 6, 17, 19), (4, 6, 3, 3)], {"auto_pad": "VALID", "strides": [2, 2]}),
    (
        "ConvTranspose",
        [(2, 6, 5, 7), (6, 3, 3, 3)],
        {"strides": [2, 3], "output_padding": [1, 2], "group": 2},
    ),
    ("ConvTranspose", [(2, 6, 5, 7), (6, 3, 2, 2)], {"pads": [1, 0, 0, 1], "dilations": [2, 1]}),
    ("MaxPool", [(2, 3, 17, 19)], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
    ("MaxPool", [(2, 3, 7, 8)], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    ("AveragePool", [(2, 3, 8, 8)], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("GlobalAveragePool", [(2, 3, 8, 8)], {}),
    ("MatMul", [(5, 1, 2, 3), (4, 3, 7)], {}),
    ("Gemm", [(3, 2), (7, 3), (7,)], {"transA": 1, "transB": 1}),
    ("Concat", [(2, 3), (2, 4)], {"axis": -1}),
    ("Slice", [(9, 9), ints(1, -1), ints(2**62, -10), ints(0, 1), ints(3, -2)], {}),
    ("Slice", [(9, 9), ints(-5), ints(-1)], {}),
    ("Pad", [(4, 5), ints(1, -1, 2, 0)], {}),
    ("Pad", [(4, 5), ints(1, 2), None, ints(1)], {"mode": "reflect"}),
    ("Gather", [(4, 5, 6), (INT64, (2, 3))], {"axis": 1}),
    ("GatherElements", [(4, 5), (INT64, (4, 2))], {"axis": 1}),
    ("GridSample", [(2, 3, 4, 5), (2, 6, 7, 2)], {"mode": "bilinear"}),
    ("Reshape", [(4, 6), ints(0, 2, -1)], {}),
    ("Flatten", [(2, 3, 4)], {"axis": -1}),
    ("Squeeze", [(1, 3, 1), ints(-1)], {}),
    ("Squeeze", [(1, 3, 1)], {}),
    ("Unsqueeze", [(2, 3), ints(-1, 0)], {}),
    ("Transpose", [(2, 3, 4)], {"perm": [2, 0, 1]}),
    ("Transpose", [(2, 3, 4)], {}),
    ("Expand", [(3, 1), ints(2, 1, 6)], {}),
    ("Resize", [(1, 3, 7, 9), None, np.array([1, 1, 1.5, 2], np.float32)], {"mode": "linear"}),
    ("Resize", [(1, 3, 7, 9), None, None, ints(1, 3, 5, 4)], {}),
    ("QuantizeLinear", [(2, 3), np.float32(0.1), np.int8(0)], {}),
    ("QuantizeLinear", [(2, 3), np.ones(3, np.float32), np.zeros(3, np.int8)], {"axis": 1}),
    (
        "DequantizeLinear",
        [np.zeros((4, 3, 2, 2), np.int8), np.ones(4, np.float32), np.zeros(4, np.int8)],
        {"axis": 0},
    ),
    ("DequantizeLinear", [(TensorProto.UINT8, (2, 3)), np.float32(0.1)], {}),
    ("Constant", [], {"value": numpy_helper.from_array(np.ones((2, 3), np.float32))}),
    ("Constant", [], {"value_ints": [1, 2]}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_agrees_with_onnx(case: Case) -> None:
    operator, inputs, attributes = case
    graph = model(operator, inputs, attributes, outputs=2 if operator == "TopK" else 1)
    onnx.checker.check_model(graph)
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True, data_prop=True)
    values = list(inferred.graph.value_info)
    assert len(values) == len(graph.graph.node[0].output)
    # The reader refuses a value that claims another type or shape than its own.
    assert check_model(inferred.SerializeToString(), subject="x").operators == {operator: 1}
    for value in values:
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    inferred.graph.ClearField("value_info")
    inferred.graph.value_info.extend(values)
    with pytest.raises(InputError, match="of element type 11"):
        check_model(inferred.SerializeToString(), subject="x")


REFUSED: list[tuple[Case, str]] = [
    (("Add", [(2, 3), (2, 4)], {}), r"\(Add\) does not fit shapes \(2, 3\) and \(2, 4\)"),
    (("Add", [(2, 3), (HALF, (2, 3))], {}), "tensors of different element types"),
    (("Div", [(INT64, (2, 3)), ints(0)], {}), "divides integers by what is no positive constant"),
    (("Mod", [(INT64, (2, 3)), (INT64, (2, 3))], {}), "divides integers by what is no positive constant"),
    (("TopK", [(2, 30), (INT64, (1,))], {}), "input 1, which is no short list of constants"),
    (("TopK", [(2, 30), ints(31)], {}), "does not fit"),
    (("Reshape", [(2, 30), (INT64, (2,))], {}), "input 1, which is no short list of constants"),
    (("Expand", [(1, 1), ints(2**20, 2**20)], {}), "declares 4398046511104 bytes"),
    (("Expand", [(1, 1), ints(0, 1)], {}), "makes an empty tensor"),
    (
        ("Resize", [(1, 3, 7, 9), None, np.array([1, 1, 1e9, 1], np.float32)], {}),
        "declares 756000000000 bytes",
    ),
    (("Resize", [(1, 3, 7, 9), None, np.array([1, 1, np.nan, 1], np.float32)], {}), "scales by"),
    (("Pad", [(4, 5), ints(0, 0, 2**40, 0)], {}), "declares 21990232555600 bytes"),
    (("Conv", [(1, 1, 9, 9), (1, 1, 3, 3)], {"strides": [0, 1]}), "does not fit"),
    (("Conv", [(1, 1, 9, 9), (1, 1, 3, 3)], {"pads": [-1, 0, 0, 0]}), "does not fit"),
    (("Conv", [(1, 1, 9, 9), (1, 1, 3, 3)], {"auto_pad": "EVIL"}), "attribute 'auto_pad'"),
    (("Conv", [(1, 1, 9, 9), (1, 1, 3, 3)], {"strides": 1}), "attribute 'strides'"),
    (("AveragePool", [(1, 1, 9, 9)], {"kernel_shape": [2000] * 2, "pads": [1999] * 4}), "through its window"),
    (("Relu", [(2, 3), (2, 3)], {}), "has 2 inputs, not 1 to 1"),
    (("Relu", [(INT64, (2, 3))], {"alpha": 1.0}), "attribute 'alpha'"),
    (("Gather", [(4, 5), (4,)], {}), "element type 1, which it cannot"),
]


@pytest.mark.parametrize(
    ("case", "said"), REFUSED, ids=lambda case: case[0] if isinstance(case, tuple) else ""
)
def test_what_does_not_fit_or_cannot_be_known_is_refused(case: Case, said: str) -> None:
    operator, inputs, attributes = case
    graph = model(operator, inputs, attributes, outputs=2 if operator == "TopK" else 1)
    with pytest.raises(InputError, match=said) as refused:
        check_model(graph.SerializeToString(), subject="x")
    assert f"node 'it' ({operator})" in str(refused.value)


def test_half_precision_quantised_and_two_inputs_of_bytes_are_read() -> None:
    """What fp16 and int8 exports and the nv12 input are made of."""
    weight, scales, zeros = np.zeros((4, 3, 3, 3), np.int8), np.ones(4, np.float32), np.zeros(4, np.int8)
    one, zero = np.float32(0.1), np.int8(0)
    arrays = {"w": weight, "s": scales, "z": zeros, "one": one, "zero": zero, "to": ints(1, 2, 8, 8)}
    nodes = [
        helper.make_node("Cast", ["y"], ["luma"], to=FLOAT),
        helper.make_node("Cast", ["uv"], ["chroma"], to=FLOAT),
        helper.make_node("Transpose", ["chroma"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Resize", ["planes", "", "", "to"], ["wide"], mode="linear"),
        helper.make_node("Transpose", ["luma"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Concat", ["first", "wide"], ["yuv"], axis=1),
        helper.make_node("QuantizeLinear", ["yuv", "one", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "one", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["kernel"], axis=0),
        helper.make_node("Conv", ["x", "kernel"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Cast", ["c"], ["half"], to=HALF),
        helper.make_node("Relu", ["half"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("y", TensorProto.UINT8, (1, 8, 8, 1)),
            helper.make_tensor_value_info("uv", TensorProto.UINT8, (1, 4, 4, 2)),
        ],
        [helper.make_tensor_value_info("out", HALF, (1, 4, 8, 8))],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    summary = check_model(made.SerializeToString(), subject="x")
    assert [value.shape for value in summary.inputs] == [(1, 8, 8, 1), (1, 4, 4, 2)]
    assert summary.outputs[0].dtype == "float16"


def test_what_is_alive_at_once_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def summary(nodes: list[onnx.NodeProto], output: str) -> GraphSummary:
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", FLOAT, (256,))],
            [helper.make_tensor_value_info(output, FLOAT, (256,))],
            [numpy_helper.from_array(np.ones(256, np.float32), "w")],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        return check_model(made.SerializeToString(), subject="x")

    chain = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
    ]
    fan = [
        *(helper.make_node("Relu", ["x"], [name]) for name in "abc"),
        helper.make_node("Max", list("abc"), ["d"]),
    ]
    constant = [
        helper.make_node("Relu", ["w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Add", ["x", "b"], ["c"]),
    ]
    assert summary(chain, "c").live_bytes == (2 + 2) * 1024  # weight and input, and a node's two ends
    assert summary(fan, "d").live_bytes == (2 + 4) * 1024
    assert summary(constant, "c").live_bytes == (2 + 3) * 1024  # none of which goes
    monkeypatch.setattr(onnx_reader, "MAX_LIVE_BYTES", 5 * 1024)
    with pytest.raises(InputError, match="needs 6144 bytes at once at node ''"):
        summary(fan, "d")


def test_every_operator_has_a_case_or_shares_a_rule_with_one() -> None:
    covered = {OPERATORS[operator].rule for operator, *_ in CASES}
    missing = {name for name, operator in OPERATORS.items() if operator.rule not in covered}
    assert missing <= {"PRelu", "Split"}
