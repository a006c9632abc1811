"""Bundles of a re-shaped detector: their proof, what holds them to the original, precisions and planes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import Command
from onnx import numpy_helper

import catseye
from catseye.errors import CatseyeError
from catseye.export import wrap
from catseye.export.golden import golden_inputs
from catseye.export.wrapping import reshaping_rules, wrapped_bundle
from catseye.export.wrapping.axes import Axis
from catseye.export.wrapping.original import Original, at_size
from catseye.picture_files import write_rgb
from catseye.runtime.bundle import Bundle
from catseye.runtime.bundle_entries import PARITY
from catseye.runtime.engines.base import INPUT_NAME
from catseye.runtime.manifest import Network
from catseye.runtime.verification import verify

from .conftest import NAMES, convolutions
from .sized_network import detector

SIZE = {"width": 96, "height": 64}


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of 96 × 96, and its classes' names beside it."""
    folder = tmp_path_factory.mktemp("square")
    onnx.save(detector(96, 96), folder / "square.onnx")
    (folder / "names.txt").write_text("\n".join(NAMES))
    return folder / "square.onnx"


def wrapped(model: Path, out: Path, **options: object) -> Bundle:
    given = {"decoder": "yolo11", "classes": model.with_name("names.txt"), **SIZE, **options}
    return wrap(model, out, **given)  # type: ignore[arg-type]


def test_it_is_the_bundle_of_an_export_at_that_size(square: Path, tmp_path: Path) -> None:
    bundle = wrapped(square, tmp_path / "x.catseye")
    network = bundle.manifest.network
    assert (network.width, network.height) == (96, 64)
    assert verify(bundle.path, threads=1)
    parity = json.loads(bytes(bundle.entries[PARITY]))
    assert parity["reference"].startswith("the original made 96x64 of 96x96 in onnxruntime")
    assert parity["checks"][-1]["name"] == "lost of what it finds at its own size"

    onnx.save(detector(96, 64), tmp_path / "exported.onnx")
    exported = wrapped(
        tmp_path / "exported.onnx", tmp_path / "y.catseye", classes=square.with_name("names.txt")
    )
    frame = np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8)
    found, expected = (catseye.load(each.path).predict(frame, threshold=0.0) for each in (bundle, exported))
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=0.01)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    assert len(found.scores) > 20


def test_cells_at_the_wrong_place_are_caught(
    square: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells thrice as far apart: a network as good as any, but for what the original finds."""
    right = reshaping_rules.table_at

    def far_apart(table: np.ndarray, axes: tuple[Axis, ...], *, picture: tuple[int, int]) -> np.ndarray:
        return np.asarray(right(table, axes, picture=picture) * (3 if table.shape[1] == 2 else 1))

    monkeypatch.setattr(reshaping_rules, "table_at", far_apart)
    with pytest.raises(CatseyeError, match="made 96x64 it differs from the original: lost of what it finds"):
        wrapped(square, tmp_path / "x.catseye")
    assert not (tmp_path / "x.catseye").exists()


def test_a_graph_that_was_read_wrongly_is_caught(
    square: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A weight that conversion to another operator set spoilt: what is re-shaped is no longer the file."""

    def spoilt(source: Original, **size: int | None) -> Original:
        weight = next(each for each in source.model.graph.initializer if len(each.dims) == 4)
        weight.CopyFrom(numpy_helper.from_array(1.05 * numpy_helper.to_array(weight), weight.name))
        return at_size(source, **size)  # type: ignore[arg-type]

    monkeypatch.setattr(wrapped_bundle, "at_size", spoilt)
    with pytest.raises(CatseyeError, match="at its own size"):
        wrapped(square, tmp_path / "x.catseye")


def test_planes_in_half_precision(tmp_path: Path) -> None:
    onnx.save(convolutions(), tmp_path / "detector.onnx")
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    seen = golden_inputs([], Network(width=160, height=96, batch=1), count=6, seed=5)[INPUT_NAME]
    for index, frame in enumerate(seen):
        write_rgb(tmp_path / "pictures" / f"{index}.png", frame)
    bundle = wrapped(
        tmp_path / "detector.onnx",
        tmp_path / "x.catseye",
        decoder="yolox",
        width=160,
        height=96,
        input="nv12",
        precisions=("fp32", "fp16"),
        calibration=[tmp_path / "pictures"],
    )
    assert bundle.manifest.precisions == ("fp32", "fp16")
    assert verify(bundle.path, threads=1)


def test_command_line(catseye: Command, square: Path, tmp_path: Path) -> None:
    arguments = ["wrap", square, "--decoder", "yolo11", "--classes", square.with_name("names.txt")]
    arguments += ["--out", tmp_path / "x.catseye"]
    called = catseye(*arguments, "--height", "64", "--json")
    assert called.code == 0, called.err
    network = json.loads(called.out)["network"]
    assert (network["width"], network["height"]) == (96, 64)
    wrong = catseye(*arguments, "--height", "80")
    assert wrong.code == 2
    assert "works in steps of 32 pixels, give 64 or 96" in wrong.line
