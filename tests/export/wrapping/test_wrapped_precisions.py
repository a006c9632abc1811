"""fp16 and int8 of someone else's detector, and the gate that holds them to what it finds."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import Command
from onnx import TensorProto, numpy_helper
from tensorrt_operators import LISTS, refusals

import catseye
from catseye.capture.geometry import rgb_from_yuv
from catseye.errors import CatseyeError, UsageError
from catseye.export import wrap
from catseye.export.gate import Budget
from catseye.export.golden import golden_inputs
from catseye.export.held_out import HeldOut
from catseye.export.wrapping import composition
from catseye.picture_files import write_rgb
from catseye.runtime.bundle import Bundle
from catseye.runtime.engines.base import INPUT_NAME
from catseye.runtime.manifest import Colour, Network
from catseye.runtime.plan import build_plan
from catseye.runtime.precision import PRECISIONS
from catseye.runtime.verification import verify

from .conftest import HEIGHT, NAMES, WIDTH, convolutions

STILLS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector, its names, pictures, and labels that say what it finds in these."""
    folder = tmp_path_factory.mktemp("convolutions")
    onnx.save(convolutions(), folder / "detector.onnx")
    (folder / "names.txt").write_text("\n".join(NAMES))
    frames = golden_inputs([], Network(width=WIDTH, height=HEIGHT, batch=1), count=STILLS, seed=5)[INPUT_NAME]
    for index, frame in enumerate(frames):
        write_rgb(folder / "images" / f"{index}.png", frame)
    model = catseye.load(wrapped(folder, folder / "fp32.catseye").path)
    found = [model.predict(frame, threshold=0.0) for frame in frames]
    least = np.quantile(np.concatenate([each.scores for each in found]), 0.8)
    annotations = [
        {"image_id": image, "category_id": int(kind), "bbox": [*box[:2], *(box[2:] - box[:2])], "iscrowd": 0}
        for image, each in enumerate(found)
        for box, score, kind in zip(each.boxes_xyxy, each.scores, each.classes, strict=True)
        if score >= least and (box[2:] - box[:2]).min() >= 1
    ]
    document = {
        "images": [
            {"id": index, "file_name": f"{index}.png", "width": WIDTH, "height": HEIGHT}
            for index in range(STILLS)
        ],
        "annotations": [{**each, "id": index} for index, each in enumerate(annotations)],
        "categories": [{"id": index, "name": name} for index, name in enumerate(NAMES)],
    }
    (folder / "labels.json").write_text(json.dumps(document, default=float))
    return folder


def wrapped(
    folder: Path,
    out: Path,
    *,
    precisions: Sequence[str] = ("fp32",),
    float_nodes: Sequence[str] = (),
    budget: Budget | None = None,
) -> Bundle:
    held_out = HeldOut(labels=folder / "labels.json", images=folder / "images")
    return wrap(
        folder / "detector.onnx",
        out,
        decoder="yolox",
        classes=folder / "names.txt",
        precisions=precisions,
        calibration=[folder / "images"],
        float_nodes=float_nodes,
        held_out=None if budget is None else held_out,
        budget=budget,
    )


def test_three_precisions_pass_the_gate_and_prove_themselves(folder: Path, tmp_path: Path) -> None:
    bundle = wrapped(folder, tmp_path / "x.catseye", precisions=PRECISIONS, budget=Budget(ap_points=20))
    manifest = bundle.manifest
    assert manifest.precisions == PRECISIONS
    assert manifest.verdicts["fp32"].figures["ap50"] > 0.4
    assert "within budget: AP" in manifest.verdicts["int8"].reason
    assert manifest.verdicts["int8"].figures["stills"] == STILLS
    assert verify(bundle.path, threads=1)
    operators = [node.op_type for node in onnx.load_from_string(bundle.graph("int8")).graph.node]
    # Three layers predict and stay float; of the other three inputs and weights are quantised.
    assert operators.count("QuantizeLinear") == 3 and operators.count("DequantizeLinear") == 6
    halves = onnx.load_from_string(bundle.graph("fp16")).graph.initializer
    assert sum(weight.data_type == TensorProto.FLOAT16 for weight in halves) >= 12
    for precision in PRECISIONS:
        for release in LISTS:
            assert refusals(bundle.graph(precision), release) == [], (precision, release)


def test_nodes_have_names_of_their_own_and_stay_float_by_them(folder: Path, tmp_path: Path) -> None:
    layer = "model/Conv_2"
    bundle = wrapped(folder, tmp_path / "x.catseye", precisions=("int8",), float_nodes=(layer,))
    nodes = onnx.load_from_string(bundle.graph()).graph.node
    assert len({node.name for node in nodes}) == len(nodes)
    assert [node.name for node in nodes if node.op_type == "Conv"][:3] == [
        "model/stem",
        "model/Conv_1",
        layer,
    ]
    int8 = [node for node in onnx.load_from_string(bundle.graph("int8")).graph.node if node.op_type == "Conv"]
    restored = [node.name for node in int8 if node.input[1].endswith(":restored")]
    assert restored == ["model/stem", "model/Conv_4"]


def test_the_gate_moves_foreign_layers_to_float_or_leaves_int8_out(folder: Path, tmp_path: Path) -> None:
    bundle = wrapped(folder, tmp_path / "x.catseye", precisions=("int8",), budget=Budget(ap_points=0))
    verdict = bundle.manifest.verdicts["int8"]
    assert verdict.figures["float_layers"] > 0
    assert verdict.accepted == ("int8" in bundle.manifest.precisions) == ("within budget" in verdict.reason)


def test_planes_in_every_precision(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "decoder": "yolox",
        "classes": folder / "names.txt",
        "precisions": PRECISIONS,
        "calibration": [folder / "images"],
        "input": "nv12",
        "matrix": "bt601",
    }
    bundle = wrap(folder / "detector.onnx", tmp_path / "x.catseye", **given)  # type: ignore[arg-type]
    assert bundle.manifest.precisions == PRECISIONS
    assert bundle.manifest.network.colour == Colour(matrix="bt601")
    assert verify(bundle.path, threads=1)
    for precision in PRECISIONS:
        assert refusals(bundle.graph(precision), "10.3") == [], precision
        if importlib.util.find_spec("tensorrt_rtx_bindings") is not None:
            plan = build_plan(bundle.graph(precision), backend="tensorrt-rtx", compute_capabilities=["SM86"])
            assert plan.report.layers > 10
    int8 = onnx.load_from_string(bundle.graph("int8")).graph
    (mixing,) = [node for node in int8.node if node.name == "prologue/Conv_1"]
    assert not mixing.input[1].endswith(":restored")
    frame = np.full((HEIGHT, WIDTH, 3), (210, 30, 90), dtype=np.uint8)
    found = catseye.load(bundle.path).predict(frame, threshold=0.0)
    as_rgb = catseye.load(folder / "fp32.catseye").predict(frame, threshold=0.0)
    np.testing.assert_allclose(found.scores[:5], as_rgb.scores[:5], atol=0.02)
    other = rgb_from_yuv("bt709", full_range=False)
    monkeypatch.setattr(composition, "rgb_from_yuv", lambda matrix, full_range: other)
    with pytest.raises(CatseyeError, match="differs from the original"):
        wrap(folder / "detector.onnx", tmp_path / "y.catseye", **given)  # type: ignore[arg-type]


def test_what_cannot_be_is_one_line(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.catseye"
    held_out = HeldOut(labels=folder / "labels.json", dataset="d")
    with pytest.raises(UsageError, match="boxes only"):
        wrap(folder / "detector.onnx", out, decoder="yolox", held_out=held_out)
    with pytest.raises(UsageError, match="int8 needs footage"):
        wrap(folder / "detector.onnx", out, decoder="yolox", precisions=("int8",))
    model = onnx.load(folder / "detector.onnx")
    for weight in model.graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype == np.float32:
            weight.CopyFrom(numpy_helper.from_array(array.astype(np.float16), weight.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, tmp_path / "half.onnx")
    names = folder / "names.txt"
    with pytest.raises(UsageError, match="is not in float32: export it so"):
        wrap(tmp_path / "half.onnx", out, decoder="yolox", classes=names, precisions=("fp16",))
    assert not out.exists()


def test_the_verb_says_what_came_of_each(folder: Path, tmp_path: Path, catseye: Command) -> None:
    given = [folder / "detector.onnx", "--decoder", "yolox", "--classes", folder / "names.txt"]
    gated: list[str | Path] = [
        "--labels",
        folder / "labels.json",
        "--images",
        folder / "images",
        "--ap-budget",
        "20",
    ]
    gated += ["--calibration", folder / "images"]
    said = catseye("wrap", *given, *gated, "--precisions", "fp32,fp16", "--out", tmp_path / "x.catseye")
    assert said.code == 0
    assert "fp16: within budget" in said.out
