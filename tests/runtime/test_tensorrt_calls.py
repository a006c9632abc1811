"""Every TensorRT and CUDA call of the runtime, held to the real bindings.

The runtime goes through ``tensorrt_double`` and ``cuda_double`` in ``test_build`` and
``test_tensorrt_engine``; these tests hold the doubles to the real thing, and its source to the doubles.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
import sys
import types
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cuda.bindings.runtime", reason="pip install cuda-bindings")

import tensorrt_api
from board import board
from cuda.bindings import runtime as real_cuda
from cuda_double import CudaDouble
from tensorrt_api import WrongCallError, check_call, check_read, check_set

import catseye.runtime
from catseye.runtime import plan as planning
from catseye.runtime.bundle import Bundle, open_bundle
from catseye.runtime.device import this_device
from catseye.runtime.engines import tensorrt as engine_module
from catseye.runtime.engines.tensorrt import TensorRTEngine
from catseye.runtime.plan import build_plan
from catseye.runtime.tensorrt_library import load_tensorrt

RUNTIME = Path(catseye.runtime.__file__).parent
SOURCES = [
    RUNTIME / name
    for name in (
        "build_progress.py", "cuda.py", "device.py", "engines/tensorrt.py", "layer_report.py", "plan.py",
        "refusal.py", "tensorrt_library.py",
    )
]  # fmt: skip
AHEAD_OF_TIME_ONLY = {"ComputeCapability", "num_compute_capabilities", "set_compute_capability"}
"""What TensorRT for RTX alone has; ``test_plan`` runs it for real."""

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None,
    reason="TensorRT for RTX has wheels for x86-64 only: pip install 'catseye[plan-check]'",
)


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


def attributes_of(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno


class TestRecord:
    @needs_rtx
    def test_is_what_the_installed_bindings_have(self) -> None:
        spec = importlib.util.spec_from_file_location(
            "record_tensorrt_api", Path(__file__).parents[2] / "scripts" / "tensorrt_api.py"
        )
        assert spec is not None and spec.loader is not None
        recorder = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(recorder)
        found = recorder.record(load_tensorrt("tensorrt-rtx")[0])
        assert json.loads(json.dumps(found)) == tensorrt_api.recorded()["rtx"]

    def test_knows_what_came_and_went(self) -> None:
        """By NVIDIA's migration guide from TensorRT 10 to 11."""
        old, new = tensorrt_api.recorded()["10.3.0"], tensorrt_api.recorded()["11.4.0.106"]
        gone = {"FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"}
        assert gone <= set(old["enums"]["BuilderFlag"]) and not gone & set(new["enums"]["BuilderFlag"])
        assert "EXPLICIT_BATCH" in old["enums"]["NetworkDefinitionCreationFlag"]
        assert "int8_calibrator" in old["classes"]["IBuilderConfig"]
        assert "int8_calibrator" not in new["classes"]["IBuilderConfig"]
        assert "precision" not in new["classes"]["ILayer"]


class TestWrongCallsFail:
    @pytest.mark.parametrize(
        ("kind", "member", "args"),
        [
            ("IExecutionContext", "execute_async_v2", (1,)),
            ("IExecutionContext", "execute_async_v3", ()),
            ("IExecutionContext", "execute_async_v3", ("stream",)),
            ("IExecutionContext", "set_tensor_address", ("frames",)),
            ("IExecutionContext", "set_tensor_address", (1, "frames")),
            ("IBuilderConfig", "set_timing_cache", (False,)),
            ("Builder", "create_network", (1, 2)),
            ("Builder", "num_DLA_cores", ()),
            ("Runtime", "deserialize_cuda_engine", ("path",)),
            ("ILayer", "precision", ()),
            ("IBuilderConfig", "set_compute_capability", ()),
        ],
    )
    def test_of_tensorrt(self, kind: str, member: str, args: tuple[Any, ...]) -> None:
        with pytest.raises(WrongCallError):
            check_call(kind, member, args, {})

    def test_of_tensorrt_by_a_wrong_keyword(self) -> None:
        context = SimpleNamespace(held_as="ITimingCache")
        check_call("IBuilderConfig", "set_timing_cache", (context,), {"ignore_mismatch": True})
        with pytest.raises(WrongCallError, match=r"takes \(cache: ITimingCache, ignore_mismatch: bool\)"):
            check_call("IBuilderConfig", "set_timing_cache", (context,), {"ignore": True})

    def test_properties_that_cannot_be_set(self) -> None:
        check_set("IBuilderConfig", "DLA_core")
        for kind, member in (("Builder", "num_DLA_cores"), ("ITensor", "dtype"), ("IBuilderConfig", "dla")):
            with pytest.raises(WrongCallError):
                check_set(kind, member)
        check_read("ITensor", "dtype")

    @pytest.mark.parametrize(
        ("name", "args"),
        [
            ("cudaMallocHosted", (1,)),
            ("cudaMalloc", ()),
            ("cudaHostAlloc", (1,)),
            ("cudaMemcpyAsync", (1, 2, 3, 4)),
            ("cudaMemcpyAsync", (1, 2, 3, 1, 5)),
            ("cudaStreamBeginCapture", (1,)),
            ("cudaGraphInstantiate", (1,)),
        ],
    )
    def test_of_cuda(self, name: str, args: tuple[Any, ...]) -> None:
        with pytest.raises(WrongCallError):
            getattr(CudaDouble(integrated=False), name)(*args)

    def test_of_the_runtime_though_it_swallows_them(self, bundle: Bundle) -> None:
        """An error that the runtime catches still fails at the end of the board."""
        with pytest.raises(AssertionError, match="no_such"), board() as machine:
            builder = machine.trt.Builder(load_tensorrt("tensorrt")[1])
            with suppress(WrongCallError):
                builder.no_such()


class TestBrokenOnPurpose:
    """The runtime with one name or argument wrong does not pass."""

    @pytest.mark.parametrize(
        ("module", "right", "wrong"),
        [
            (engine_module, "execute_async_v3(", "execute_async_v2("),
            (engine_module, "set_tensor_address(name, array.address)", "set_tensor_address(array.address)"),
            (engine_module, "get_tensor_dtype(", "get_tensor_type("),
            (engine_module, "num_io_tensors", "num_bindings"),
            (engine_module, "cudaGraphInstantiate, captured, 0", "cudaGraphInstantiate, captured"),
            (engine_module, "cudaGraphLaunch, buffers.graph, self._stream", "cudaGraphLaunch, buffers.graph"),
            (planning, "set_memory_pool_limit(", "set_max_workspace_size("),
            (planning, "trt.MemoryPoolType.WORKSPACE, workspace_mib", "workspace_mib"),
            (
                planning,
                "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
                "NetworkDefinitionCreationFlag.EXPLICIT_BATCH",
            ),
            (planning, "config.profiling_verbosity", "config.verbosity"),
            (planning, "parser.parse(onnx)", 'parser.parse("model.onnx")'),
        ],
    )
    def test_fails_here(
        self, module: Any, right: str, wrong: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert right in Path(module.__file__).read_text()
        with pytest.raises((WrongCallError, AttributeError, AssertionError)), board():
            build_and_run(bundle, changed(module, right, wrong, monkeypatch))

    @pytest.mark.parametrize("module", [engine_module, planning])
    def test_and_passes_where_nothing_is_broken(
        self, module: Any, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with board():
            build_and_run(bundle, changed(module, "", "", monkeypatch))


def changed(module: Any, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A second copy of a module with a part of its source replaced."""
    source = Path(module.__file__).read_text()
    made = types.ModuleType(module.__name__)
    monkeypatch.setitem(sys.modules, module.__name__, made)
    exec(compile(source.replace(right, wrong) if right else source, module.__file__, "exec"), vars(made))
    return made


def build_and_run(bundle: Bundle, module: Any) -> None:
    build = getattr(module, "build_plan", build_plan)
    engine = getattr(module, "TensorRTEngine", TensorRTEngine)
    inputs, outputs = bundle.manifest.interface()
    plan = build(bundle.graph(), backend="tensorrt")
    with closing(engine(plan.content, inputs=inputs, outputs=outputs)) as made:
        made.infer({value.name: np.zeros(value.shape, np.uint8) for value in inputs})


class TestSource:
    def test_every_name_of_cuda_is_real(self) -> None:
        names = {name for path in SOURCES for name, _ in attributes_of(path) if name.startswith("cuda")}
        assert {"cudaMalloc", "cudaGraphLaunch", "cudaDevAttrIntegrated"} <= names
        attributes = set(real_cuda.cudaDeviceAttr.__members__)
        members = attributes | set(real_cuda.cudaStreamCaptureMode.__members__)
        members |= set(real_cuda.cudaMemcpyKind.__members__)
        assert [name for name in sorted(names) if not hasattr(real_cuda, name) and name not in members] == []

    def test_every_name_of_tensorrt_was_asked_for_on_the_board(self, bundle: Bundle) -> None:
        """What no test goes through could be wrong: none of TensorRT's names in the source is left out."""
        classes = tensorrt_api.recorded()["10.3.0"]["classes"]
        known = {member for record in classes.values() for member in record if member != "name"}
        written = {
            name for path in SOURCES for name, _ in attributes_of(path) if re.search("_|DLA|layers", name)
        }
        asked = set()
        real = tensorrt_api.kind_of

        def listening(kind: str, member: str) -> Any:
            asked.add(member)
            return real(kind, member)

        with pytest.MonkeyPatch.context() as patch, board(dla_cores=1) as machine:
            patch.setattr(tensorrt_api, "kind_of", listening)
            this_device("tensorrt")
            told: list[str] = []
            options: dict[str, Any] = {
                "dla": 0,
                "timing_cache": b"old",
                "progress": lambda *s: told.append(s[0]),
            }
            plan = build_plan(bundle.graph(), backend="tensorrt", **options)
            inputs, outputs = bundle.manifest.interface()
            TensorRTEngine(plan.content, inputs=inputs, outputs=outputs, dla=0).close()
            with closing(TensorRTEngine(plan.content, inputs=inputs, outputs=outputs, dla=0)) as engine:
                engine.layers()
            machine.trt.refuse = lambda model: "no"
            with pytest.raises(Exception, match="refuses"):
                build_plan(bundle.graph(), backend="tensorrt")
        assert {"execute_async_v3", "num_DLA_cores", "DLA_core", "create_engine_inspector"} <= asked
        assert sorted((written & known) - asked) == []


def test_signatures_of_cuda_are_those_of_its_docstrings() -> None:
    """``inspect.signature`` is what holds the calls: it must say what the documentation says."""
    for name in ("cudaMalloc", "cudaHostAlloc", "cudaMemcpyAsync", "cudaGraphInstantiate", "cudaGraphLaunch"):
        function = getattr(real_cuda, name)
        documented = function.__doc__.splitlines()[0].partition("(")[2].rpartition(")")[0].split(", ")
        names = [part.partition(":")[0].split()[-1] for part in documented]
        assert list(inspect.signature(function).parameters) == names
