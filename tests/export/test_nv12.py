"""A graph that takes NV12 planes, two frames a call: the same network, and a wrong colour shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import catseye
from catseye.capture import geometry
from catseye.capture.geometry import planes_to_rgb
from catseye.capture.sources import VideoFile
from catseye.errors import CatseyeError
from catseye.export.graph import Nv12Prologue
from catseye.export.onnx_export import ExportedGraph
from catseye.export.parity import prove_parity, reference_outputs
from catseye.pretrain.detector import Detector
from catseye.runtime import network_input as at_runtime
from catseye.runtime.bundle import Bundle, open_bundle
from catseye.runtime.bundle_entries import PARITY
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.manifest import Colour, Tolerances
from catseye.runtime.network_input import network_input, stacked
from catseye.runtime.proof import compare_outputs, decode_fragment, replay
from catseye.runtime.verification import golden_inputs, golden_outputs, verify

from .conftest import NV12_COLOUR

OTHERS = {"matrix": Colour(matrix="bt601"), "range": Colour(full_range=True)}


def test_manifest_names_the_planes_and_their_colour(exported_nv12: Bundle) -> None:
    document = json.loads(bytes(exported_nv12.entries["manifest.json"]))
    assert document["schema_version"] == "3.0"
    assert document["network"]["input"] == "nv12"
    assert document["network"]["colour"] == {"matrix": "bt709", "full_range": False}
    assert [(value.name, value.shape) for value in exported_nv12.manifest.network.inputs()] == [
        ("luma", (2, 64, 96)),
        ("chroma", (2, 32, 48, 2)),
    ]


def test_planes_are_cast_first_and_doubled_by_what_tensorrt_takes(exported_nv12: Bundle) -> None:
    graph = onnx.load_from_string(exported_nv12.graph()).graph
    for given in graph.input:
        assert [node.op_type for node in graph.node if given.name in node.input] == ["Cast"]
    (resize,) = [node for node in graph.node if node.name.startswith("prologue/Resize")]
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in resize.attribute}
    assert attributes["mode"] == b"linear" and not attributes.get("antialias")
    assert attributes["coordinate_transformation_mode"] in {b"half_pixel", b"pytorch_half_pixel"}
    assert {node.name.split("/")[0] for node in graph.node} == {"prologue", "network", "decode"}


def test_proof_has_a_batch_that_is_not_full(exported_nv12: Bundle) -> None:
    assert exported_nv12.manifest.proof_frames % exported_nv12.manifest.network.batch == 1
    assert {name: len(array) for name, array in golden_inputs(exported_nv12).items()} == {
        "luma": 5,
        "chroma": 5,
    }
    report = verify(exported_nv12.path, threads=1)
    assert report, report.checks


def test_parity_document_states_how_far_planes_are_from_training(exported_nv12: Bundle) -> None:
    checks = {check["name"]: check for check in json.loads(bytes(exported_nv12.entries[PARITY]))["colour"]}
    assert set(checks) == {"colour mean level", "colour largest level"}
    assert all(0 < check["value"] <= check["limit"] for check in checks.values())


def test_both_inputs_give_the_same_detections(
    exported_nv12: Bundle, exported: Bundle, run_folder: Path, road_world: Path
) -> None:
    """Of frames of a rendered road; levels differ by rounding, and at the border's edge."""
    outputs = []
    for bundle in (exported, exported_nv12):
        network = bundle.manifest.network
        with VideoFile(sorted(road_world.glob("*.mp4"))[0], threads=1) as video:
            frames = [network_input(frame.planes, network) for frame in islice(video.frames(), 5)]
        engine = OnnxRuntimeEngine(bundle.graph(), threads=1)
        outputs.append(replay(engine, stacked(frames), batch=network.batch))
    limits = Tolerances(relative=0.05, score_gap=0.02)
    for check in compare_outputs(outputs[0], outputs[1], limits):
        assert check, check


def test_a_partial_batch_gives_what_whole_ones_give(exported_nv12: Bundle) -> None:
    golden, inputs = golden_outputs(exported_nv12), golden_inputs(exported_nv12)
    engine = OnnxRuntimeEngine(exported_nv12.graph(), threads=1)
    for first in range(3):
        found = replay(engine, {name: array[first:] for name, array in inputs.items()}, batch=2)
        assert len(found.scores) == 5 - first
        np.testing.assert_allclose(found.scores, golden.scores[first:], atol=1e-5)


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_parity_refuses_another_colour(exported_nv12: Bundle, detector: Detector, other: Colour) -> None:
    network, inputs = exported_nv12.manifest.network, golden_inputs(exported_nv12)
    reference = reference_outputs(detector, inputs, top_k=20, colour=NV12_COLOUR)
    wrong = recoloured(exported_nv12, other)
    with pytest.raises(CatseyeError, match="differs from the trained network"):
        prove_parity(
            reference,
            ExportedGraph(deployed=wrong, with_heads=heads_of(wrong)),
            inputs,
            network=network,
            tolerances=Tolerances(),
            threads=1,
        )


def recoloured(bundle: Bundle, colour: Colour) -> bytes:
    """The bundle's graph with the prologue's matrix replaced."""
    model = onnx.load_from_string(bundle.graph())
    (conv,) = [node for node in model.graph.node if node.name == "prologue/Conv"]
    made = Nv12Prologue(colour)
    for name, values in zip(conv.input[1:], (made.weight, made.bias), strict=True):
        (weight,) = [each for each in model.graph.initializer if each.name == name]
        weight.CopyFrom(onnx.numpy_helper.from_array(values.numpy(), name))
    return model.SerializeToString()


def heads_of(graph: bytes) -> bytes:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph))
    values = {value.name: value for value in model.graph.value_info}
    for name in ("score_logits", "dense_boxes", "dense_embeddings"):
        model.graph.output.append(values[name])
    return model.SerializeToString()


@pytest.mark.parametrize("fault", ["matrix", "range", "both", "chroma", "pad"])
def test_verify_fails_where_planes_are_made_otherwise(
    exported_nv12: Bundle, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    real: Callable[..., Any] = geometry.planes_to_nv12

    def wrong(planes: geometry.Planes, box: geometry.Letterbox, **colour: Any) -> Any:
        if fault in {"matrix", "both"}:
            planes = replace(planes, matrix="bt709")
        if fault in {"range", "both"}:
            planes = replace(planes, full_range=False)
        luma, chroma = real(planes, box, **colour)
        if fault == "pad":
            luma = luma.copy()
            luma[: box.top] = luma[box.top + box.scaled_height :] = 0
            luma[:, : box.left] = luma[:, box.left + box.scaled_width :] = 0
        return luma, chroma[..., ::-1] if fault == "chroma" else chroma

    monkeypatch.setattr(at_runtime, "planes_to_nv12", wrong)
    report = verify(exported_nv12.path, threads=1)
    assert {check.name for check in report.checks if not check} & {
        "fragment mean level",
        "fragment largest level",
    }


def test_prologue_makes_the_rgb_of_training(exported_nv12: Bundle) -> None:
    for frame in decode_fragment(exported_nv12.entries["proof/fragment.mp4"], exported_nv12.manifest.network):
        luma, chroma = frame["luma"], frame["chroma"]
        with torch.inference_mode():
            seen = Nv12Prologue(NV12_COLOUR)(torch.from_numpy(luma)[None], torch.from_numpy(chroma)[None])
        expected = planes_to_rgb(geometry.Planes(luma, chroma[..., 0], chroma[..., 1], "bt709", False))
        difference = np.abs(255 * seen[0].permute(1, 2, 0).numpy() - expected)
        assert difference.max() < 2.5 and difference.mean() < 0.5


def test_a_picture_goes_in_as_planes(exported_nv12: Bundle, exported: Bundle) -> None:
    rng = np.random.default_rng(0)
    picture = np.repeat(rng.integers(0, 256, (8, 12, 1), np.uint8), 3, axis=2)
    picture = picture.repeat(16, axis=0).repeat(16, axis=1)
    found, expected = (
        catseye.load(bundle.path).predict(picture, threshold=0.0) for bundle in (exported_nv12, exported)
    )
    np.testing.assert_allclose(np.sort(found.scores), np.sort(expected.scores), atol=0.01)


def test_readers_that_know_rgb_alone_refuse_it(
    exported_nv12: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catseye.runtime.manifest.Manifest.VERSION", "2.0")
    with pytest.raises(CatseyeError, match=r"schema version 3\.0, newer than 2\.0"):
        open_bundle(exported_nv12.path)
