"""A float32 graph in int8: pairs of QuantizeLinear and DequantizeLinear where TensorRT fuses them.

What NVIDIA's guidance on explicit quantisation comes to for these networks: the input and the weights of a
convolution are quantised, its output is not, since the next layer's pair stands behind the activation. Where
a convolution is added to another path, the other path is quantised, so that convolution, sum and activation
become one kernel. Zero points are 0; weights have a scale for each output channel, activations one. Biases
stay float, since TensorRT reads no int32 ones. The last layers and all that decodes stay float32, and so does
what prepares the input.

Weights are stored as int8, a quarter of the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from catseye.export.activation_ranges import STEPS
from catseye.export.half import require_nodes
from catseye.export.onnx_files import checked, inferred
from catseye.export.onnx_graph import GraphIndex


def quantisable_layers(graph: bytes) -> tuple[str, ...]:
    """Names of the convolutions that int8 can be had for, in the graph's order."""
    return tuple(node.name for node in _layers(GraphIndex(inferred(onnx.load_model_from_string(graph)))))


def quantised_tensors(graph: bytes, *, float_nodes: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Names of the activations that ``quantise`` needs a range of.

    Raises:
        UsageError: a name in ``float_nodes`` is no node's.
    """
    index = GraphIndex(inferred(onnx.load_model_from_string(graph)))
    return tuple(_tensors(index, _chosen(index, float_nodes)))


def quantise(
    graph: bytes, ranges: Mapping[str, float], *, float_nodes: frozenset[str] = frozenset()
) -> bytes:
    """Convert a serialised float32 model; its inputs and outputs keep their types.

    Args:
        ranges: for each of ``quantised_tensors`` the magnitude that its largest level stands for.
        float_nodes: names of layers to leave in float32.

    Raises:
        UsageError: a name in ``float_nodes`` is no node's.
        InputError: ``onnx_reader`` refuses what comes out.
    """
    model = inferred(onnx.load_model_from_string(graph))
    index = GraphIndex(model)
    layers = _chosen(index, float_nodes)
    tensors = _tensors(index, layers)
    names = {node.name for node in layers}
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    for original in index.nodes:
        node = NodeProto()
        node.CopyFrom(original)
        for place, name in enumerate(original.input):
            if node.name in tensors.get(name, ()):
                node.input[place] = _restored(name)
        if node.name in names:
            made, node.input[1] = _weights(node, index.constants[original.input[1]], constants)
            nodes.append(made)
        nodes.append(node)
        for name in original.output:
            if name in tensors:
                nodes += _pair(node.name, name, ranges[name], constants)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [weight for weight in (*model.graph.initializer, *constants) if weight.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return checked(inferred(model), subject="the int8 graph")


def _layers(index: GraphIndex) -> list[NodeProto]:
    float_ones = index.prologue() | index.predictors()
    return [
        node
        for node in index.nodes
        if node.op_type == "Conv"
        and node.name not in float_ones
        and node.input[0] in index.makers
        and node.input[1] in index.constants
    ]


def _chosen(index: GraphIndex, float_nodes: frozenset[str]) -> list[NodeProto]:
    require_nodes(index, float_nodes)
    return [node for node in _layers(index) if node.name not in float_nodes]


def _tensors(index: GraphIndex, layers: list[NodeProto]) -> dict[str, set[str]]:
    """Each activation to quantise, and the names of the nodes that read it quantised."""
    found: dict[str, set[str]] = {}
    for node in layers:
        found.setdefault(node.input[0], set()).add(node.name)
    names = {node.name for node in layers}
    every = {node.name for node in _layers(index)}
    for node in index.nodes:
        if node.op_type == "Add" and (paths := _paths(index, node, every)):
            own, other = paths
            if index.makers[own].name in names:
                found.setdefault(other, set()).add(node.name)
    return found


def _paths(index: GraphIndex, node: NodeProto, layers: set[str]) -> tuple[str, str] | None:
    """Of a sum the output of a convolution that nothing else reads, with which it becomes one kernel, and
    what is added to that; or None.

    Of two such convolutions the later one is the sum's own. Which it is depends on no choice of float layers,
    so that fewer layers never need the range of another activation.
    """
    if len(set(node.input)) != 2 or any(name not in index.makers for name in node.input):
        return None
    last, first = sorted(node.input, key=lambda name: index.nodes.index(index.makers[name]), reverse=True)
    for own, other in ((last, first), (first, last)):
        if index.makers[own].name in layers and len(index.readers[own]) == 1 and own not in index.outputs:
            return own, other
    return None


def _pair(maker: str, name: str, largest: float, constants: list[TensorProto]) -> tuple[NodeProto, NodeProto]:
    """Quantise and restore an activation by one scale."""
    parameters = _parameters(name, _scales(np.array(largest)), constants)
    levels = f"{name}:levels"
    return (
        helper.make_node("QuantizeLinear", [name, *parameters], [levels], name=f"{maker}/QuantizeLinear"),
        helper.make_node(
            "DequantizeLinear", [levels, *parameters], [_restored(name)], name=f"{maker}/DequantizeLinear"
        ),
    )


def _weights(layer: NodeProto, weight: TensorProto, constants: list[TensorProto]) -> tuple[NodeProto, str]:
    """Store weights (out, in, h, w) as int8 with a scale a channel; return what restores them, and its
    output."""
    values = numpy_helper.to_array(weight)
    scales = _scales(np.abs(values).max(axis=(1, 2, 3)))
    levels = np.clip(np.rint(values / scales[:, None, None, None]), -STEPS, STEPS).astype(np.int8)
    stored = f"{weight.name}:levels"
    constants.append(numpy_helper.from_array(levels, stored))
    parameters = _parameters(weight.name, scales, constants)
    made = _restored(weight.name)
    node = helper.make_node(
        "DequantizeLinear",
        [stored, *parameters],
        [made],
        name=f"{layer.name}/weight/DequantizeLinear",
        axis=0,
    )
    return node, made


def _parameters(name: str, scales: NDArray[np.float32], constants: list[TensorProto]) -> tuple[str, str]:
    """Add scales and zero points; return their names."""
    scale, zero = f"{name}:scale", f"{name}:zero"
    constants.append(numpy_helper.from_array(scales, scale))
    constants.append(numpy_helper.from_array(np.zeros(scales.shape, dtype=np.int8), zero))
    return scale, zero


def _scales(largest: NDArray[np.floating]) -> NDArray[np.float32]:
    """What one level stands for; 1 where all is zero."""
    return np.asarray(np.where(largest > 0, largest / STEPS, 1), dtype=np.float32)


def _restored(name: str) -> str:
    return f"{name}:restored"
