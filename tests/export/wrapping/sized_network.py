"""A small detector as YOLO's exporters write one: its size is folded into constants all over the graph.

Weights are the same at any size, so that the network of one size, re-shaped, must be that of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES, CHANNELS, BINS = 4, 8, 4
END = 2**63 - 1


@dataclass
class Graph:
    """Nodes and constants, and the sizes of three levels of maps; weights come from one seed in turn."""

    width: int
    height: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    def node(
        self, operator: str, *inputs: str, outputs: int = 1, name: str = "", **attributes: object
    ) -> str:
        made = [f"{operator}:{len(self.nodes)}" + (f":{at}" if at else "") for at in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, made, name=name or made[0], **attributes))
        return made[0]

    def constant(self, values: object, dtype: object = np.float32) -> str:
        self.weights.append(
            numpy_helper.from_array(np.asarray(values, dtype), f"constant:{len(self.weights)}")
        )
        return self.weights[-1].name

    def shape(self, *sizes: int) -> str:
        return self.constant(sizes, np.int64)

    def convolve(self, maps: str, given: int, to: int, step: int = 1) -> str:
        scale = 1 / np.sqrt(given * step * step)
        kernel = self.constant(scale * self.draw.standard_normal((to, given, step, step)))
        return self.node(
            "Conv", maps, kernel, self.constant(self.draw.uniform(-0.5, 0.5, to)), strides=[step, step]
        )

    def map(self, stride: int) -> tuple[int, int]:
        return self.height // stride, self.width // stride


Part = Callable[[Graph, str, int, int], str]
"""From maps (1, 8, rows, columns) and rows and columns to other such maps."""


def focus(g: Graph, maps: str) -> str:
    """YOLOX's stem: each second pixel; once with ends open, once as they are."""
    axes, steps, parts = g.shape(2, 3), g.shape(2, 2), []
    for y, x in ((0, 0), (1, 0), (0, 1), (1, 1)):
        ends = (END, END) if y == x else (g.height, g.width)
        parts.append(g.node("Slice", maps, g.shape(y, x), g.shape(*ends), axes, steps))
    return g.node("Concat", *parts, axis=1)


def shuffle(g: Graph, maps: str, rows: int, columns: int) -> str:
    """ShuffleNet's: channels dealt to two hands."""
    halves = g.node("Reshape", maps, g.shape(CHANNELS // 2, 2, rows * columns))
    dealt = g.node("Transpose", halves, perm=[1, 0, 2])
    hands = g.node("Reshape", dealt, g.shape(2, -1, CHANNELS // 2, rows, columns))
    parts = [g.node("Gather", hands, g.constant(at, np.int64), axis=0) for at in (0, 1)]
    return g.node("Concat", *parts, axis=1)


def attention(g: Graph, maps: str, rows: int, columns: int) -> str:
    """YOLO11's: two heads over all places."""
    flat = g.node("Reshape", g.convolve(maps, CHANNELS, 3 * CHANNELS), g.shape(1, 2, 12, rows * columns))
    query = g.node("Split", flat, g.shape(4, 4, 4), outputs=3, axis=2)
    key, value = f"{query}:1", f"{query}:2"
    alike = g.node("Softmax", g.node("MatMul", g.node("Transpose", query, perm=[0, 1, 3, 2]), key), axis=-1)
    mixed = g.node("MatMul", value, g.node("Transpose", alike, perm=[0, 1, 3, 2]))
    return g.node("Add", maps, g.node("Reshape", mixed, g.shape(1, CHANNELS, rows, columns)))


def context(g: Graph, maps: str, rows: int, columns: int) -> str:
    """The mean over the map by a window as large as it, and over channels, repeated for each of them."""
    mean = g.node("AveragePool", maps, kernel_shape=[rows, columns])
    flat = g.node("ReduceMean", maps, g.shape(1), keepdims=1)
    repeated = g.node("Expand", flat, g.shape(1, CHANNELS, rows, columns))
    return g.node("Add", g.node("Add", maps, mean), repeated)


def padded(g: Graph, maps: str, rows: int, columns: int) -> str:
    """A border, and a window that takes it away again."""
    wide = g.node("Pad", maps, g.shape(0, 0, 1, 1, 0, 0, 1, 1))
    return g.node("MaxPool", wide, kernel_shape=[3, 3], strides=[1, 1])


PARTS: dict[str, Part] = {
    "shuffle": shuffle,
    "attention": attention,
    "context": context,
    "padded": padded,
}


def detector(
    width: int,
    height: int,
    *,
    parts: tuple[Part, ...] = tuple(PARTS.values()),
    picked: bool = False,
) -> onnx.ModelProto:
    """YOLO's three levels with the given parts at stride 16, decoded to (1, 4 + C, N) pixels and scores,
    or, if ``picked``, to the best (1, 16, 6)."""
    g = Graph(width, height)
    small = g.convolve(focus(g, "images"), 12, CHANNELS, 4)
    middle = g.convolve(g.node("Tanh", small), CHANNELS, CHANNELS, 2)
    for part in parts:
        middle = part(g, g.node("Tanh", middle), *g.map(16))
    large = g.convolve(g.node("Tanh", middle), CHANNELS, CHANNELS, 2)
    up = g.node("Resize", large, "", "", g.shape(1, CHANNELS, *g.map(16)), mode="nearest")
    middle = g.node("Add", middle, up)
    up = g.node("Resize", middle, "", g.constant([1, 1, 2, 2]), mode="nearest")
    boxes, scores = [], []
    for maps, stride in ((g.node("Add", small, up), 8), (middle, 16), (large, 32)):
        rows, columns = g.map(stride)
        boxes.append(
            g.node("Reshape", g.convolve(maps, CHANNELS, 4 * BINS), g.shape(1, 4 * BINS, rows * columns))
        )
        scores.append(g.node("Reshape", g.convolve(maps, CHANNELS, CLASSES), g.shape(1, CLASSES, -1)))
    decoded(g, boxes, scores, picked=picked)
    cells = sum(rows * columns for rows, columns in map(g.map, (8, 16, 32)))
    graph = helper.make_graph(
        g.nodes,
        "sized",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, height, width))],
        [
            helper.make_tensor_value_info(
                "output0", TensorProto.FLOAT, (1, 16, 6) if picked else (1, 4 + CLASSES, cells)
            )
        ],
        g.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def decoded(g: Graph, boxes: list[str], scores: list[str], *, picked: bool) -> None:
    """Distances as distributions over bins, from the centres of cells, in pixels by each level's stride."""
    cells = [rows * columns for rows, columns in map(g.map, (8, 16, 32))]
    total = sum(cells)
    bins = g.node("Reshape", g.node("Concat", *boxes, axis=2), g.shape(1, 4, BINS, total))
    shares = g.node("Softmax", g.node("Transpose", bins, perm=[0, 2, 1, 3]), axis=1)
    kernel = g.constant(np.arange(BINS).reshape(1, BINS, 1, 1))
    sides = g.node("Reshape", g.node("Conv", shares, kernel), g.shape(1, 4, total))
    centres = g.constant(np.concatenate([grid(*g.map(stride)) for stride in (8, 16, 32)], axis=1)[None])
    near, far = (g.node("Slice", sides, *(g.shape(at) for at in limits)) for limits in ((0, 2, 1), (2, 4, 1)))
    first, last = g.node("Sub", centres, near), g.node("Add", centres, far)
    middle = g.node("Div", g.node("Add", first, last), g.constant(2))
    box = g.node("Concat", middle, g.node("Sub", last, first), axis=1)
    strides = g.constant(np.repeat([8, 16, 32], cells)[None])
    levels = g.node("Split", g.node("Mul", box, strides), g.shape(*cells), outputs=3, axis=2)
    box = g.node("Concat", levels, f"{levels}:1", f"{levels}:2", axis=2)
    score = g.node("Sigmoid", g.node("Concat", *scores, axis=2))
    if not picked:
        g.nodes.append(helper.make_node("Concat", [box, score], ["output0"], name="output", axis=1))
        return
    rows, values = (g.node("Transpose", each, perm=[0, 2, 1]) for each in (box, score))
    best = g.node("ReduceMax", values, g.shape(-1), keepdims=0)
    found = g.node("TopK", best, g.shape(16), outputs=2, axis=1)
    at = g.node("Unsqueeze", f"{found}:1", g.shape(2))
    chosen = g.node("GatherElements", rows, g.node("Expand", at, g.shape(1, 1, 4)), axis=1)
    kinds = g.node("ArgMax", values, axis=2, keepdims=1)
    kind = g.node("Cast", g.node("GatherElements", kinds, at, axis=1), to=TensorProto.FLOAT)
    score = g.node("Unsqueeze", found, g.shape(2))
    g.nodes.append(helper.make_node("Concat", [chosen, score, kind], ["output0"], name="output", axis=2))


def grid(rows: int, columns: int) -> np.ndarray:
    """Centres (2, cells) of the cells of a map, in cells."""
    y, x = np.mgrid[:rows, :columns] + 0.5
    return np.stack([x.ravel(), y.ravel()])
