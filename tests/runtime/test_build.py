"""From a bundle to a proven plan to a run, on a board that is not there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("cuda.bindings.runtime", reason="pip install cuda-bindings")

from board import Board, board
from command_line import Command

from catseye.errors import CatseyeError, InputError, UsageError
from catseye.runtime import build as building
from catseye.runtime import plan_serving, run, verify
from catseye.runtime.build import build
from catseye.runtime.bundle import Bundle, open_bundle, write_bundle
from catseye.runtime.engines.load import load_engine
from catseye.runtime.manifest import Verdict
from catseye.runtime.plan_cache import PlanCache
from catseye.runtime.plan_options import PlanOptions
from catseye.runtime.plan_serving import build_arguments, serve_plan


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Three precisions of one network, told apart by who is said to have made the graph."""
    one = open_bundle(tiny_bundle)
    entries = {
        name: bytes(content) for name, content in one.entries.items() if not name.startswith("manifest")
    }
    for precision in ("fp16", "int8"):
        model = onnx.load_model_from_string(one.graph())
        model.producer_name = precision
        entries[f"{precision}.onnx"] = model.SerializeToString()
    path = tmp_path_factory.mktemp("three") / "three.catseye"
    write_bundle(path, one.manifest.model_copy(update={"precisions": ("fp32", "fp16", "int8")}), entries)
    return open_bundle(path)


@pytest.fixture
def jetson() -> Iterator[Board]:
    with board() as made:
        yield made


@pytest.fixture
def options(tmp_path: Path) -> PlanOptions:
    return PlanOptions(cache=tmp_path / "plans")


@pytest.fixture(autouse=True)
def latencies(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What a call takes by precision; the machine that runs the tests has no say in it."""
    found = {"fp32": 3.0, "fp16": 2.0, "int8": 1.5}
    names = iter(["fp32", "fp16", "int8"] * 5)
    monkeypatch.setattr(building, "_latency_ms", lambda engine, bundle: found[next(names)])
    return found


def spoil(precision: str, output: str) -> Any:
    """What a GPU that miscomputes one output of one precision gives."""

    def change(model: onnx.ModelProto, name: str, array: np.ndarray) -> np.ndarray:
        return array + np.float32(40) if (model.producer_name, name) == (precision, output) else array

    return change


def test_build_proves_and_keeps_a_plan_of_each_precision(
    jetson: Board, bundle: Bundle, options: PlanOptions
) -> None:
    report = build(bundle.path, options=options)
    assert [entry.key.precision for entry in report.plans] == ["fp32", "fp16", "int8"]
    for entry in report.plans:
        value, limit = entry.checks[
            "boxes" if entry.key.precision == "fp32" else f"{entry.key.precision} boxes"
        ]
        assert entry.proven and value <= limit
        assert "fragment mean level" in entry.checks
        assert entry.key.device.l4t == "36.4.0" and entry.key.device.tensorrt == "10.3.0"
    assert report.chosen == "int8" and report.reason.startswith("int8 takes 1.5 ms")
    assert not any(jetson.cuda.live().values())


def test_a_proven_plan_is_not_built_again(jetson: Board, bundle: Bundle, options: PlanOptions) -> None:
    first = build(bundle.path, options=options)
    assert jetson.trt.builds == 3
    assert build(bundle.path, options=options).chosen == first.chosen
    assert jetson.trt.builds == 3
    (options_folder,) = [Path(str(options.cache))]
    plan = options_folder / f"{first.plans[1].plan_sha256}.plan"
    plan.write_bytes(plan.read_bytes()[:-1])
    assert all(entry.proven for entry in build(bundle.path, options=options).plans)
    assert jetson.trt.builds == 4


def test_the_timing_cache_of_one_build_helps_the_next(
    jetson: Board, bundle: Bundle, options: PlanOptions
) -> None:
    build(bundle.path, precision="fp32", options=options)
    assert jetson.trt.last_config.cache.began_with == b""
    build(bundle.path, precision="fp16", options=options)
    assert jetson.trt.last_config.cache.began_with == b"timing 10.3.0"


def test_int8_that_is_slower_is_not_chosen(
    jetson: Board, bundle: Bundle, options: PlanOptions, latencies: dict[str, float]
) -> None:
    latencies["int8"] = 2.1
    report = build(bundle.path, options=options)
    assert report.chosen == "fp16"
    assert "int8 is not faster with 2.1 ms" in report.reason


def test_a_plan_that_differs_from_its_proof_is_never_served(bundle: Bundle, options: PlanOptions) -> None:
    with board(change=spoil("int8", "boxes")) as machine:
        report = build(bundle.path, options=options)
        assert report.chosen == "fp16"
        (bad,) = [entry for entry in report.plans if not entry.proven]
        assert bad.key.precision == "int8" and bad.fault.startswith(
            "differs from its proof in int8 detections"
        )
        assert bad.fault in report.reason and "(not served)" in report.reason
        with closing(serve_plan(bundle, options=options)) as engine:
            assert machine.trt.builds == 3
            assert engine.infer(dict(building.golden_batch(bundle))).scores.shape == (1, 8)
        with pytest.raises(CatseyeError, match="int8: differs from its proof in int8 detections"):
            serve_plan(bundle, precision="int8", options=options)


def test_a_graph_that_is_refused_is_named_and_the_others_serve(bundle: Bundle, options: PlanOptions) -> None:
    def refuse(model: onnx.ModelProto) -> str | None:
        return "Assertion failed: unsupported" if model.producer_name == "fp16" else None

    with board(refuse=refuse):
        report = build(bundle.path, options=options)
    assert report.chosen == "int8"
    faults = {entry.key.precision: entry.fault for entry in report.plans}
    assert "refuses layer 'head/Refused' (Refused): Assertion failed: unsupported" in faults["fp16"]


def test_what_the_gate_did_not_accept_is_not_built(
    jetson: Board, bundle: Bundle, options: PlanOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = Verdict(accepted=False, reason="loses 2.1 AP")
    real = building.verdicts_of
    monkeypatch.setattr(building, "verdicts_of", lambda bundle: {**real(bundle), "int8": verdict})
    report = build(bundle.path, options=options)
    assert report.left_out == {"int8": "loses 2.1 AP"} and report.chosen == "fp16"
    with pytest.raises(InputError, match=r"has no graph to build \(int8: loses 2.1 AP\)"):
        build(bundle.path, precision="int8", options=options)


def test_precision_that_the_bundle_has_not(jetson: Board, tiny_bundle: Path, options: PlanOptions) -> None:
    with pytest.raises(InputError, match="has no fp16 graph"):
        build(tiny_bundle, precision="fp16", options=options)


def test_dla_is_used_where_it_is(bundle: Bundle, options: PlanOptions) -> None:
    on_dla = PlanOptions(cache=options.cache, dla=1)
    with board(dla_cores=2) as machine:
        report = build(bundle.path, options=on_dla)
        assert machine.trt.last_config.default_device_type.name == "DLA"
        assert machine.trt.last_config.DLA_core == 1
        assert machine.trt.last_config.flags == {"GPU_FALLBACK"}
        assert report.left_out == {"fp32": "DLA computes in fp16 and int8 only"}
        with closing(serve_plan(bundle, options=on_dla)):
            assert machine.trt.builds == 2


def test_dla_that_is_not_there_is_one_line(jetson: Board, bundle: Bundle, options: PlanOptions) -> None:
    with pytest.raises(CatseyeError) as refused:
        build(bundle.path, precision="fp16", options=PlanOptions(cache=options.cache, dla=0))
    assert "finds 0 DLA cores here, none with the number 0; build without DLA" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_layers_as_the_inspector_tells(
    jetson: Board, bundle: Bundle, options: PlanOptions, tmp_path: Path
) -> None:
    build(bundle.path, options=options, layers=tmp_path / "layers.json")
    found = json.loads((tmp_path / "layers.json").read_text())
    assert set(found) == {"fp32", "fp16", "int8"}
    assert {"Name": "head/Sigmoid", "LayerType": "Sigmoid"} in found["fp16"]


def test_progress_tells_the_phases(jetson: Board, bundle: Bundle, options: PlanOptions) -> None:
    told: list[tuple[str, int, int]] = []
    build(bundle.path, precision="fp16", options=options, progress=lambda *step: told.append(step))
    assert [step for step in told if step[0] == "fp16: Building engine"] == [
        ("fp16: Building engine", done, 2) for done in (0, 1, 2, 2)
    ]
    assert jetson.trt.last_config.progress_monitor is None


def test_an_interrupt_stops_the_build(jetson: Board, bundle: Bundle, options: PlanOptions) -> None:
    def impatient(label: str, done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(bundle.path, options=options, progress=impatient)
    assert PlanCache(options.cache).entries() == []


def test_no_gpu_is_one_line(jetson: Board, bundle: Bundle, options: PlanOptions) -> None:
    jetson.cuda.gpus = 0
    with pytest.raises(CatseyeError, match="CUDA finds no GPU here; use the board; `--engine onnxruntime`"):
        build(bundle.path, options=options)


class TestServing:
    def test_a_missing_plan_is_built_first_and_then_taken_from_the_cache(
        self, jetson: Board, bundle: Bundle, options: PlanOptions
    ) -> None:
        for _ in range(2):
            serve_plan(bundle, options=options).close()
            assert jetson.trt.builds == 3

    def test_a_plan_that_serves_is_not_evicted(
        self, jetson: Board, bundle: Bundle, options: PlanOptions
    ) -> None:
        small = PlanCache(options.cache, max_plans=1)
        with closing(serve_plan(bundle, precision="fp16", options=options)):
            (fp16,) = small.entries()
            other = fp16.model_copy(update={"key": fp16.key.model_copy(update={"precision": "int8"})})
            small.keep(other, b"another")
            assert small.holds(fp16)
        small.keep(other, b"another yet")
        assert not small.holds(fp16)

    def test_after_a_new_jetpack_the_old_plan_serves_and_is_built_again(
        self, bundle: Bundle, options: PlanOptions
    ) -> None:
        started: list[tuple[Path, str, PlanOptions]] = []
        with board(l4t="3.0"):
            build(bundle.path, options=options)
        with board(l4t="4.0") as machine:
            with closing(
                serve_plan(bundle, options=options, rebuild=lambda *call: started.append(call))
            ) as engine:
                engine.infer(dict(building.golden_batch(bundle)))
            assert machine.trt.builds == 0
            assert started == [(bundle.path, "auto", options)]
            build(*started[0][:1], precision=started[0][1], options=started[0][2])
            serve_plan(bundle, options=options, rebuild=pytest.fail).close()

    def test_an_old_plan_that_fails_the_proof_now_is_not_served(
        self, bundle: Bundle, options: PlanOptions, caplog: pytest.LogCaptureFixture
    ) -> None:
        with board(l4t="3.0"):
            build(bundle.path, precision="fp32", options=options)
        with board(l4t="4.0", change=spoil("", "scores")) as machine:
            with pytest.raises(CatseyeError, match="no plan is proven here: fp32: differs"):
                serve_plan(bundle, precision="fp32", options=options, rebuild=pytest.fail)
            assert machine.trt.builds == 1
        assert "the fp32 plan of before does not serve: differs from its proof in scores" in caplog.text

    def test_another_tensorrt_builds_first(self, bundle: Bundle, options: PlanOptions) -> None:
        with board(version="10.3.0"):
            build(bundle.path, precision="fp32", options=options)
        with board(version="11.4.0") as machine:
            serve_plan(bundle, precision="fp32", options=options, rebuild=pytest.fail).close()
            assert machine.trt.builds == 1

    def test_the_rebuild_is_the_same_build(
        self, catseye: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        wanted = PlanOptions(cache=tmp_path / "plans", workspace_mib=64, dla=1)
        given: dict[str, Any] = {}

        def build(path: Path, **options: Any) -> None:
            given.update(path=path, **options)
            raise CatseyeError("enough")

        monkeypatch.setattr(building, "build", build)
        catseye("build", "car.catseye", *build_arguments("fp16", wanted))
        assert (given["path"], given["precision"], given["options"]) == (Path("car.catseye"), "fp16", wanted)

    def test_the_rebuild_goes_on_beside(self, monkeypatch: pytest.MonkeyPatch, options: PlanOptions) -> None:
        started: list[list[str]] = []
        monkeypatch.setattr(subprocess, "Popen", lambda command, **more: started.append(command))
        plan_serving.start_rebuild(Path("car.catseye"), "auto", options)
        assert started[0][:3] == ["nice", "-n", "19"]
        assert started[0][4:8] == ["-m", "catseye", "build", "car.catseye"]


class TestWholeWay:
    def test_run_and_verify_on_tensorrt(
        self, jetson: Board, bundle: Bundle, options: PlanOptions, lamps: Path, tmp_path: Path
    ) -> None:
        report = verify(bundle.path, engine="tensorrt", plans=options)
        assert report and report.engine == "tensorrt 10.3.0 int8"
        told = {}
        for engine in ("tensorrt", "onnxruntime"):
            path = tmp_path / f"{engine}.jsonl"
            summary = run(bundle.path, lamps, jsonl=path, engine=engine, threads=1, plans=options)
            assert summary.frames_in == summary.processed == 40
            told[engine] = [json.loads(line)["tracks"] for line in path.read_text().splitlines()]
        assert told["tensorrt"] == told["onnxruntime"]
        assert any(told["tensorrt"])
        assert jetson.trt.builds == 3

    def test_auto_takes_tensorrt_where_it_works(
        self, jetson: Board, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with closing(load_engine(bundle)) as engine:
            assert engine.name.startswith("tensorrt 10.3.0")
        assert list((tmp_path / "catseye" / "plans").glob("*.plan"))

    def test_auto_goes_on_with_onnx_runtime(
        self, bundle: Bundle, options: PlanOptions, caplog: pytest.LogCaptureFixture
    ) -> None:
        with board(refuse=lambda model: "no"), closing(load_engine(bundle, plans=options)) as engine:
            assert engine.name.startswith("onnxruntime")
        assert "ONNX Runtime takes over from TensorRT" in caplog.text

    def test_command_line(
        self, jetson: Board, bundle: Bundle, options: PlanOptions, catseye: Command, tmp_path: Path
    ) -> None:
        layers = tmp_path / "layers.json"
        told = catseye("build", bundle.path, "--cache", str(options.cache), "--layers", layers)
        assert told.code == 0 and "serves int8: int8 takes 1.5 ms" in told.out
        assert layers.exists()
        told = catseye("build", bundle.path, "--cache", str(options.cache), "--json")
        document = json.loads(told.out)
        assert document["chosen"] == "int8" and all(plan["proven"] for plan in document["plans"])
        told = catseye("verify", bundle.path, "--engine", "tensorrt", "--cache", str(options.cache))
        assert told.code == 0


def test_without_tensorrt_one_line_says_what_to_install(
    catseye: Command, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catseye.runtime.tensorrt_library.is_installed", lambda backend: False)
    for verb in (("build",), ("verify", "--engine", "tensorrt")):
        told = catseye(verb[0], tiny_bundle, *verb[1:])
        assert told.code == 1
        assert "TensorRT is not installed; on a Jetson: apt-get install python3-libnvinfer" in told.line


def test_options_that_cannot_be(tiny_bundle: Path, catseye: Command) -> None:
    with pytest.raises(UsageError, match="dla is -1"):
        PlanOptions(dla=-1)
    with pytest.raises(UsageError, match="workspace_mib is 0"):
        PlanOptions(workspace_mib=0)
    told = catseye("build", tiny_bundle, "--ahead-of-time", "--dla", "0")
    assert told.code == 2 and "--ahead-of-time compiles every graph and keeps none" in told.line
