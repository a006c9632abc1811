"""Hostile and broken models are refused by our own reader, with the reason, in bounded time and memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from catseye.errors import InputError
from catseye.runtime import protobuf
from catseye.runtime.bundle import open_bundle
from catseye.runtime.onnx_operators import OPERATORS
from catseye.runtime.onnx_reader import Value, check_model


def small_model() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Add", ["x", "w"], ["sum"], name="first"),
        helper.make_node("Clip", ["sum", "low"], ["y"], name="second"),
    ]
    weights = [
        numpy_helper.from_array(np.ones((2, 3), dtype=np.float32), "w"),
        numpy_helper.from_array(np.float32(0), "low"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 3))],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def check(model: onnx.ModelProto) -> object:
    return check_model(model.SerializeToString(), subject="x.onnx")


def test_summary_of_a_sound_model() -> None:
    summary = check_model(small_model().SerializeToString(), subject="x.onnx")
    assert summary.inputs == (Value("x", "float32", (2, 3)),)
    assert summary.outputs == (Value("y", "float32", (2, 3)),)
    assert (summary.opset, summary.weights_bytes) == (18, 28)
    assert summary.operators == {"Add": 1, "Clip": 1}


def external_data(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.external_data.add(key="location", value="/etc/passwd")


def external_location(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def declared_10_gb(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [10, 1024, 1024, 256]


def input_of_10_gb(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 10**10


def overflowing_dims(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**62, 2**62, 4]


def negative_dims(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [-2, -3]


def short_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2, 4]


def typed_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(helper.make_tensor("w", TensorProto.FLOAT, (2, 3), [1.0] * 6))


def text_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(helper.make_tensor("w", TensorProto.STRING, (1,), [b"x"]))


def oversize_attribute(model: onnx.ModelProto) -> None:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[2**40])
    model.graph.node[0].attribute.append(helper.make_attribute("value", tensor))


def nested_graph(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("body", small_model().graph))


def nested_graphs(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("bodies", [small_model().graph]))


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "NonZero"


def loop(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Loop"


def unknown_domain(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"


def custom_operator_set(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def future_operator_set(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def no_operator_set(model: onnx.ModelProto) -> None:
    del model.opset_import[:]


def cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "y"


def made_twice(model: onnx.ModelProto) -> None:
    model.graph.node[1].output[0] = "sum"


def weight_as_output(model: onnx.ModelProto) -> None:
    model.graph.node[1].output[0] = "w"


def same_weight_twice(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[0])


def output_from_nowhere(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "z"


def named_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"


def sequence_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, (2, 3)))


def sparse_weight(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().dims[:] = [2, 3]


def function(model: onnx.ModelProto) -> None:
    model.functions.add(name="f")


def training(model: onnx.ModelProto) -> None:
    model.training_info.add()


def many_nodes(model: onnx.ModelProto) -> None:
    node = helper.make_node("Relu", ["x"], [""], name="n")
    model.graph.node.extend([node] * 20_001)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (external_data, "keeps weights in another file"),
        (external_location, "keeps weights in another file"),
        (declared_10_gb, "declares 10737418240 bytes"),
        (input_of_10_gb, "declares 120000000000 bytes"),
        (overflowing_dims, "declares"),
        (negative_dims, "no fixed shape"),
        (short_weight, "declares 32 bytes and carries 24"),
        (typed_weight, "field 4, which is not allowed"),
        (text_weight, "field 6, which is not allowed"),
        (oversize_attribute, "declares 4398046511104 bytes"),
        (nested_graph, "node 'first' has a graph inside it"),
        (nested_graphs, "node 'first' has graphs inside it"),
        (unknown_operator, "node 'first' uses operator ::NonZero"),
        (loop, "::Loop"),
        (unknown_domain, "com.example::Add"),
        (custom_operator_set, "operator sets"),
        (future_operator_set, "operator set 99"),
        (no_operator_set, "operator sets"),
        (cycle, "reads 'y' before any node makes it"),
        (made_twice, "makes 'sum' a second time"),
        (weight_as_output, "makes 'w' a second time"),
        (same_weight_twice, "two inputs or weights of one name"),
        (output_from_nowhere, "declares 'z', which no node makes"),
        (named_size, "has a size that is not fixed"),
        (sequence_input, "field 4"),
        (sparse_weight, "has sparse tensors"),
        (function, "has functions"),
        (training, "has a training graph"),
        (many_nodes, "20003 nodes"),
    ],
)
def test_spoilt_model_is_refused(spoil: Callable[[onnx.ModelProto], None], said: str) -> None:
    model = small_model()
    check(model)
    spoil(model)
    with pytest.raises(InputError) as refused:
        check(model)
    assert said in str(refused.value)
    assert str(refused.value).startswith("x.onnx: ")
    assert "\n" not in str(refused.value)


def test_weight_said_twice_is_refused() -> None:
    """Readers differ on which of two values counts."""
    content = small_model().SerializeToString()
    with pytest.raises(InputError, match="has 'graph' twice"):
        check_model(content + onnx.ModelProto(graph=small_model().graph).SerializeToString(), subject="x")


def test_endless_fields_cost_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "MAX_FIELDS", 10_000)
    content = small_model().SerializeToString() + b"\x72\x00" * 1_000_000
    tracemalloc.start()
    with pytest.raises(InputError, match="more than 10000 fields"):
        check_model(content, subject="x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_weights_are_not_copied() -> None:
    model = small_model()
    large = np.zeros((1 << 22,), dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(large, "large"))
    content = model.SerializeToString()
    tracemalloc.start()
    check_model(content, subject="x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(content) / 10


def test_model_cut_off_anywhere_is_refused() -> None:
    content = small_model().SerializeToString()
    for length in range(len(content)):
        with pytest.raises(InputError):
            check_model(content[:length], subject="x")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_with_one_line(content: bytes) -> None:
    with pytest.raises(InputError):
        check_model(content, subject="x")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_changed_model_is_refused_or_still_sound(data: st.DataObject) -> None:
    content = bytearray(small_model().SerializeToString())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    try:
        summary = check_model(bytes(content), subject="x")
    except InputError:
        return
    assert set(summary.operators) <= set(OPERATORS)
    assert summary.weights_bytes == 28


def test_the_bundle_is_held_to_it(tiny_bundle: Path) -> None:
    summary = check_model(open_bundle(tiny_bundle).graph(), subject="tiny")
    assert [value.name for value in summary.outputs] == ["boxes", "scores", "classes", "embeddings", "depth"]
