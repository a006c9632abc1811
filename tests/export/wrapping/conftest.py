"""Small networks with the outputs of each known detector, exactly laid out; nothing in them was trained.

Scores follow the picture's mean colour, each channel in its own measure, so that a wrong order of channels or
a wrong normalisation shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from catseye.capture.writer import VideoWriter

WIDTH, HEIGHT = 96, 64
NAMES = ("person", "car", "bus", "truck")
CELLS = 12 * 8 + 6 * 4 + 3 * 2  # at strides 8, 16 and 32

Arrays = Mapping[str, NDArray[np.float32]]
Write = Callable[..., Path]


def outputs_of(form: str) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """A detector's outputs for a black picture, and what a unit of colour adds to each."""
    draw = np.random.default_rng(7)
    count = CELLS if form in {"yolox", "yolo"} else 24
    centres = draw.uniform(0.2, 0.8, (count, 2))
    sizes = draw.uniform(0.1, 0.4, (count, 2))
    pictured = np.concatenate([centres, sizes], axis=1)
    pixels = pictured * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    corners = np.concatenate([pixels[:, :2] - pixels[:, 2:] / 2, pixels[:, :2] + pixels[:, 2:] / 2], axis=1)
    scores = draw.uniform(0.01, 0.8, (count, len(NAMES)))
    grown = np.full((count, len(NAMES)), 0.1)
    labels = draw.integers(0, len(NAMES), count)
    one = np.ones((count, 1))
    picked, grown_picked = scores[:, :1], grown[:, :1]
    zero4, zero = np.zeros((count, 4)), np.zeros((count, 1))
    raw = draw.uniform(-0.5, 0.5, (count, 4))
    table = {
        "yolox": (
            {"output": np.hstack([raw, 0.9 * one, scores])},
            {"output": np.hstack([zero4, zero, grown])},
        ),
        "fastestdet": (
            {"758": np.hstack([0.9 * one, raw, scores]).T.reshape(9, -1, 6)},
            {"758": np.hstack([zero, zero4, grown]).T.reshape(9, -1, 6)},
        ),
        "yolo": ({"output0": np.hstack([pixels, scores]).T}, {"output0": np.hstack([zero4, grown]).T}),
        "end_to_end": (
            {"output0": np.hstack([corners, picked, labels[:, None]])},
            {"output0": np.hstack([zero4, grown_picked, zero])},
        ),
        "detr": (
            {"logits": 4 * scores - 2, "pred_boxes": pictured},
            {"logits": grown, "pred_boxes": zero4},
        ),
        "detr_joined": ({"output0": np.hstack([pictured, scores])}, {"output0": np.hstack([zero4, grown])}),
        "detr_picked": (
            {"output0": np.hstack([pictured, picked, labels[:, None]])},
            {"output0": np.hstack([zero4, grown_picked, zero])},
        ),
        "detr_decoded": (
            {"labels": labels, "boxes": corners / [WIDTH, HEIGHT, WIDTH, HEIGHT], "scores": scores[:, 0]},
            {"labels": 0 * labels, "boxes": zero4, "scores": grown[:, 0]},
        ),
    }
    at_rest, by_colour = table[form]
    return (
        {name: array[None].astype(np.float32) for name, array in at_rest.items()},
        {name: array[None].astype(np.float32) for name, array in by_colour.items()},
    )


def network(
    at_rest: Arrays,
    by_colour: Arrays,
    *,
    divisor: float = 255.0,
    opset: int = 11,
    picture: str = "images",
    dims: tuple[int | str, ...] = (1, 3, HEIGHT, WIDTH),
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """``at_rest`` plus ``by_colour`` times a weighted mean of the channels (levels of 0…255 / divisor)."""
    weights = {"channels": np.array([[0.1], [0.3], [0.6]], np.float32) * divisor / 255}
    nodes = [
        helper.make_node("GlobalAveragePool", [picture], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"]),
        helper.make_node("MatMul", ["mean", "channels"], ["light"]),
        helper.make_node("Reshape", ["light", "scalar"], ["scores_before"]),
    ]
    inputs = [helper.make_tensor_value_info(picture, TensorProto.FLOAT, dims)]
    sized = "labels" in at_rest
    if sized:
        inputs.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, (1, 2)))
        nodes += [
            helper.make_node("Cast", ["orig_target_sizes"], ["sizes"], to=TensorProto.FLOAT),
            helper.make_node("Concat", ["sizes", "sizes"], ["four"], axis=1),
        ]
    outputs, numbers = [], [numpy_helper.from_array(np.array([1], np.int64), "scalar")]
    for name, array in at_rest.items():
        weights[f"{name}_rest"], weights[f"{name}_gain"] = array, by_colour[name]
        made = f"{name}_float" if sized and name != "scores" else name
        nodes += [
            helper.make_node("Mul", [f"{name}_gain", "scores_before"], [f"{name}_added"]),
            helper.make_node("Add", [f"{name}_rest", f"{name}_added"], [made]),
        ]
        kind = TensorProto.FLOAT
        if sized and name == "labels":
            kind = TensorProto.INT64
            nodes.append(helper.make_node("Cast", [made], [name], to=kind))
        elif sized and name == "boxes":
            nodes.append(helper.make_node("Mul", [made, "four"], [name]))
        outputs.append(helper.make_tensor_value_info(name, kind, array.shape))
    numbers += [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "small", inputs, outputs, numbers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)
    helper.set_model_props(model, dict(metadata or {}))
    return model


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a small network of one form; keyword arguments as of ``network``."""

    def written(form: str, **options: object) -> Path:
        path = tmp_path / f"{form}.onnx"
        options.setdefault("metadata", {"names": repr(dict(enumerate(NAMES)))})
        onnx.save(network(*outputs_of(form), **options), path)  # type: ignore[arg-type]
        return path

    return written


def convolutions() -> onnx.ModelProto:
    """A detector of YOLOX's layout made of convolutions; all nodes but one have no name."""
    draw = np.random.default_rng(3)
    nodes, weights, rows = [], [], []

    def node(operator: str, *inputs: str, name: str = "", **attributes: object) -> str:
        output = f"{operator}:{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    def constant(values: object, dtype: object = np.float32) -> str:
        weights.append(numpy_helper.from_array(np.asarray(values, dtype), f"weight:{len(weights)}"))
        return weights[-1].name

    def convolve(maps: str, *, to: int, step: int, scale: float, name: str = "") -> str:
        given = 3 if maps == "images" else 8
        kernel = constant(scale * draw.standard_normal((to, given, step, step)))
        bias = constant(draw.uniform(-0.5, 0.5, to))
        return node("Conv", maps, kernel, bias, name=name, strides=[step, step])

    maps = "images"
    for step, scale in ((8, 1e-3), (2, 0.3), (2, 0.3)):
        before = convolve(maps, to=8, step=step, scale=scale, name="stem" if step == 8 else "")
        maps = node("Mul", before, node("Sigmoid", before))
        found = convolve(maps, to=5 + len(NAMES), step=1, scale=0.5)
        rows.append(node("Reshape", found, constant([1, 5 + len(NAMES), -1], np.int64)))
    flat = node("Transpose", node("Concat", *rows, axis=2), perm=[0, 2, 1])
    part = {at: constant([at], np.int64) for at in (0, 4, 5 + len(NAMES), 2)}
    boxes = node("Slice", flat, part[0], part[4], part[2])
    scores = node("Sigmoid", node("Slice", flat, part[4], part[5 + len(NAMES)], part[2]))
    nodes.append(helper.make_node("Concat", [boxes, scores], ["output"], axis=2))
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, HEIGHT, WIDTH))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, (1, CELLS, 5 + len(NAMES)))],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


@pytest.fixture(scope="session")
def proof_videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four of one frame, each of another colour."""
    folder = tmp_path_factory.mktemp("proof")
    paths = []
    for number, colour in enumerate([(200, 40, 90), (20, 180, 30), (60, 60, 220), (130, 120, 110)]):
        paths.append(folder / f"{number}.mp4")
        with VideoWriter(paths[-1], width=96, height=64, time_base=Fraction(1, 10)) as writer:
            writer.write_rgb(np.full((64, 96, 3), colour, np.uint8), pts=0)
    return paths
