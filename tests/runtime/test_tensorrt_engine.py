"""The TensorRT engine on a GPU that is not there: its buffers, its order of things, what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

pytest.importorskip("cuda.bindings.runtime", reason="pip install cuda-bindings")

from board import Board, board
from tensorrt_api import WrongCallError

from catseye.errors import CatseyeError
from catseye.runtime import cuda
from catseye.runtime.bundle import Bundle, open_bundle
from catseye.runtime.engines.base import EngineOutput
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.engines.tensorrt import TensorRTEngine
from catseye.runtime.onnx_reader import Value
from catseye.runtime.plan import build_plan
from catseye.runtime.verification import golden_inputs


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


@pytest.fixture(params=["mapped", "copied"])
def machine(request: pytest.FixtureRequest) -> Iterator[Board]:
    """A Jetson, whose GPU works in the CPU's memory, and a server, whose GPU does not."""
    with board(integrated=request.param == "mapped") as made:
        yield made


def engine_of(bundle: Bundle) -> TensorRTEngine:
    plan = build_plan(bundle.graph(), backend="tensorrt")
    inputs, outputs = bundle.manifest.interface()
    return TensorRTEngine(plan.content, inputs=inputs, outputs=outputs)


def frame(bundle: Bundle, index: int) -> dict[str, np.ndarray]:
    return {name: array[index : index + 1] for name, array in golden_inputs(bundle).items()}


def assert_same(found: EngineOutput, wanted: EngineOutput) -> None:
    assert found.arrays().keys() == wanted.arrays().keys()
    for name, array in wanted.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array, err_msg=name)
        assert found.arrays()[name].dtype == array.dtype


def test_it_computes_what_onnx_runtime_computes(machine: Board, bundle: Bundle) -> None:
    peer = OnnxRuntimeEngine(bundle.graph(), threads=1)
    with closing(engine_of(bundle)) as engine:
        assert engine.name == "tensorrt 10.3.0"
        for index in (0, 1, 0):
            assert_same(engine.infer(frame(bundle, index)), peer.infer(frame(bundle, index)))
    assert machine.cuda.live() == {"blocks": 0, "streams": 0, "events": 0, "graphs": 0}


def test_a_call_is_one_graph_and_mapped_memory_needs_no_copy(machine: Board, bundle: Bundle) -> None:
    with closing(engine_of(bundle)) as engine:
        assert len(machine.cuda.executables) == 2
        copies = 0 if machine.cuda.integrated else 1 + len(bundle.manifest.interface()[1])
        assert [len(work) for work in machine.cuda.executables.values()] == [1 + copies] * 2
        before = machine.cuda.launches
        engine.infer(frame(bundle, 0))
        engine.infer(frame(bundle, 1))
        assert machine.cuda.launches == before + 2
        kinds = {block.kind for block in machine.cuda.blocks}
        assert kinds == ({"mapped"} if machine.cuda.integrated else {"pinned", "device"})


def test_two_calls_are_under_way_and_each_gets_its_own_result(machine: Board, bundle: Bundle) -> None:
    peer = OnnxRuntimeEngine(bundle.graph(), threads=1)
    with closing(engine_of(bundle)) as engine:
        first, second = engine.start(frame(bundle, 0)), engine.start(frame(bundle, 1))
        with pytest.raises(CatseyeError, match="2 calls are under way"):
            engine.start(frame(bundle, 0))
        assert_same(engine.finish(first), peer.infer(frame(bundle, 0)))
        third = engine.start(frame(bundle, 0))
        assert_same(engine.finish(second), peer.infer(frame(bundle, 1)))
        assert_same(engine.finish(third), peer.infer(frame(bundle, 0)))


def test_outputs_outlive_the_next_call_and_the_engine(machine: Board, bundle: Bundle) -> None:
    peer = OnnxRuntimeEngine(bundle.graph(), threads=1)
    engine = engine_of(bundle)
    first = engine.infer(frame(bundle, 0))
    for _ in range(2):
        engine.infer(frame(bundle, 1))
    engine.close()
    engine.close()
    assert_same(first, peer.infer(frame(bundle, 0)))


def test_what_cannot_be_captured_runs_without_a_graph(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    peer = OnnxRuntimeEngine(bundle.graph(), threads=1)
    with board(can_capture=False) as machine, closing(engine_of(bundle)) as engine:
        for index in (0, 1):
            assert_same(engine.infer(frame(bundle, index)), peer.infer(frame(bundle, index)))
        assert machine.cuda.launches == 0
    assert (
        "without a CUDA graph: cudaStreamEndCapture fails: cudaErrorStreamCaptureInvalidated" in caplog.text
    )


def test_planes_are_inputs_by_name(machine: Board) -> None:
    """NV12: two inputs."""
    nodes = [
        helper.make_node("Cast", ["luma"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["chroma"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["y", "of_y"], ["bright"], keepdims=1),
        helper.make_node("ReduceMean", ["c", "of_c"], ["colour"], keepdims=1),
        helper.make_node("Reshape", ["bright", "two"], ["a"]),
        helper.make_node("Reshape", ["colour", "two"], ["b"]),
        helper.make_node("Concat", ["a", "b"], ["scores"], axis=1),
        helper.make_node("Reshape", ["scores", "three"], ["s"]),
        helper.make_node("Expand", ["s", "four"], ["boxes"]),
        helper.make_node("Cast", ["scores"], ["classes"], to=TensorProto.INT32),
    ]
    constants = {"of_y": [1, 2], "of_c": [1, 2, 3], "two": [1, 1], "three": [1, 2, 1], "four": [1, 2, 4]}
    inputs = (Value("luma", "uint8", (1, 8, 8)), Value("chroma", "uint8", (1, 4, 4, 2)))
    outputs = (
        Value("boxes", "float32", (1, 2, 4)),
        Value("scores", "float32", (1, 2)),
        Value("classes", "int32", (1, 2)),
    )
    graph = helper.make_graph(
        nodes,
        "planes",
        [helper.make_tensor_value_info(v.name, TensorProto.UINT8, v.shape) for v in inputs],
        [
            helper.make_tensor_value_info(
                v.name, TensorProto.INT32 if v.dtype == "int32" else TensorProto.FLOAT, v.shape
            )
            for v in outputs
        ],
        [onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    plan = build_plan(model.SerializeToString(), backend="tensorrt")
    given = {"luma": np.full((1, 8, 8), 30, np.uint8), "chroma": np.full((1, 4, 4, 2), 90, np.uint8)}
    with closing(TensorRTEngine(plan.content, inputs=inputs, outputs=outputs)) as engine:
        assert engine.infer(given).scores.tolist() == [[30, 90]]
        with pytest.raises(CatseyeError, match=r"luma is of shape \(1, 4, 8\)"):
            engine.infer({**given, "luma": given["luma"][:, :4]})


def test_a_plan_of_another_graph_is_refused_and_leaves_nothing(machine: Board, bundle: Bundle) -> None:
    plan = build_plan(bundle.graph(), backend="tensorrt")
    inputs, outputs = bundle.manifest.interface()
    with pytest.raises(CatseyeError, match="of another graph"):
        TensorRTEngine(plan.content, inputs=inputs, outputs=outputs[:-1])
    assert not any(machine.cuda.live().values())


def test_a_plan_of_another_version_is_one_line(bundle: Bundle) -> None:
    with board(version="10.3.0"):
        plan = build_plan(bundle.graph(), backend="tensorrt")
    inputs, outputs = bundle.manifest.interface()
    with board(version="11.4.0"), pytest.raises(CatseyeError) as refused:
        TensorRTEngine(plan.content, inputs=inputs, outputs=outputs)
    assert str(refused.value) == (
        "tensorrt 11.4.0 does not load the plan: the plan is of version 10.3.0; build it again"
    )


def test_a_failure_half_way_leaves_nothing(
    machine: Board, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cuda.bindings import runtime as real

    plan = build_plan(bundle.graph(), backend="tensorrt")
    given = machine.cuda._cudaHostAlloc
    calls = []

    def scarce(size: int, flags: int) -> object:
        calls.append(size)
        return given(size, flags) if len(calls) < 8 else (real.cudaError_t.cudaErrorMemoryAllocation, None)

    monkeypatch.setattr(machine.cuda, "_cudaHostAlloc", scarce)
    inputs, outputs = bundle.manifest.interface()
    with pytest.raises(CatseyeError, match="cudaHostAlloc fails: cudaErrorMemoryAllocation, out of memory"):
        TensorRTEngine(plan.content, inputs=inputs, outputs=outputs)
    assert not any(machine.cuda.live().values())


class TestTheDoubleMinds:
    """What a GPU would not stand must fail here: the engine is broken on purpose."""

    @pytest.fixture(autouse=True)
    def broken(self) -> Iterator[Board]:
        with board(integrated=False) as made:
            yield made
            made.cuda.wrong.clear()
            made.trt.wrong.clear()

    def test_capture_before_a_first_run(self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TensorRTEngine, "_run_once", lambda self, buffers: None)
        with pytest.raises(WrongCallError, match="before the context has run once"):
            engine_of(bundle)

    def test_use_after_free(self, bundle: Bundle) -> None:
        engine = engine_of(bundle)
        engine._sets[0].arrays["scores"].free()
        with pytest.raises(WrongCallError, match="memory that was freed"):
            engine.infer(frame(bundle, 0))

    def test_a_wrong_address(self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
        made = cuda.SharedArray.__init__

        def shifted(self: cuda.SharedArray, *args: object, **named: object) -> None:
            made(self, *args, **named)
            self.address = self._pinned

        monkeypatch.setattr(cuda.SharedArray, "__init__", shifted)
        with pytest.raises(WrongCallError, match="the GPU has no"):
            engine_of(bundle)

    def test_reading_before_the_end(self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not an error on a GPU either: the numbers are wrong."""
        with closing(engine_of(bundle)) as engine:
            right = engine.infer(frame(bundle, 0)).scores
            engine.infer(frame(bundle, 1))
            engine._sets[0].arrays["scores"].host.fill(7)
            engine.start(frame(bundle, 0))
            assert not np.array_equal(engine._sets[0].arrays["scores"].host, right)

    def test_a_missing_copy(self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cuda.SharedArray, "to_device", lambda self, stream: None)
        peer = OnnxRuntimeEngine(bundle.graph(), threads=1)
        with closing(engine_of(bundle)) as engine:
            found, wanted = engine.infer(frame(bundle, 0)), peer.infer(frame(bundle, 0))
        assert not np.array_equal(found.scores, wanted.scores)
