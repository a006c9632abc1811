"""Batch normalisation folded into the convolution behind it changes nothing but the graph."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from catseye.export.folding import fold_normalisation


def model_of(*, size: int, pads: int, bias: bool, read_twice: bool = False) -> onnx.ModelProto:
    """BatchNormalization of 4 channels, then a convolution to 3."""
    rng = np.random.default_rng(0)
    weights = {
        "scale": rng.uniform(0.5, 2, 4),
        "shift": rng.normal(size=4),
        "mean": rng.normal(size=4),
        "variance": rng.uniform(0.1, 3, 4),
        "weight": rng.normal(size=(3, 4, size, size)),
        "bias": rng.normal(size=3),
    }
    inputs = ["normal", "weight", *(["bias"] if bias else [])]
    nodes = [
        helper.make_node(
            "BatchNormalization",
            ["x", "scale", "shift", "mean", "variance"],
            ["normal"],
            name="n",
            epsilon=1e-3,
        ),
        helper.make_node("Conv", inputs, ["y"], name="c", pads=[pads] * 4),
        *([helper.make_node("Relu", ["normal"], ["z"], name="r")] if read_twice else []),
    ]
    outputs = ["y", *(["z"] if read_twice else [])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 5, 6))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(1, 4, 5, 6)).astype(np.float32)
    return np.asarray(session.run(["y"], {"x": x})[0])


@pytest.mark.parametrize("bias", [False, True])
def test_the_same_numbers_without_normalisation(bias: bool) -> None:
    model = model_of(size=1, pads=0, bias=bias)
    expected = run(model)
    fold_normalisation(model)
    assert Counter(node.op_type for node in model.graph.node) == {"Conv": 1}
    assert len(model.graph.initializer) == 2
    np.testing.assert_allclose(run(model), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"size": 1, "pads": 1}, {"size": 3, "pads": 0}, {"size": 1, "pads": 0, "read_twice": True}],
)
def test_what_cannot_be_folded_stays(options: dict[str, int]) -> None:
    model = model_of(bias=True, **options)  # type: ignore[arg-type]  # a dictionary of mixed values
    before = model.SerializeToString(deterministic=True)
    fold_normalisation(model)
    assert model.SerializeToString(deterministic=True) == before
