"""ONNX Runtime's providers: which are chosen, what they are told, and calls on arrays that are given once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from conftest import ROOT

from catseye.errors import CatseyeError, UsageError
from catseye.runtime.bundle import Bundle, open_bundle
from catseye.runtime.cores import usable_cores
from catseye.runtime.engines import load_engine
from catseye.runtime.engines.base import EngineOutput
from catseye.runtime.engines.onnxruntime import BoundArrays, OnnxRuntimeEngine, make_session
from catseye.runtime.plan_options import PlanOptions
from catseye.runtime.verification import golden_inputs

ALL = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


class _Session:
    """Remembers what it was given, and says that it has started so."""

    def __init__(self, graph: bytes, options: Any, providers: list[Any]) -> None:
        self.options, self.providers = options, providers

    def get_providers(self) -> list[str]:
        return [name for name, _ in self.providers]

    def io_binding(self) -> None: ...

    def get_inputs(self) -> list[Any]:
        return []

    get_outputs = get_inputs


def started(monkeypatch: pytest.MonkeyPatch, bundle: Bundle, **options: Any) -> _Session:
    """The session of an engine on a machine that has every provider."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ALL)
    monkeypatch.setattr(onnxruntime, "InferenceSession", _Session)
    engine = load_engine(bundle, **options)
    assert isinstance(engine, OnnxRuntimeEngine)
    session: _Session = engine._session
    return session


@pytest.mark.parametrize(
    ("engine", "chain"), [("onnxruntime", 1), ("onnxruntime-cuda", 2), ("onnxruntime-tensorrt", 3)]
)
def test_providers_are_asked_in_order(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, tmp_path: Path, engine: str, chain: int
) -> None:
    plans = PlanOptions(cache=tmp_path / "plans")
    session = started(monkeypatch, bundle, engine=engine, plans=plans)
    assert session.get_providers() == ALL[-chain:]


def test_engines_of_tensorrt_are_kept_for_this_user_alone_in_the_types_of_the_graph(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, tmp_path: Path
) -> None:
    plans = PlanOptions(cache=tmp_path / "plans", workspace_mib=7)
    session = started(monkeypatch, bundle, engine="onnxruntime-tensorrt", plans=plans)
    options = session.providers[0][1]
    folder = Path(options["trt_engine_cache_path"])
    assert folder.parent == tmp_path / "plans" and folder.stat().st_mode & 0o777 == 0o700
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == ("0", "0")
    assert options["trt_max_workspace_size"] == str(7 << 20)
    (tmp_path / "plans").chmod(0o755)
    with pytest.raises(CatseyeError, match="open to other users"):
        load_engine(bundle, engine="onnxruntime-tensorrt", plans=plans)


@pytest.mark.parametrize(
    ("engine", "precision", "as_written"),
    [
        ("onnxruntime", "int8", "1"),
        ("onnxruntime", "fp32", "0"),
        ("onnxruntime-cuda", "int8", "0"),
        # It reads int8 from pairs at the weights too.
        ("onnxruntime-tensorrt", "int8", "0"),
    ],
)
def test_pairs_of_int8_stay_what_they_are_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
    bundle: Bundle,
    tmp_path: Path,
    engine: str,
    precision: str,
    as_written: str,
) -> None:
    monkeypatch.setattr(Bundle, "graph", lambda *_: b"of any precision")
    plans = PlanOptions(cache=tmp_path / "plans")
    session = started(monkeypatch, bundle, engine=engine, precision=precision, plans=plans)
    assert session.options.get_session_config_entry("session.disable_quant_qdq") == as_written


def test_a_provider_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, tmp_path: Path
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ALL[-1:])
    with pytest.raises(CatseyeError, match=r"has no provider cuda, only cpu: install onnxruntime-gpu"):
        load_engine(bundle, engine="onnxruntime-cuda")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ALL)
    monkeypatch.setattr(_Session, "get_providers", lambda self: ALL[-1:])
    monkeypatch.setattr(onnxruntime, "InferenceSession", _Session)
    with pytest.raises(CatseyeError, match="cuda: does not start on this machine"):
        load_engine(bundle, engine="onnxruntime-cuda")
    with pytest.raises(UsageError, match="dla is 0"):
        load_engine(bundle, engine="onnxruntime", plans=PlanOptions(dla=0))


def test_bound_arrays_give_what_a_plain_call_gives_and_outlive_the_next(bundle: Bundle) -> None:
    frames = golden_inputs(bundle)
    engine = OnnxRuntimeEngine(bundle.graph(), threads=1)
    bound = BoundArrays(make_session(bundle.graph(), threads=1), device="cpu")
    batches = [{name: array[k : k + 1] for name, array in frames.items()} for k in (0, 1)]
    found = [EngineOutput(**bound.run(inputs)) for inputs in batches]
    for inputs, output in zip(batches, found, strict=True):
        expected = engine.infer(inputs).arrays()
        assert output.arrays().keys() == expected.keys()
        for name, array in output.arrays().items():
            np.testing.assert_array_equal(array, expected[name])
    assert not np.array_equal(found[0].scores, found[1].scores)


def test_one_thread_for_each_core_that_may_be_used(monkeypatch: pytest.MonkeyPatch, bundle: Bundle) -> None:
    session = started(monkeypatch, bundle, engine="onnxruntime")
    assert session.options.intra_op_num_threads == usable_cores()
    assert started(monkeypatch, bundle, engine="onnxruntime", threads=3).options.intra_op_num_threads == 3


def test_nothing_is_reported_to_the_makers_of_the_library(bundle: Bundle, tmp_path: Path) -> None:
    """They keep an id of the machine, and what is to be sent, in the user's cache."""
    (tmp_path / "graph.onnx").write_bytes(bundle.graph())
    code = (
        "import sys, pathlib; from catseye.runtime.engines.onnxruntime import make_session; "
        "make_session(pathlib.Path(sys.argv[1]).read_bytes())"
    )
    strange = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    plain = {name: value for name, value in os.environ.items() if name not in strange}
    (tmp_path / "home").mkdir()
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "graph.onnx")],
        env=plain | {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert not list((tmp_path / "home").iterdir())
