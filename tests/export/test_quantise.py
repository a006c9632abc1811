"""int8: what is quantised, by what scale, and that it is placed as TensorRT fuses it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from catseye.errors import UsageError
from catseye.export.onnx_files import inferred
from catseye.export.onnx_graph import GraphIndex
from catseye.export.quantise import quantisable_layers, quantise, quantised_tensors
from catseye.runtime.bundle import Bundle
from catseye.runtime.engines.base import EngineOutput
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine, make_session, run_session
from catseye.runtime.network_input import first_frames
from catseye.runtime.proof import replay
from catseye.runtime.verification import golden_inputs


@pytest.fixture(scope="module")
def index(exported: Bundle) -> GraphIndex:
    return GraphIndex(inferred(onnx.load_from_string(exported.graph("int8"))))


def array_of(index: GraphIndex, name: str) -> np.ndarray:
    return numpy_helper.to_array(index.constants[name])


def test_every_layer_but_the_last_has_quantised_input_and_weights(
    index: GraphIndex, exported: Bundle
) -> None:
    layers = [node for node in index.nodes if node.op_type == "Conv"]
    quantised = [node for node in layers if index.makers[node.input[0]].op_type == "DequantizeLinear"]
    assert [node.name for node in quantised] == list(quantisable_layers(exported.graph("fp32")))
    assert {node.name for node in layers} - {node.name for node in quantised} == index.predictors()
    for node in quantised:
        assert index.makers[node.input[1]].op_type == "DequantizeLinear"


def test_weights_have_a_scale_for_each_output_channel(index: GraphIndex, exported: Bundle) -> None:
    original = {
        weight.name: numpy_helper.to_array(weight)
        for weight in onnx.load_from_string(exported.graph("fp32")).graph.initializer
    }
    restoring = [node for node in index.nodes if node.name.endswith("/weight/DequantizeLinear")]
    assert len(restoring) > 20
    for node in restoring:
        levels, scales, zeros = (array_of(index, name) for name in node.input)
        assert (levels.dtype, zeros.dtype, scales.dtype) == (np.int8, np.int8, np.float32)
        assert scales.shape == zeros.shape == levels.shape[:1]
        assert not zeros.any()
        assert levels.min() >= -127
        values = original[node.output[0].removesuffix(":restored")]
        error = np.abs(levels * scales[:, None, None, None] - values).max(axis=(1, 2, 3))
        assert (error <= 0.5001 * scales).all()


def test_activations_have_one_scale_and_no_zero_point(index: GraphIndex) -> None:
    pairs = [node for node in index.nodes if node.op_type == "QuantizeLinear"]
    for node in pairs:
        scale, zero = (array_of(index, name) for name in node.input[1:])
        assert (scale.shape, zero.shape, zero.dtype, int(zero)) == ((), (), np.int8, 0)
        (after,) = index.readers[node.output[0]]
        assert (after.op_type, list(after.input[1:])) == ("DequantizeLinear", list(node.input[1:]))
    names = [node.name for node in index.nodes]
    assert len(set(names)) == len(names)
    assert "network/encoder/body/layer1/0/act1/Relu/QuantizeLinear" in names


def test_no_bias_is_int32(index: GraphIndex) -> None:
    """TensorRT reads none."""
    layers = [node for node in index.nodes if node.op_type == "Conv" and len(node.input) == 3]
    assert len(layers) > 20
    assert {index.types[node.input[2]] for node in layers} == {TensorProto.FLOAT}
    assert TensorProto.INT32 not in {weight.data_type for weight in index.constants.values()}


def test_a_sum_takes_its_own_convolution_as_it_is_and_the_other_path_quantised(index: GraphIndex) -> None:
    sums = [
        node for node in index.nodes if node.name.startswith("network/encoder/") and node.op_type == "Add"
    ]
    assert len(sums) >= 4
    for node in sums:
        made_by = sorted(index.makers[name].op_type for name in node.input)
        assert made_by == ["Conv", "DequantizeLinear"], node.name
        (after,) = index.readers[node.output[0]]
        assert after.op_type == "Relu"


def test_topk_and_decoding_read_nothing_quantised(index: GraphIndex) -> None:
    decoding = index.epilogue()
    assert "decode/TopK" in decoding
    for node in index.nodes:
        if node.name in decoding:
            assert not [name for name in node.input if name.endswith((":restored", ":levels"))], node.name


def test_a_processor_restores_weights_once_and_computes_what_is_written(
    exported: Bundle, index: GraphIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, frames = exported.graph("int8"), golden_inputs(exported)
    options, optimised = onnxruntime.SessionOptions, tmp_path / "optimised.onnx"

    def untouched() -> Any:
        made = options()
        made.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return made

    def kept() -> Any:
        made = options()
        made.optimized_model_filepath = str(optimised)
        return made

    monkeypatch.setattr(onnxruntime, "SessionOptions", untouched)
    expected = replay(OnnxRuntimeEngine(graph, threads=1), frames, batch=1)
    monkeypatch.setattr(onnxruntime, "SessionOptions", kept)
    found = replay(OnnxRuntimeEngine(graph, precision="int8", threads=1), frames, batch=1)
    operators = Counter(node.op_type for node in onnx.load(optimised).graph.node)
    pairs = [node for node in index.nodes if node.op_type == "QuantizeLinear"]
    assert operators["DequantizeLinear"] == operators["QuantizeLinear"] == len(pairs)
    assert not any(name.startswith("QLinear") for name in operators)
    # Sums in another order move a level here and there, which is little beside what levels do.
    unquantised = replay(OnnxRuntimeEngine(exported.graph("fp32"), threads=1), frames, batch=1)
    assert _apart(found, expected) < 0.5 * _apart(unquantised, expected)


def _apart(one: EngineOutput, other: EngineOutput) -> float:
    """Mean difference of depth, which each place has, as a share."""
    assert one.depth is not None and other.depth is not None
    return float(np.abs(one.depth / other.depth - 1).mean())


def test_named_layers_stay_float(exported: Bundle) -> None:
    graph = exported.graph("fp32")
    layers = quantisable_layers(graph)
    kept = frozenset(layers[:3])
    names = quantised_tensors(graph, float_nodes=kept)
    assert len(names) < len(quantised_tensors(graph))
    for layer in layers[::8]:
        alone = quantised_tensors(graph, float_nodes=frozenset(layers) - {layer})
        assert 1 <= len(alone) <= 2
        assert set(alone) <= set(quantised_tensors(graph))
    index = GraphIndex(
        inferred(onnx.load_from_string(quantise(graph, dict.fromkeys(names, 1.0), float_nodes=kept)))
    )
    nodes = {node.name: node for node in index.nodes}
    assert all(nodes[name].input[1] in index.constants for name in kept)
    assert all(nodes[name].input[1] not in index.constants for name in layers[3:])
    with pytest.raises(UsageError, match="float_nodes names 'nothing'"):
        quantised_tensors(graph, float_nodes=frozenset({"nothing"}))


def test_all_left_float_is_the_graph_itself(exported: Bundle) -> None:
    graph = exported.graph("fp32")
    same = quantise(graph, {}, float_nodes=frozenset(quantisable_layers(graph)))
    frames = first_frames(golden_inputs(exported), 1)
    expected, found = (run_session(make_session(each, threads=1), frames) for each in (graph, same))
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
