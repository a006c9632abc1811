"""Lower precisions of a small network, held to a budget on held-out frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from catseye.errors import CatseyeError
from catseye.export import precision_gate, precisions
from catseye.export.back_to_float import Attempt, FloatSearch
from catseye.export.bundling import export
from catseye.export.gate import Budget, Judgement
from catseye.export.held_out import HeldOut, HeldOutFrames, held_out_pictures, read_held_out
from catseye.export.onnx_export import ExportedGraph
from catseye.export.precision_gate import (
    Gate,
    open_gate,
    require_trained_figures,
    search_precision,
    with_task_figures,
)
from catseye.export.precisions import Ranges
from catseye.export.quantise import quantisable_layers, quantise
from catseye.export.task_figures import TaskFigures
from catseye.pretrain.detector import Detector
from catseye.runtime.bundle import Bundle
from catseye.runtime.engines.base import INPUT_NAME, Inputs
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.manifest import Verdict
from catseye.runtime.verification import golden_inputs, golden_outputs

LOOSE = Budget(ap_points=12, abs_rel=0.1, rank1_points=100)


@pytest.fixture(scope="module")
def gate(exported: Bundle, held_out: HeldOut) -> Gate:
    frames = read_held_out(replace(held_out, most_frames=12), exported.manifest)
    return open_gate(exported.graph(), exported.manifest, frames, LOOSE, threads=1)


@pytest.fixture(scope="module")
def seen(held_out_frames: HeldOutFrames) -> Inputs:
    """Frames that are like the held-out ones."""
    return {INPUT_NAME: np.concatenate([clip.frames[INPUT_NAME][::8] for clip in held_out_frames.clips])}


@pytest.fixture(scope="module")
def ranges(exported: Bundle, seen: Inputs) -> Ranges:
    return Ranges(exported.graph(), seen, batch=1, threads=1)


def test_int8_calibrated_on_noise_is_refused(
    gate: Gate, exported: Bundle, ranges: Ranges, seen: Inputs
) -> None:
    """On what a sensor gives of a grey wall."""
    levels = np.random.default_rng(0).normal((124, 116, 104), 2, seen[INPUT_NAME].shape)
    wall = levels.clip(0, 255).astype(np.uint8)
    noise = Ranges(exported.graph(), {INPUT_NAME: wall}, batch=1, threads=1)
    graphs = (quantise(exported.graph(), of.cut) for of in (ranges, noise))
    good, bad = (gate.judge(gate.measure(graph, "int8")) for graph in graphs)
    assert good, good.reason
    assert not bad
    assert "over budget: AP" in bad.reason


def test_layers_move_back_until_the_budget_is_kept(
    gate: Gate,
    exported: Bundle,
    with_heads: bytes,
    ranges: Ranges,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = quantise(exported.graph(), ranges.cut)
    layers = quantisable_layers(exported.graph())
    monkeypatch.setattr(precision_gate, "layer_sensitivity", lambda *_, **__: dict.fromkeys(layers, 0.0))
    lost = gate.judge(gate.measure(plain, "int8")).losses
    tight = replace(gate, budget=replace(LOOSE, ap_points=60 * max(lost["ap"], lost["ap50"])))
    found = search_precision(tight, ExportedGraph(exported.graph(), with_heads), "int8", ranges)
    assert found, found.reason
    moved = found.best.moved
    assert moved == layers[: len(moved)]
    assert 0 < len(moved) <= len(layers) // 2
    assert f"{len(moved)} layers are back in float" in found.reason
    assert not tight.judge(gate.measure(plain, "int8"))
    assert tight.judge(gate.measure(found.best.graph, "int8"))
    assert set(quantisable_layers(exported.graph())) - set(moved) == {
        name.removesuffix("/weight/DequantizeLinear")
        for name in names_of(found.best.graph)
        if name.endswith("/weight/DequantizeLinear")
    }


def test_int8_is_measured_as_it_runs(
    gate: Gate, exported: Bundle, with_heads: bytes, ranges: Ranges, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Noting(OnnxRuntimeEngine):
        def __init__(self, graph: bytes, *, precision: str = "fp32", threads: int = 0) -> None:
            asked.append(precision)
            super().__init__(graph, precision=precision, threads=threads)

    for module in (precision_gate, precisions):
        monkeypatch.setattr(module, "OnnxRuntimeEngine", Noting)
    assert search_precision(gate, ExportedGraph(exported.graph(), with_heads), "int8", ranges)
    proof = golden_inputs(exported), golden_outputs(exported)
    precisions.measured(exported.graph("int8"), *proof, precision="int8", batch=1, threshold=0.3, threads=1)
    assert asked == ["int8", "int8"]


def names_of(graph: bytes) -> list[str]:
    return [node.name for node in onnx.load_from_string(graph).graph.node]


def test_the_graph_must_find_what_the_trained_network_finds(
    gate: Gate, exported: Bundle, held_out: HeldOut, detector: Detector
) -> None:
    """A manifest that stretches what the network learned in a letterbox: graph and proof are right in
    themselves, and every precision agrees with every other."""
    require_trained_figures(gate, detector, held_out_pictures(held_out), top_k=20)
    network = exported.manifest.network.model_copy(update={"fit": "stretch"})
    manifest = exported.manifest.model_copy(update={"network": network})
    frames = read_held_out(replace(held_out, dataset=None), manifest)
    stretched = open_gate(exported.graph(), manifest, frames, LOOSE, threads=1)
    with pytest.raises(CatseyeError, match="does not find what the trained network finds: over budget: AP"):
        require_trained_figures(stretched, detector, held_out_pictures(held_out), top_k=20)


def test_the_bundle_says_what_was_measured(
    exported: Bundle,
    with_heads: bytes,
    run_folder: Path,
    held_out: HeldOut,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graphs = ExportedGraph(exported.graph(), with_heads)
    monkeypatch.setattr("catseye.export.bundling.export_onnx", lambda *_, **__: graphs)
    few = replace(held_out, most_frames=12)
    bundle = export(run_folder, tmp_path / "x.catseye", precisions=("fp16",), top_k=20, held_out=few)
    exact, half = bundle.manifest.verdicts["fp32"], bundle.manifest.verdicts["fp16"]
    assert exact.accepted
    assert exact.figures["ap50"] == pytest.approx(1, abs=0.01)
    assert half.accepted
    assert half.figures["ap50_loss"] == pytest.approx(exact.figures["ap50"] - half.figures["ap50"])
    assert half.figures["stills"] == 15
    assert half.figures["float_layers"] == 0
    assert "within budget: AP" in half.reason
    unmeasured = exported.manifest.verdicts["fp16"]
    assert unmeasured.reason.endswith("; no task metric was measured")
    assert "ap50" not in unmeasured.figures


def test_what_is_over_budget_is_not_accepted() -> None:
    coarse = Verdict(accepted=True, reason="sees what the trained network sees", figures={"scores": 0.01})
    losses = {"ap50": 0.031}
    attempt = Attempt(("a", "b"), b"", TaskFigures({"ap50": 0.6}), Judgement(False, "over budget", losses))
    search = FloatSearch(attempt, 5, "over budget; 2 layers are back in float")
    verdict = with_task_figures(coarse, search)
    assert not verdict.accepted
    assert verdict.reason == "over budget; 2 layers are back in float"
    assert verdict.figures == {"scores": 0.01, "ap50": 0.6, "ap50_loss": 0.031, "float_layers": 2}
    kept = replace(search, best=replace(attempt, judgement=Judgement(True, "within budget")))
    assert with_task_figures(coarse, kept).accepted
    assert not with_task_figures(coarse.model_copy(update={"accepted": False}), kept).accepted
