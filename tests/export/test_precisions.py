"""Precisions in a bundle: chosen, proven, left out where they no longer see the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from catseye.errors import UsageError
from catseye.export import precisions
from catseye.export.activation_ranges import largest_magnitudes
from catseye.export.bundling import export
from catseye.export.calibration_frames import calibration_frames
from catseye.export.onnx_export import ExportedGraph
from catseye.export.precisions import Ranges, convert, measured, require_precisions
from catseye.export.quantise import quantisable_layers, quantised_tensors
from catseye.export.sensitivity import layer_sensitivity
from catseye.runtime.bundle import Bundle
from catseye.runtime.bundle_entries import PARITY
from catseye.runtime.engines.base import INPUT_NAME, EngineOutput, Inputs
from catseye.runtime.engines.load import load_engine
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.network_input import first_frames
from catseye.runtime.proof import replay
from catseye.runtime.verification import golden_inputs, golden_outputs, proof_checks


def test_bundle_says_what_it_holds_and_why(exported: Bundle) -> None:
    manifest = exported.manifest
    assert manifest.precisions == ("fp32", "fp16", "int8")
    assert set(manifest.agreements) == set(manifest.verdicts) == {"fp16", "int8"}
    assert all(verdict.accepted for verdict in manifest.verdicts.values())
    half, eighth = (manifest.verdicts[name].figures for name in ("fp16", "int8"))
    assert half["boxes"] < eighth["boxes"]
    assert half["depth"] < eighth["depth"]
    document = json.loads(bytes(exported.entries[PARITY]))
    assert document["precisions"]["int8"]["figures"] == eighth


def test_engine_takes_the_precision_named(exported: Bundle) -> None:
    frames = first_frames(golden_inputs(exported), 1)
    found = {
        name: load_engine(exported, precision=name, threads=1).infer(frames).depth
        for name in ("auto", "fp32", "fp16", "int8")
    }
    np.testing.assert_array_equal(found["auto"], found["fp32"])
    assert not np.array_equal(found["fp16"], found["fp32"])
    assert not np.array_equal(found["int8"], found["fp16"])
    with pytest.raises(UsageError, match="precision 'fp8': choose auto, fp32, fp16, int8"):
        load_engine(exported, precision="fp8")


def swapped_channels(inputs: Inputs) -> Inputs:
    return {INPUT_NAME: inputs[INPUT_NAME][..., ::-1].copy()}


def other_mean(inputs: Inputs) -> Inputs:
    return {INPUT_NAME: np.clip(inputs[INPUT_NAME].astype(np.int16) + 32, 0, 255).astype(np.uint8)}


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_broken_engine_fails_its_proof(exported: Bundle, precision: str) -> None:
    engine = load_engine(exported, precision=precision, threads=1)
    frames = golden_inputs(exported)
    sound = replay(engine, frames, batch=1)
    assert all(proof_checks(exported, sound, precision=precision))
    broken = [replay(engine, spoil(frames), batch=1) for spoil in (swapped_channels, other_mean)]
    others = np.roll(np.arange(len(sound.scores)), 1)
    broken.append(EngineOutput(**{name: array[others] for name, array in sound.arrays().items()}))
    for found in broken:
        assert not all(proof_checks(exported, found, precision=precision))


def test_precision_that_sees_something_else_is_left_out_with_the_reason(
    exported: Bundle, run_folder: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges a hundred times too small."""
    graphs = ExportedGraph(deployed=exported.graph(), with_heads=exported.graph())
    monkeypatch.setattr("catseye.export.bundling.export_onnx", lambda *_, **__: graphs)
    monkeypatch.setattr("catseye.export.parity.HEAD_NAMES", ())
    cut_off = precisions.cut_off
    monkeypatch.setattr(precisions, "cut_off", lambda *given: cut_off(*given) / 100)
    bundle = export(
        run_folder,
        tmp_path / "cut.catseye",
        precisions=("fp16", "int8"),
        calibration=[pictures],
        top_k=20,
    )
    assert bundle.manifest.precisions == ("fp32", "fp16")
    assert "int8.onnx" not in bundle.entries
    verdict = bundle.manifest.verdicts["int8"]
    assert not verdict.accepted
    assert verdict.reason.startswith("differs from the trained network in ")
    assert verdict.figures


def test_precisions_come_in_order_with_float32_among_them() -> None:
    assert require_precisions(["int8", "fp16"], calibrated=True) == ("fp32", "fp16", "int8")
    assert require_precisions([], calibrated=False) == ("fp32",)


def test_sensitivity_puts_the_layer_that_suffers_first(exported: Bundle, pictures: Path) -> None:
    """One layer's range is spoilt on purpose."""
    graph = exported.graph("fp32")
    frames = {INPUT_NAME: calibration_frames([pictures], width=96, height=64, count=2)}
    ranges = {
        name: largest
        for name, largest in largest_magnitudes(graph, frames, batch=1, threads=1).items()
        if name in quantised_tensors(graph)
    }
    every, worst = quantisable_layers(graph), "network/depth/blocks/1/1/Conv"
    ranges |= dict.fromkeys(quantised_tensors(graph, float_nodes=frozenset(every) - {worst}), 1e-3)
    layers = [*every[:2], worst, every[-1]]
    figures = layer_sensitivity(
        graph, ranges, frames, heads=["depth", "scores"], layers=layers, batch=1, threads=1
    )
    assert set(figures) == set(layers)
    assert next(iter(figures)) == worst
    first, second, *_, last = figures.values()
    assert first > 2 * second >= 2 * last > 0


def test_layers_back_in_float_bring_the_network_back(exported: Bundle, pictures: Path) -> None:
    graph = exported.graph("fp32")
    frames = {INPUT_NAME: calibration_frames([pictures], width=96, height=64, count=4)}
    ranges = Ranges(graph, frames, batch=1, threads=1)
    golden, proof = golden_outputs(exported), golden_inputs(exported)
    layers = quantisable_layers(graph)
    apart = []
    for kept in (layers[:0], layers[: len(layers) // 2], layers):
        made = convert(graph, "int8", ranges, float_nodes=frozenset(kept))
        found = measured(made, proof, golden, precision="int8", batch=1, threshold=0.3, threads=1)
        apart.append(found.apart.depth)
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] < 1e-5
    assert convert(graph, "fp32", ranges) is graph
    assert OnnxRuntimeEngine(made, threads=1)
