"""Decoding as ONNX nodes: a detector's own outputs to boxes in network pixels and a score for each class.

``reference`` decodes the same outputs in NumPy, apart from this, and the proof holds one to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from catseye.export.wrapping.builder import Builder
from catseye.export.wrapping.layouts import Layout


@dataclass(frozen=True)
class ByClass:
    """N candidates with a value for each of C classes.

    Args:
        boxes: name of (1, N, 4) corners in network pixels.
        values: name of (1, N, C).
        score: from the name of (1, N), each candidate's largest value, to that of its score in [0, 1]; it
            must grow with the value.
    """

    boxes: str
    values: str
    score: Callable[[str], str]


@dataclass(frozen=True)
class ByLabel:
    """N candidates of one class each: names of boxes (1, N, 4), scores (1, N), labels (1, N)."""

    boxes: str
    scores: str
    labels: str


Candidates = ByClass | ByLabel


def decode(builder: Builder, layout: Layout, *, width: int, height: int) -> Candidates:
    """Append the nodes that read ``layout.outputs`` of a network that takes width × height pixels."""
    size = np.array([width, height, width, height], dtype=np.float32)
    return _DECODES[layout.form](builder, layout, size)


def _yolox(b: Builder, layout: Layout, size: np.ndarray) -> Candidates:
    """Rows of cx cy w h objectness classes…; centres in cells from their own corner, sizes as logarithms."""
    (output,) = layout.outputs
    corners, strides = [], []
    for stride in layout.strides:
        columns, rows = int(size[0]) // stride, int(size[1]) // stride
        y, x = np.divmod(np.arange(rows * columns), columns)
        corners.append(np.stack([x, y], axis=1))
        strides.append(np.full((rows * columns, 1), stride))
    scale = b.constant(np.concatenate(strides)[None])
    cells = b.add("Add", b.columns(output, 0, 2), b.constant(np.concatenate(corners)[None]))
    centres = b.add("Mul", cells, scale)
    sizes = b.add("Mul", b.add("Exp", b.columns(output, 2, 4)), scale)
    objectness = b.reshape(b.columns(output, 4, 5), 1, -1)
    return ByClass(
        _corners(b, centres, sizes),
        b.columns(output, 5, 5 + _classes(layout)),
        lambda best: b.add("Mul", best, objectness),
    )


def _fastestdet(b: Builder, layout: Layout, size: np.ndarray) -> Candidates:
    """A map of objectness, x y (tanh, in cells), w h (sigmoid, in pictures), classes…, at one stride."""
    (output,) = layout.outputs
    (stride,) = layout.strides
    columns, rows = int(size[0]) // stride, int(size[1]) // stride
    flat = b.add("Transpose", b.reshape(output, 1, 5 + _classes(layout), rows * columns), perm=[0, 2, 1])
    y, x = np.divmod(np.arange(rows * columns), columns)
    offsets = b.add("Tanh", b.columns(flat, 1, 3))
    cells = b.add("Add", offsets, b.constant(np.stack([x, y], axis=1)[None]))
    centres = b.add("Mul", cells, b.constant(float(stride)))
    sizes = b.add("Mul", b.add("Sigmoid", b.columns(flat, 3, 5)), b.constant(size[:2]))
    objectness = b.reshape(b.columns(flat, 0, 1), 1, -1)
    return ByClass(
        _corners(b, centres, sizes),
        b.columns(flat, 5, 5 + _classes(layout)),
        lambda best: b.add("Mul", best, objectness),
    )


def _yolo(b: Builder, layout: Layout, size: np.ndarray) -> Candidates:
    """Columns of cx cy w h in network pixels and scores."""
    (output,) = layout.outputs
    rows = b.add("Transpose", output, perm=[0, 2, 1])
    boxes = _corners(b, b.columns(rows, 0, 2), b.columns(rows, 2, 4))
    return ByClass(boxes, b.columns(rows, 4, 4 + _classes(layout)), lambda best: best)


def _end_to_end(b: Builder, layout: Layout, size: np.ndarray) -> Candidates:
    """Rows of x1 y1 x2 y2 in network pixels, score, class."""
    (output,) = layout.outputs
    scores, labels = (b.reshape(b.columns(output, at, at + 1), 1, -1) for at in (4, 5))
    return ByLabel(b.columns(output, 0, 4), scores, labels)


def _detr(b: Builder, layout: Layout, size: np.ndarray) -> Candidates:
    """Queries' cx cy w h in pictures, and class logits."""
    boxes, logits = layout.outputs
    return ByClass(_of_picture(b, boxes, size), logits, lambda best: b.add("Sigmoid", best))


def _detr_joined(b: Builder, layout: Layout, size: np.ndarray) -> Candidates:
    """Rows of cx cy w h in pictures and scores."""
    (output,) = layout.outputs
    boxes = _of_picture(b, b.columns(output, 0, 4), size)
    return ByClass(boxes, b.columns(output, 4, 4 + _classes(layout)), lambda best: best)


def _detr_picked(b: Builder, layout: Layout, size: np.ndarray) -> Candidates:
    """Rows of cx cy w h in pictures, score, class: what Ultralytics exports of RT-DETR of late."""
    (output,) = layout.outputs
    scores, labels = (b.reshape(b.columns(output, at, at + 1), 1, -1) for at in (4, 5))
    return ByLabel(_of_picture(b, b.columns(output, 0, 4), size), scores, labels)


def _detr_decoded(b: Builder, layout: Layout, size: np.ndarray) -> Candidates:
    """Corners in pixels of the size that the second input names, which is the network's; scores; labels."""
    boxes, scores, labels = layout.outputs
    return ByLabel(boxes, scores, labels)


_DECODES: dict[str, Callable[[Builder, Layout, np.ndarray], Candidates]] = {
    "yolox": _yolox,
    "fastestdet": _fastestdet,
    "yolo": _yolo,
    "end_to_end": _end_to_end,
    "detr": _detr,
    "detr_joined": _detr_joined,
    "detr_picked": _detr_picked,
    "detr_decoded": _detr_decoded,
}


def _of_picture(b: Builder, boxes: str, size: np.ndarray) -> str:
    scaled = b.add("Mul", boxes, b.constant(size))
    return _corners(b, b.columns(scaled, 0, 2), b.columns(scaled, 2, 4))


def _corners(b: Builder, centres: str, sizes: str) -> str:
    half = b.add("Mul", sizes, b.constant(0.5))
    return b.add("Concat", b.add("Sub", centres, half), b.add("Add", centres, half), axis=-1)


def _classes(layout: Layout) -> int:
    assert layout.classes is not None, layout.form
    return layout.classes
