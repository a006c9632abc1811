"""fp16: which tensors are, which are not, and that nothing overflows."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from catseye.errors import UsageError
from catseye.export.half import LARGEST, to_half
from catseye.export.onnx_files import inferred
from catseye.export.onnx_graph import GraphIndex
from catseye.runtime.bundle import Bundle
from catseye.runtime.engines.base import INPUT_NAME
from catseye.runtime.engines.onnxruntime import make_session, run_session


def index_of(graph: bytes) -> GraphIndex:
    return GraphIndex(inferred(onnx.load_from_string(graph)))


def test_layers_are_half_and_what_prepares_and_decodes_is_single(exported: Bundle) -> None:
    index = index_of(exported.graph("fp16"))
    layers = [node for node in index.nodes if node.op_type == "Conv"]
    assert len(layers) > 20
    for node in layers:
        assert {index.types[name] for name in (*node.input, *node.output)} == {TensorProto.FLOAT16}, node.name
    single = ("Sigmoid", "Exp", "Reciprocal", "TopK", "ReduceL2", "Softplus", "Sub", "GatherElements")
    decoding = [node for node in index.nodes if node.op_type in single or node.name.startswith("decode/")]
    assert {node.op_type for node in decoding} >= set(single)
    for node in decoding:
        assert TensorProto.FLOAT16 not in {index.types.get(name) for name in (*node.input, *node.output)}


def test_casts_are_few_and_named_after_what_they_follow(exported: Bundle) -> None:
    index = index_of(exported.graph("fp16"))
    added = [node.name for node in index.nodes if node.name.endswith(("/to_half", "/to_single"))]
    assert "network/encoder/Div/to_half" in added
    assert len(added) == 1 + len(index.predictors())
    assert len({node.name for node in index.nodes}) == len(index.nodes)


def test_weights_take_half_the_bytes(exported: Bundle) -> None:
    assert len(exported.graph("fp16")) < 0.55 * len(exported.graph("fp32"))


def chain(first: float, second: float) -> bytes:
    """Two layers of one weight each, with ReLU between, from bytes to float32."""
    nodes = [
        ("Cast", ["frames"], "levels", {"to": TensorProto.FLOAT}),
        ("Transpose", ["levels"], "planes", {"perm": [0, 3, 1, 2]}),
        ("Conv", ["planes", "first"], "large", {}),
        ("Relu", ["large"], "active", {}),
        ("Conv", ["active", "second"], "last", {}),
        ("Exp", ["last"], "boxes", {}),
    ]
    weights = {"first": first, "second": second}
    graph = helper.make_graph(
        [helper.make_node(op, ins, [out], name=f"n/{op}_{out}", **more) for op, ins, out, more in nodes],
        "chain",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, (1, 2, 2, 1))],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, (1, 1, 2, 2))],
        [
            numpy_helper.from_array(np.full((1, 1, 1, 1), value, dtype=np.float32), name)
            for name, value in weights.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize(
    ("first", "second", "largest", "single"),
    [
        (1e3, 1e-6, {"large": 2.55e5, "active": 2.55e5}, {"n/Conv_large", "n/Relu_active", "n/Conv_last"}),
        (1e-3, 1e5, {"large": 0.255}, {"n/Conv_last"}),
        (1e-3, 1.0, {"large": float("nan")}, {"n/Conv_large", "n/Relu_active"}),
        (1e-3, 1.0, {"large": LARGEST}, set()),
    ],
)
def test_what_would_overflow_stays_single(
    first: float, second: float, largest: dict[str, float], single: set[str]
) -> None:
    graph = chain(first, second)
    half = to_half(graph, largest=largest)
    index = index_of(half)
    middle = {"n/Conv_large", "n/Relu_active", "n/Conv_last"}
    found = {node.name for node in index.nodes if index.types[node.output[0]] == TensorProto.FLOAT} & middle
    assert found == single
    frames = {INPUT_NAME: np.full((1, 2, 2, 1), 255, dtype=np.uint8)}
    expected, made = (run_session(make_session(each), frames)["boxes"] for each in (graph, half))
    np.testing.assert_allclose(made, expected, rtol=1e-3)


def test_named_nodes_stay_single(exported: Bundle) -> None:
    name = "network/encoder/body/layer1/0/bn1/Conv"
    half = index_of(to_half(exported.graph("fp32"), largest={}, float_nodes=frozenset({name})))
    (node,) = [node for node in half.nodes if node.name == name]
    assert {half.types[each] for each in (*node.input, *node.output)} == {TensorProto.FLOAT}


def test_name_that_is_no_node_is_refused(exported: Bundle) -> None:
    with pytest.raises(UsageError, match="float_nodes names 'nothing'"):
        to_half(exported.graph("fp32"), largest={}, float_nodes=frozenset({"nothing"}))
