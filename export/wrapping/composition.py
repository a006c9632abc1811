"""The wrapped graph: our input, the model's own preprocessing, the model, its decoding, our outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from catseye.capture.geometry import rgb_from_yuv
from catseye.export.onnx_files import checked, only_outputs, strip
from catseye.export.wrapping.builder import Builder
from catseye.export.wrapping.class_map import ClassMap
from catseye.export.wrapping.heads import ByLabel, Candidates, decode
from catseye.export.wrapping.layouts import Decoder, Layout, Port
from catseye.export.wrapping.original import Original
from catseye.runtime.engines.base import INPUT_NAME, INPUT_NAMES
from catseye.runtime.manifest import Colour, Network

OUTPUTS = ("boxes", "scores", "classes")
DENSE_OUTPUTS = ("dense_boxes", "dense_scores")
"""Every candidate's box (1, N, 4), unclipped, and score (1, N), before the best are taken."""

_MODEL = "model/"


@dataclass(frozen=True)
class WrappedGraph:
    """The same graph twice, as serialised ONNX: ``deployed``, and ``with_dense`` with ``DENSE_OUTPUTS`` too.

    ``top_k`` is how many detections it gives, which is no more than there are candidates.
    """

    deployed: bytes
    with_dense: bytes
    top_k: int


def compose_graph(
    original: Original, decoder: Decoder, layout: Layout, class_map: ClassMap, *, network: Network, top_k: int
) -> WrappedGraph:
    """Build the graph for the inputs that ``network`` says it has: an RGB frame, or the planes of one.

    Raises:
        InputError: the model uses what a bundle may not hold.
    """
    size = {"width": original.width, "height": original.height}
    model = compose.add_prefix(original.model, _MODEL)
    _name_nodes(model)
    before, after = Builder("prologue"), Builder("decode")
    _preprocess(before, decoder, original.frames, network.colour)
    if original.sizes is not None:
        sizes = np.array([[size["width"], size["height"]]], dtype=original.sizes.dtype)
        before.add("Identity", before.constant(sizes, sizes.dtype), output=_MODEL + original.sizes.name)
    layout = replace(
        layout, outputs=tuple(_as_float(after, _port(original, name)) for name in layout.outputs)
    )
    candidates = _mapped(after, decode(after, layout, **size), class_map)
    dense = _best(after, candidates)
    top_k = min(top_k, layout.candidates)
    _select(after, candidates, dense, top_k=top_k, **size)
    whole = _assemble(before, model, after, candidates=layout.candidates, top_k=top_k, network=network)
    subject = f"{original.path}: wrapped"
    return WrappedGraph(
        deployed=checked(only_outputs(whole, OUTPUTS), subject=subject),
        with_dense=checked(whole, subject=subject),
        top_k=top_k,
    )


def _name_nodes(model: onnx.ModelProto) -> None:
    """Give each node that has none a name of its own: layers are moved back to float by name."""
    taken = {node.name for node in model.graph.node}
    for node in model.graph.node:
        if not node.name:
            node.name = next(name for n in count(1) if (name := f"{_MODEL}{node.op_type}_{n}") not in taken)
            taken.add(node.name)


def _preprocess(b: Builder, decoder: Decoder, frames: Port, colour: Colour | None) -> None:
    """Bytes to what the model was trained on; cast first, TensorRT transposes no bytes."""
    made = _of_rgb(b, decoder) if colour is None else _of_planes(b, decoder, colour)
    b.add("Cast", made, output=_MODEL + frames.name, to=_elem_type(frames))


def _of_rgb(b: Builder, decoder: Decoder) -> str:
    levels = b.add("Cast", INPUT_NAME, to=TensorProto.FLOAT)
    if decoder.divisor != 1:
        levels = b.add("Mul", levels, b.constant(1 / decoder.divisor))
    planes = b.add("Transpose", levels, perm=[0, 3, 1, 2])
    if decoder.colours == "bgr":  # planes are whole blocks to copy by now
        planes = b.add("Gather", planes, b.constant([2, 1, 0], np.int64), axis=1)
    return planes


def _of_planes(b: Builder, decoder: Decoder, colour: Colour) -> str:
    """As ``graph.Nv12Prologue`` does it: chroma doubled bilinearly, then one matrix for all the rest."""
    luma, chroma = (b.add("Cast", name, to=TensorProto.FLOAT) for name in INPUT_NAMES["nv12"])
    halves = b.add("Transpose", chroma, perm=[0, 3, 1, 2])
    doubled = b.add("Resize", halves, "", b.constant([1, 1, 2, 2]), mode="linear")
    yuv = b.add("Concat", b.add("Unsqueeze", luma, b.constant([1], np.int64)), doubled, axis=1)
    matrix = rgb_from_yuv(colour.matrix, full_range=colour.full_range) / decoder.divisor
    if decoder.colours == "bgr":
        matrix = matrix[::-1]
    mixed = b.add("Conv", yuv, b.constant(matrix[:, :3, None, None]), b.constant(matrix[:, 3]))
    return b.add("Clip", mixed, b.constant(0), b.constant(255 / decoder.divisor))


def _as_float(b: Builder, port: Port) -> str:
    """An output of the model below its new name, in single precision, in which boxes are decoded."""
    name = _MODEL + port.name
    is_half = port.dtype == "float16"
    return b.add("Cast", name, to=TensorProto.FLOAT) if is_half else name


def _mapped(b: Builder, candidates: Candidates, class_map: ClassMap) -> Candidates:
    """The candidates with the bundle's classes for the model's."""
    if isinstance(candidates, ByLabel):
        return _relabelled(b, candidates, class_map)
    if class_map.is_identity:
        return candidates
    values = candidates.values
    if all(len(group) == 1 for group in class_map.groups):
        kept = [index for (index,) in class_map.groups]
        return replace(candidates, values=b.add("Gather", values, b.constant(kept, np.int64), axis=2))
    parts = []
    for group in class_map.groups:
        part = b.add("Gather", values, b.constant(group, np.int64), axis=2)
        axes = b.constant([2], np.int64)
        parts.append(b.add("ReduceMax", part, axes, keepdims=1) if len(group) > 1 else part)
    return replace(candidates, values=parts[0] if len(parts) == 1 else b.add("Concat", *parts, axis=2))


def _relabelled(b: Builder, candidates: ByLabel, class_map: ClassMap) -> ByLabel:
    """Look labels up; a class that is not kept, and a label that is none, get score 0."""
    become = np.full(class_map.total + 1, 0)
    counts = np.zeros(class_map.total + 1)
    for index, group in enumerate(class_map.groups):
        become[list(group)], counts[list(group)] = index, 1
    labels = b.add("Cast", candidates.labels, to=TensorProto.FLOAT)
    limits = b.constant(0), b.constant(class_map.total)
    known = b.add("Cast", b.add("Clip", labels, *limits), to=TensorProto.INT64)
    scores = b.add("Mul", candidates.scores, b.add("Gather", b.constant(counts), known, axis=0))
    return ByLabel(candidates.boxes, scores, b.add("Gather", b.constant(become, np.int64), known, axis=0))


def _best(b: Builder, candidates: Candidates) -> str:
    """Score (1, N) of each candidate's best class, as the output ``dense_scores``."""
    scores = (
        candidates.scores
        if isinstance(candidates, ByLabel)
        else candidates.score(b.add("ReduceMax", candidates.values, b.constant([2], np.int64), keepdims=0))
    )
    b.add("Identity", candidates.boxes, output="dense_boxes")
    return b.add("Identity", scores, output="dense_scores")


def _select(b: Builder, candidates: Candidates, scores: str, *, top_k: int, width: int, height: int) -> None:
    """The best candidates, best first. Classes are compared for these alone, which saves most of the work."""
    best, at = b.top_k(scores, top_k)
    rows = b.reshape(at, top_k)
    b.add("Identity", best, output="scores")
    boxes = b.add("Gather", candidates.boxes, rows, axis=1)
    above = b.add("Max", boxes, b.constant(0))
    b.add("Min", above, b.constant([width, height, width, height]), output="boxes")
    if isinstance(candidates, ByLabel):
        classes = b.add("Gather", candidates.labels, rows, axis=1)
    else:
        values = b.add("Gather", candidates.values, rows, axis=1)
        classes = b.add("ArgMax", values, axis=2, keepdims=0)
    b.add("Cast", classes, output="classes", to=TensorProto.INT32)


def _assemble(
    before: Builder,
    model: onnx.ModelProto,
    after: Builder,
    *,
    candidates: int,
    top_k: int,
    network: Network,
) -> onnx.ModelProto:
    shapes = {
        "boxes": (1, top_k, 4),
        "scores": (1, top_k),
        "classes": (1, top_k),
        "dense_boxes": (1, candidates, 4),
        "dense_scores": (1, candidates),
    }
    graph = helper.make_graph(
        [*before.nodes, *model.graph.node, *after.nodes],
        "catseye",
        [
            helper.make_tensor_value_info(value.name, TensorProto.UINT8, value.shape)
            for value in network.inputs()
        ],
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT32 if name == "classes" else TensorProto.FLOAT, shape
            )
            for name, shape in shapes.items()
        ],
        [*before.constants, *model.graph.initializer, *after.constants],
    )
    whole = helper.make_model(
        graph, opset_imports=[entry for entry in model.opset_import if not entry.domain]
    )
    strip(whole)
    return onnx.shape_inference.infer_shapes(whole, strict_mode=True, data_prop=True)


def _port(original: Original, name: str) -> Port:
    return next(port for port in original.outputs if port.name == name)


def _elem_type(port: Port) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(port.dtype)))
