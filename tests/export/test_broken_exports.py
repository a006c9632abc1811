"""Exports that are broken on purpose, each as it happens in practice, and what catches it.

A graph that computes something else is caught by the proof of parity, what goes wrong before the graph by the
proof's video, and what parity cannot be asked of, a graph of lower precision, by the gate.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from catseye.capture import geometry
from catseye.capture.geometry import Image, Letterbox, Planes
from catseye.errors import CatseyeError
from catseye.export import golden
from catseye.export.graph import HEAD_NAMES, DeployedGraph
from catseye.export.onnx_export import ExportedGraph, export_onnx
from catseye.export.onnx_files import only_outputs
from catseye.export.parity import prove_parity, reference_outputs
from catseye.pretrain.detector import Detector
from catseye.runtime import network_input
from catseye.runtime.bundle import Bundle
from catseye.runtime.engines.base import OUTPUT_NAMES
from catseye.runtime.manifest import Network, Tolerances
from catseye.runtime.network_input import frame_count
from catseye.runtime.verification import golden_inputs, verify

from .conftest import NETWORK

Graph = onnx.ModelProto


def refused(graphs: ExportedGraph, exported: Bundle, detector: Detector) -> str:
    """What the proof of parity says."""
    inputs, network = golden_inputs(exported), exported.manifest.network
    reference = reference_outputs(detector, inputs, top_k=20)
    with pytest.raises(CatseyeError, match="differs from the trained network") as caught:
        prove_parity(reference, graphs, inputs, network=network, tolerances=Tolerances(), threads=1)
    return str(caught.value)


def broken(with_heads: bytes, change: Callable[[Graph], None]) -> ExportedGraph:
    model = onnx.load_from_string(with_heads)
    change(model)
    deployed = only_outputs(model, OUTPUT_NAMES)
    return ExportedGraph(deployed.SerializeToString(), model.SerializeToString())


def put_behind(model: Graph, name: str, order: list[int], *, axis: int) -> None:
    """Rearrange a tensor along an axis, behind whoever makes it."""
    maker = next(node for node in model.graph.node if name in node.output)
    inner = f"{name}:inner"
    maker.output[list(maker.output).index(name)] = inner
    indices = numpy_helper.from_array(np.array(order, dtype=np.int64), f"{name}:order")
    model.graph.initializer.append(indices)
    place = list(model.graph.node).index(maker) + 1
    model.graph.node.insert(
        place, helper.make_node("Gather", [inner, indices.name], [name], name=f"{name}/Gather", axis=axis)
    )


def test_an_unbroken_export_passes(with_heads: bytes, exported: Bundle, detector: Detector) -> None:
    inputs = golden_inputs(exported)
    reference = reference_outputs(detector, inputs, top_k=20)
    graphs = broken(with_heads, lambda model: None)
    network = exported.manifest.network
    prove_parity(reference, graphs, inputs, network=network, tolerances=Tolerances(), threads=1)


@pytest.mark.parametrize(
    ("name", "order", "axis"),
    [
        ("dense_boxes", [1, 0, 3, 2], 1),  # y before x
        ("dense_boxes", [2, 3, 0, 1], 1),  # the far corner first
        ("score_logits", [1, 0], 1),  # a class for another
    ],
)
def test_swapped_heads(
    with_heads: bytes, exported: Bundle, detector: Detector, name: str, order: list[int], axis: int
) -> None:
    graphs = broken(with_heads, lambda model: put_behind(model, name, order, axis=axis))
    assert name in refused(graphs, exported, detector)


@pytest.mark.parametrize(("name", "order"), [("boxes", [1, 0, 3, 2]), ("embeddings", [*range(1, 32), 0])])
def test_heads_swapped_behind_topk(
    with_heads: bytes, exported: Bundle, detector: Detector, name: str, order: list[int]
) -> None:
    """The heads themselves are right, so it takes the comparison of what an engine returns."""
    graphs = broken(with_heads, lambda model: put_behind(model, name, order, axis=2))
    said = refused(graphs, exported, detector)
    assert not any(head in said for head in HEAD_NAMES)


def test_bgr_for_rgb(with_heads: bytes, exported: Bundle, detector: Detector) -> None:
    def swap(model: Graph) -> None:
        cast = next(node for node in model.graph.node if node.name == "prologue/Cast")
        put_behind(model, cast.output[0], [2, 1, 0], axis=3)

    assert "score_logits" in refused(broken(with_heads, swap), exported, detector)


def test_wrong_mean(with_heads: bytes, exported: Bundle, detector: Detector) -> None:
    """Levels centred on a half instead of on the mean that the encoder learned with."""

    def centre(model: Graph) -> None:
        mean = next(weight for weight in model.graph.initializer if weight.name == "network.encoder.mean")
        mean.CopyFrom(numpy_helper.from_array(np.full((1, 3, 1, 1), 0.5, np.float32), mean.name))

    assert "score_logits" in refused(broken(with_heads, centre), exported, detector)


def test_stale_batch_norm(exported: Bundle, detector: Detector) -> None:
    """The statistics of one residual branch are those it was made with, as when a buffer is not loaded."""
    stale = copy.deepcopy(detector)
    norm = stale.get_submodule("encoder.body.layer2.0.bn2")
    assert isinstance(norm, torch.nn.BatchNorm2d)
    norm.reset_running_stats()
    graphs = export_onnx(DeployedGraph(stale, top_k=20), exported.manifest.network)
    assert "score_logits" in refused(graphs, exported, detector)


def full_range(planes: Planes, box: Letterbox) -> Image:
    return geometry.planes_to_network(replace(planes, full_range=True), box)


def other_matrix(planes: Planes, box: Letterbox) -> Image:
    return geometry.planes_to_network(replace(planes, matrix="bt601"), box)


def swapped_colours(planes: Planes, box: Letterbox) -> Image:
    return np.ascontiguousarray(geometry.planes_to_network(planes, box)[..., ::-1])


def stretched(planes: Planes, box: Letterbox) -> Image:
    whole = geometry.letterbox(box.source_width, box.source_height, box.width, box.height, "stretch")
    return geometry.planes_to_network(planes, whole)


WRONG_PATHS: list[Any] = [full_range, other_matrix, swapped_colours, stretched]


@pytest.mark.parametrize("path", WRONG_PATHS)
def test_a_wrong_path_on_the_vehicle_fails_the_replay(
    exported: Bundle, monkeypatch: pytest.MonkeyPatch, path: Callable[[Planes, Letterbox], Image]
) -> None:
    """Colour range, matrix, order of colours, or a stretched picture: golden frames show none of it."""
    monkeypatch.setattr(network_input, "planes_to_network", path)
    report = verify(exported.path, threads=1)
    assert not report
    assert {check.name for check in report.checks if not check} <= {
        "fragment mean level",
        "fragment largest level",
    }


@pytest.mark.parametrize("path", WRONG_PATHS)
def test_a_wrong_path_that_export_shares_fails_the_export(
    monkeypatch: pytest.MonkeyPatch, path: Callable[[Planes, Letterbox], Image]
) -> None:
    """Vehicle and export would agree in the same mistake; the test card as drawn does not."""
    monkeypatch.setattr(network_input, "planes_to_network", path)
    with pytest.raises(CatseyeError, match="does not come back as it was drawn"):
        golden.proof_fragment(NETWORK)


@pytest.mark.parametrize("fit", ["centre", "top_left", "stretch"])
@pytest.mark.parametrize(("width", "height"), [(96, 64), (448, 256)])
def test_the_right_path_comes_back_as_drawn(fit: geometry.Fit, width: int, height: int) -> None:
    network = Network(width=width, height=height, batch=1, fit=fit)
    assert frame_count(golden.proof_fragment(network)[1]) == 4
