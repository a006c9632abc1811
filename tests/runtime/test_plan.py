"""Plans by the real TensorRT, ahead of time and with no GPU; each refusal is one line."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from catseye.errors import CatseyeError, UsageError
from catseye.runtime.build import compile_ahead_of_time
from catseye.runtime.bundle import Bundle, open_bundle
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
    reports = compile_ahead_of_time(
        tiny_bundle,
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


FRAME = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))]


def one_node(
    operator: str, name: str, shape: tuple[int, ...] | None, *more: str, **attributes: object
) -> bytes:
    """A graph of a single operator on a frame of floats, with the constants that some operators need."""
    constants = {
        "half_size": np.array([1, 1, 0.5, 0.5], np.float32),
        "scale": np.float32(0.1),
        "three": np.int8(3),
        "many": np.array([4000]),
        "row": np.zeros(5000, np.float32),
        "halves": np.ones((1, 3, 8, 8), np.float16),
    }
    outputs = ["out", "indices"] if operator == "TopK" else ["out"]
    node = helper.make_node(operator, list(more), outputs, name=name, **attributes)
    kind = TensorProto.INT8 if operator == "QuantizeLinear" else TensorProto.FLOAT
    return helper.make_model(
        helper.make_graph(
            [node],
            "bad",
            FRAME,
            [helper.make_tensor_value_info("out", kind, shape)],
            [numpy_helper.from_array(np.asarray(constants[key]), key) for key in more if key in constants],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    ).SerializeToString()


@needs_rtx
@pytest.mark.parametrize(
    ("graph", "layer", "reason", "remedy"),
    [
        (
            transposed_bytes(),
            "refuses layer 'prologue/Transpose' (Transpose)",
            "UInt8",
            "cast to float before it",
        ),
        (
            integer_bias(),
            "refuses layer 'head/DequantizeLinear' (DequantizeLinear)",
            "Int32",
            "without biases",
        ),
        (
            one_node("Resize", "a/Resize", (1, 3, 4, 4), "x", "", "half_size", mode="linear", antialias=1),
            "refuses layer 'a/Resize' (Resize)",
            "Antialiasing is not supported",
            "export without antialias",
        ),
        (
            one_node("QuantizeLinear", "a/Quantize", (1, 3, 8, 8), "x", "scale", "three"),
            "refuses layer 'a/Quantize' (QuantizeLinear)",
            "Non-zero zero point",
            "symmetrically",
        ),
        (
            one_node("Unique", "a/Unique", None, "x"),
            "refuses layer 'a/Unique' (Unique)",
            "it has no such operator",
            "without this operator",
        ),
        (
            one_node("Add", "a/Add", (1, 3, 8, 8), "x", "halves"),
            "refuses layer 'a/Add' (Add)",
            "Float and Half",
            "put a Cast before it",
        ),
        (
            one_node("TopK", "a/TopK", (4000,), "row", "many"),
            "does not build layer 'a/TopK' (TopK)",
            "K exceeds the maximum value allowed (3840)",
            "fewer detections",
        ),
    ],
    ids=["uint8", "int32 bias", "antialias", "zero point", "operator", "types", "top-k"],
)
def test_refusal_names_layer_reason_and_remedy_in_one_line(
    graph: bytes, layer: str, reason: str, remedy: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CatseyeError) as refused:
        build_plan(graph, backend="tensorrt-rtx", compute_capabilities=("SM86",))
    said = str(refused.value)
    assert f" {layer}: " in said
    assert reason in said and remedy in said.rpartition("; ")[2]
    assert "cudaError" not in said and "_src" not in said
    assert "\n" not in said


@needs_rtx
def test_bundle_and_precision_of_a_refusal_are_named(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bundle, "graph", lambda self, precision: transposed_bytes())
    with pytest.raises(CatseyeError) as refused:
        compile_ahead_of_time(tiny_bundle)
    assert str(refused.value).startswith(f"{tiny_bundle}: fp32 for SM86: tensorrt-rtx 1.7")


@needs_rtx
def test_layers_and_progress_of_the_real_parser_and_builder(tiny_bundle: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    plan = build_plan(
        open_bundle(tiny_bundle).graph(),
        backend="tensorrt-rtx",
        compute_capabilities=("SM86",),
        progress=lambda *step: told.append(step),
    )
    layers = {layer["name"]: layer for layer in plan.layers}
    assert layers["head/Sigmoid"]["type"] == "ACTIVATION"
    assert layers["head/Sigmoid"]["outputs"] == [{"name": "scores", "precision": "FLOAT", "shape": [1, 8]}]
    assert told[0][1] == 0 and told[-1][1] == told[-1][2] > 0
    compile_ahead_of_time(tiny_bundle, compute_capabilities=("SM86",), layers=tmp_path / "layers.json")
    assert json.loads((tmp_path / "layers.json").read_text()) == {"fp32": list(plan.layers)}


@needs_rtx
def test_an_interrupt_crosses_no_native_code(tiny_bundle: Path) -> None:
    def interrupt(label: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(
            open_bundle(tiny_bundle).graph(),
            backend="tensorrt-rtx",
            compute_capabilities=("SM86",),
            progress=interrupt,
        )


@needs_rtx
def test_no_dla_here_is_one_line(tiny_bundle: Path) -> None:
    with pytest.raises(
        CatseyeError, match=r"^tensorrt-rtx 1.7.* finds 0 DLA cores here, none with the number 0"
    ):
        build_plan(open_bundle(tiny_bundle).graph(), backend="tensorrt-rtx", dla=0)


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
    with pytest.raises(UsageError, match="no DLA plan is compiled ahead of time"):
        build_plan(b"", backend="tensorrt-rtx", compute_capabilities=("SM86",), dla=0)


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here")
def test_absent_tensorrt_says_how_to_get_it() -> None:
    with pytest.raises(CatseyeError, match="apt-get install python3-libnvinfer"):
        build_plan(b"", backend="tensorrt")
