"""Detector to bundle: the graph, its proof, and that a wrong graph is never written."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from catseye.capture.writer import VideoWriter
from catseye.errors import CatseyeError, InputError, UsageError
from catseye.export.bundling import export
from catseye.export.golden import golden_inputs
from catseye.export.graph import DeployedGraph
from catseye.export.onnx_export import ExportedGraph, export_onnx
from catseye.export.parity import prove_parity, reference_outputs
from catseye.pretrain.checkpoint import INFO_FILE, MODEL_FILE, CheckpointInfo, save_checkpoint
from catseye.pretrain.colour_shares import COLOURS
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import Encoder
from catseye.runtime.bundle import Bundle
from catseye.runtime.bundle_entries import PARITY
from catseye.runtime.manifest import Network, Tolerances
from catseye.runtime.verification import golden_inputs as proof_inputs
from catseye.runtime.verification import golden_outputs, verify

from .conftest import NETWORK


def graph_of(exported: Bundle) -> onnx.ModelProto:
    return onnx.load_from_string(exported.graph())


def test_manifest_says_what_the_graph_is(exported: Bundle) -> None:
    manifest = exported.manifest
    assert (manifest.network.width, manifest.network.height, manifest.network.batch) == (96, 64, 1)
    assert (manifest.top_k, manifest.embedding_dim, manifest.classes) == (20, 32, ("car", "truck"))
    assert manifest.depth is not None
    assert manifest.depth.canonical_focal_px == 96
    assert (manifest.depth.height, manifest.depth.width) == manifest.depth_shape == (16, 24)
    assert manifest.provenance.metrics == {"map": 0.5, "best_score": 0.29}
    assert manifest.score_threshold == 0.29


def test_graph_casts_first_and_folds_normalisation(exported: Bundle) -> None:
    graph = graph_of(exported).graph
    assert graph.node[0].op_type == "Cast"
    unwanted = {"BatchNormalization", "GridSample", "NonMaxSuppression", "If", "Loop"}
    assert not {node.op_type for node in graph.node} & unwanted


def test_nodes_are_named_by_module(exported: Bundle) -> None:
    names = [node.name for node in graph_of(exported).graph.node]
    assert len(set(names)) == len(names)
    assert {name.split("/")[0] for name in names} == {"prologue", "network", "decode"}
    assert "decode/TopK" in names
    assert any(name.startswith("network/encoder/body/layer1/0/") for name in names)


def test_nothing_of_this_machine_is_in_the_graph(exported: Bundle) -> None:
    content = exported.graph()
    assert b".py" not in content
    assert str(Path(__file__).parents[2]).encode() not in content


def test_plain_onnxruntime_agrees_with_torch(exported: Bundle, detector: Detector) -> None:
    frames = np.random.default_rng(3).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(exported.graph(), providers=["CPUExecutionProvider"])
    boxes, scores, classes, embeddings, depth = session.run(None, {"frames": frames})
    with torch.inference_mode():
        expected = DeployedGraph(detector, top_k=20)(torch.from_numpy(frames))
    np.testing.assert_allclose(scores, expected.scores.numpy(), atol=1e-5)
    np.testing.assert_allclose(boxes, expected.boxes.numpy(), atol=1e-2)
    np.testing.assert_allclose(embeddings, expected.embeddings.numpy(), atol=1e-4)
    np.testing.assert_allclose(depth, expected.depth.numpy(), rtol=1e-4)
    assert classes.dtype == np.int32
    np.testing.assert_array_equal(classes, expected.classes.numpy())


def test_parity_is_recorded_and_compares_detections(exported: Bundle) -> None:
    document = json.loads(bytes(exported.entries[PARITY]))
    assert [check["name"] for check in document["heads"]] == [
        "score_logits",
        "dense_boxes",
        "dense_embeddings",
        "depth",
    ]
    checks = document["heads"] + document["outputs"]
    assert all(0 <= check["value"] <= check["limit"] for check in checks)
    assert all(check["limit"] > 0 for check in document["heads"])
    assert document["frames"] == exported.manifest.proof_frames
    assert document["detections"] > 10


def test_bundle_verifies_here(exported: Bundle) -> None:
    report = verify(exported.path, threads=1)
    assert report, report.checks
    assert report.key == exported.key
    coarse = ["detections", "boxes", "scores", "embeddings", "depth"]
    names = [check.name for check in report.checks]
    for precision in ("fp16", "int8"):
        held = [name for name in names if name.startswith(precision)]
        assert held[:-1] == [f"{precision} {name}" for name in coarse]
        assert held[-1] == f"{precision} outputs for the fragment that are no number"
    alone = verify(exported.path, precision="int8").checks
    assert {check.name.split()[0] for check in alone} == {"fragment", "int8"}


@pytest.mark.parametrize(
    "name", ["score_logits", "dense_boxes", "dense_embeddings", "depth", "boxes", "scores", "classes"]
)
def test_parity_refuses_a_graph_of_another_network(exported: Bundle, detector: Detector, name: str) -> None:
    inputs = proof_inputs(exported)
    reference = reference_outputs(detector, inputs, top_k=20)
    moved = getattr(reference, name).clone()
    moved.view(-1)[:] = 1 - moved.view(-1) if name == "classes" else moved.view(-1) + moved.abs().max() / 100
    graphs = ExportedGraph(deployed=exported.graph(), with_heads=heads_of(exported))
    with pytest.raises(CatseyeError, match="differs from the trained network") as refused:
        prove_parity(
            reference._replace(**{name: moved}),
            graphs,
            inputs,
            network=NETWORK,
            tolerances=Tolerances(),
            threads=1,
        )
    assert {"classes": "unmatched detections"}.get(name, name) in str(refused.value)


def heads_of(exported: Bundle) -> bytes:
    """The exported graph with its dense heads as outputs again."""
    model = onnx.shape_inference.infer_shapes(graph_of(exported))
    values = {value.name: value for value in model.graph.value_info}
    for name in ("score_logits", "dense_boxes", "dense_embeddings"):
        model.graph.output.append(values[name])
    return model.SerializeToString()


def test_reference_is_the_trained_network_not_the_exported_graph(detector: Detector) -> None:
    """Swapped colour channels in the graph would show."""
    inputs = golden_inputs([], NETWORK, count=1, seed=1)
    frames, reference = inputs["frames"], reference_outputs(detector, inputs, top_k=20)
    with torch.inference_mode():
        graph = DeployedGraph(detector, top_k=20)
        assert torch.allclose(graph(torch.from_numpy(frames)).depth, reference.depth, rtol=1e-5)
        swapped = graph(torch.from_numpy(frames[..., ::-1].copy()))
    assert not torch.allclose(swapped.depth, reference.depth, rtol=1e-3)


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    """Two of 30 grey frames: one brightens from 40 by one level a frame, the other from 200."""
    paths = [tmp_path / f"{level}.mp4" for level in (40, 200)]
    for path in paths:
        with VideoWriter(path, width=96, height=64, time_base=Fraction(1, 10)) as writer:
            for index in range(30):
                writer.write_rgb(np.full((64, 96, 3), int(path.stem) + index, dtype=np.uint8), pts=index)
    return paths


def test_golden_frames_come_from_the_videos_given(videos: list[Path]) -> None:
    frames = golden_inputs(videos, NETWORK, count=3, seed=0)["frames"]
    assert frames.shape == (3, 64, 96, 3)
    levels = frames.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, [40, 60, 200], atol=2)


def test_golden_noise_follows_the_seed() -> None:
    first, again, other = (golden_inputs([], NETWORK, count=2, seed=seed)["frames"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.std() > 30


def test_too_short_a_video_is_refused(videos: list[Path]) -> None:
    with pytest.raises(InputError, match="too short"):
        golden_inputs(videos[:1], NETWORK, count=40, seed=0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"top_k": 0}, "top_k is 0"),
        ({"input": "yuyv"}, "input is 'yuyv': choose from rgb8, nv12"),
        ({"batch": 0}, "batch is 0: give 1 to 64"),
        ({"batch": 65}, "batch is 65"),
        ({"top_k": 4000}, "top_k is 4000"),
        ({"score_threshold": 1.5}, "score_threshold is 1.5"),
        ({"videos": ["a.mp4"] * 5}, "5 videos"),
        ({"precisions": ["fp8"]}, "precision 'fp8': choose from fp32, fp16, int8"),
        ({"precisions": ["int8"]}, "precision int8 needs footage"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        export(tmp_path, tmp_path / "x.catseye", **options)  # type: ignore[arg-type]  # wrong on purpose


def test_out_must_be_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x\.onnx"):
        export(tmp_path, tmp_path / "x.onnx")


def test_run_without_depth_has_the_output_and_no_meaning(
    exported: Bundle, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = CheckpointInfo.load(run_folder / INFO_FILE).model_copy(update={"depth": None})
    info.save(tmp_path / INFO_FILE)
    (tmp_path / MODEL_FILE).symlink_to(run_folder / MODEL_FILE)
    graphs = ExportedGraph(deployed=exported.graph(), with_heads=heads_of(exported))
    monkeypatch.setattr("catseye.export.bundling.export_onnx", lambda *_, **__: graphs)
    bundle = export(tmp_path, tmp_path / "nodepth.catseye", top_k=20)
    assert bundle.manifest.depth is None
    assert golden_outputs(bundle).depth.shape[1:] == bundle.manifest.depth_shape == (16, 24)


def test_failed_parity_leaves_the_old_bundle(
    exported: Bundle, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first layer 5 % too strong, as when BatchNorm statistics are lost on the way."""
    model = graph_of(exported)
    name = next(node.input[1] for node in model.graph.node if node.op_type == "Conv")
    weight = next(weight for weight in model.graph.initializer if weight.name == name)
    array = onnx.numpy_helper.to_array(weight) * 1.05
    weight.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), weight.name))
    graphs = ExportedGraph(deployed=model.SerializeToString(), with_heads=heads_of(exported))
    monkeypatch.setattr("catseye.export.bundling.export_onnx", lambda *_, **__: graphs)
    out = tmp_path / "old.catseye"
    out.write_bytes(b"old")
    with pytest.raises(CatseyeError, match="differs from the trained network"):
        export(run_folder, out, top_k=20)
    assert out.read_bytes() == b"old"


def test_network_that_cannot_be_exported_is_one_line() -> None:
    class Fickle(torch.nn.Module):
        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            return frames if frames.float().sum() > 0 else frames + 1

    with pytest.raises(CatseyeError, match="the network cannot be exported to ONNX: ") as refused:
        export_onnx(cast("DeployedGraph", Fickle()), Network(width=8, height=8, batch=1))
    assert "\n" not in str(refused.value)


def test_a_taught_embedding_leaves_with_the_rest(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = Detector(Encoder("resnet10t"), classes=("car",), embedding_dim=8, appearance_width=16).eval()
    info = CheckpointInfo(
        kind="finetune",
        encoder="resnet10t",
        width=96,
        height=64,
        classes=("car",),
        config={"embedding_dim": 8, "appearance_width": 16},
    )
    save_checkpoint(tmp_path / "run", info, detector)
    bundle = export(tmp_path / "run", tmp_path / "taught.catseye", top_k=20)
    assert bundle.manifest.embedding_dim == COLOURS + 8
    taught = [node for node in graph_of(bundle).graph.node if node.name.startswith("network/embedding/")]
    # Convolution, pooling, upsampling and plain arithmetic.
    arithmetic = {"Add", "Sub", "Mul", "Div", "Min", "Clip", "Relu", "Sqrt", "ReduceL2"}
    moving = {"Concat", "Split", "Slice", "Expand", "Unsqueeze", "Squeeze"}
    others = {node.op_type for node in taught} - arithmetic - moving
    assert (
        {"Conv", "AveragePool", "Resize"} <= others <= {"Conv", "AveragePool", "Resize", "BatchNormalization"}
    )
