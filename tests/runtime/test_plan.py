"""Plans by the real TensorRT, ahead of time and with no GPU; each refusal is one line."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from catseye.errors import CatseyeError, UsageError
from catseye.runtime.build import build
from catseye.runtime.bundle import open_bundle
from catseye.runtime.plan import build_plan

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None,
    reason="TensorRT for RTX has wheels for x86-64 only: pip install 'catseye[plan-check]'",
)


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: list[onnx.TensorProto],
) -> bytes:
    graph = helper.make_graph(nodes, "bad", inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    content: bytes = made.SerializeToString()
    return content


def transposed_bytes() -> bytes:
    """Frames permuted before they are cast."""
    return model(
        [
            helper.make_node(
                "Transpose", ["frames"], ["planes"], name="prologue/Transpose", perm=[0, 3, 1, 2]
            ),
            helper.make_node("Cast", ["planes"], ["out"], name="prologue/Cast", to=TensorProto.FLOAT),
        ],
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, (1, 8, 8, 3))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, (1, 3, 8, 8))],
        [],
    )


def integer_bias() -> bytes:
    """A bias that a quantizer left as int32."""
    return model(
        [
            helper.make_node(
                "DequantizeLinear", ["bias", "scale", "zero"], ["b"], name="head/DequantizeLinear"
            ),
            helper.make_node("Add", ["x", "b"], ["out"], name="head/Add"),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, (1, 3))],
        [
            numpy_helper.from_array(np.arange(3, dtype=np.int32), "bias"),
            numpy_helper.from_array(np.float32(0.1), "scale"),
            numpy_helper.from_array(np.int32(0), "zero"),
        ],
    )


@needs_rtx
def test_plan_of_a_bundle(tiny_bundle: Path) -> None:
    told: list[int] = []
    reports = build(
        tiny_bundle,
        ahead_of_time=True,
        compute_capabilities=("SM86", "SM89"),
        progress=lambda label, done, total: told.append(done),
    )
    assert [report.compute_capabilities for report in reports] == [("SM86",), ("SM89",)]
    assert all(report.layers > 10 and report.size > 1000 and report.seconds > 0 for report in reports)
    assert told == [0, 1, 2]


@needs_rtx
def test_one_plan_for_several_gpus(tiny_bundle: Path) -> None:
    graph = open_bundle(tiny_bundle).graph()
    plan = build_plan(graph, backend="tensorrt-rtx", compute_capabilities=("SM86", "SM89"))
    assert plan.report.compute_capabilities == ("SM86", "SM89")
    assert plan.report.size == len(plan.content)
    assert plan.timing_cache == b""


@needs_rtx
@pytest.mark.parametrize(
    ("graph", "layer", "reason"),
    [
        (transposed_bytes(), "'prologue/Transpose' (Transpose)", "UInt8"),
        (integer_bias(), "'head/DequantizeLinear' (DequantizeLinear)", "Int32"),
    ],
)
def test_refusal_names_layer_and_reason_in_one_line(
    graph: bytes, layer: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CatseyeError) as refused:
        build_plan(graph, backend="tensorrt-rtx", compute_capabilities=("SM86",))
    said = str(refused.value)
    assert f"refuses layer {layer}: " in said
    assert reason in said
    assert "cudaError" not in said and "_src" not in said
    assert "\n" not in said


@needs_rtx
def test_what_is_no_model_is_refused_in_one_line() -> None:
    with pytest.raises(CatseyeError, match="refuses the graph: ") as refused:
        build_plan(b"nonsense", backend="tensorrt-rtx", compute_capabilities=("SM86",))
    assert "\n" not in str(refused.value)


@needs_rtx
def test_unknown_gpu_lists_the_known() -> None:
    with pytest.raises(UsageError, match=r"'SM87'.*SM86.*SM89"):
        build_plan(b"", backend="tensorrt-rtx", compute_capabilities=("SM87",))


def test_options_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="workspace_mib is 0"):
        build_plan(b"", backend="tensorrt-rtx", workspace_mib=0)
    with pytest.raises(UsageError, match="compiles for the GPU at hand only"):
        build_plan(b"", backend="tensorrt", compute_capabilities=("SM86",))


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here")
def test_absent_tensorrt_says_how_to_get_it() -> None:
    with pytest.raises(CatseyeError, match="apt-get install python3-libnvinfer"):
        build_plan(b"", backend="tensorrt")


def test_build_is_a_check_only(tiny_bundle: Path) -> None:
    with pytest.raises(CatseyeError, match="--ahead-of-time"):
        build(tiny_bundle)
