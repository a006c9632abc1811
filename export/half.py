"""A float32 graph in half precision: typed tensors and explicit casts, so that every builder does the same.

Between the first layer and the last everything is float16. What comes before prepares levels of 0…255, and
what comes behind needs more digits than eleven bits have: half a pixel is one step at 512 pixels, depth is an
exponential, and scores decide by their last digits who is among the best. That stays float32, and so does
every node that touches a number which float16 cannot hold.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from catseye.errors import UsageError
from catseye.export.onnx_files import checked, inferred
from catseye.export.onnx_graph import GraphIndex

LARGEST = 65504 / 2
"""Magnitude from which a tensor stays float32: half of what float16 holds, since no footage shows all."""

_KEEPS_FLOAT = {"Resize": frozenset({1, 2})}
"""Inputs that are float32 whatever the type of the others."""

_SUFFIXES: dict[int, str] = {TensorProto.FLOAT16: "half", TensorProto.FLOAT: "single"}


def to_half(
    graph: bytes, *, largest: Mapping[str, float], float_nodes: frozenset[str] = frozenset()
) -> bytes:
    """Convert a serialised float32 model; its inputs and outputs keep their types.

    Args:
        largest: largest magnitude of each activation as far as it was seen, see ``largest_magnitudes``.
        float_nodes: names of further nodes to leave in float32.

    Raises:
        UsageError: there is no node of such a name.
        InputError: ``onnx_reader`` refuses what comes out.
    """
    model = inferred(onnx.load_model_from_string(graph))
    index = GraphIndex(model)
    kept = float32_nodes(model, largest=largest, float_nodes=float_nodes)
    writer = _Writer(index)
    for node in index.nodes:
        writer.write(node, TensorProto.FLOAT if node.name in kept else TensorProto.FLOAT16)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(writer.nodes)
    used = {name for node in writer.nodes for name in node.input}
    weights = [weight for weight in (*model.graph.initializer, *writer.weights) if weight.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    return checked(inferred(model), subject="the fp16 graph")


def float32_nodes(
    model: onnx.ModelProto, *, largest: Mapping[str, float], float_nodes: frozenset[str] = frozenset()
) -> frozenset[str]:
    """Names of the nodes that stay float32: what prepares, what decodes, and what would overflow.

    Raises:
        UsageError: a name in ``float_nodes`` is no node's.
    """
    index = GraphIndex(model)
    require_nodes(index, float_nodes)
    beyond = {name for name, value in largest.items() if not value <= LARGEST}
    for name, weight in index.constants.items():
        if weight.data_type == TensorProto.FLOAT:
            values = np.abs(numpy_helper.to_array(weight))
            if not values.max(initial=0) <= LARGEST:
                beyond.add(name)
    overflowing = {node.name for node in index.nodes if beyond.intersection((*node.input, *node.output))}
    return index.prologue() | index.epilogue() | overflowing | float_nodes


def require_nodes(index: GraphIndex, names: frozenset[str]) -> None:
    """Refuse a name that no node has.

    Raises:
        UsageError: there is one.
    """
    for name in sorted(names - {node.name for node in index.nodes}):
        raise UsageError(f"float_nodes names {name!r}: the graph has no such node")


class _Writer:
    """Writes nodes in order, each in its type, with a cast wherever a tensor is not of it."""

    def __init__(self, index: GraphIndex) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self._index = index
        self._types: dict[str, int] = {}
        self._made: dict[tuple[str, int], str] = {}

    def write(self, original: NodeProto, wanted: int) -> None:
        node = NodeProto()
        node.CopyFrom(original)
        untouched = _KEEPS_FLOAT.get(node.op_type, frozenset())
        for place, name in enumerate(original.input):
            if self._index.is_float(name) and place not in untouched:
                node.input[place] = self._as(name, wanted)
        outputs = [name for name in original.output if self._index.is_float(name)]
        if wanted == TensorProto.FLOAT16 and node.op_type == "Cast" and outputs:
            node.attribute[0].i = wanted
        self._types.update(dict.fromkeys(outputs, wanted))
        self.nodes.append(node)
        for place, name in enumerate(original.output):
            if name in outputs and name in self._index.outputs and wanted == TensorProto.FLOAT16:
                # The interface is float32: the result takes another name, and the cast takes this one.
                node.output[place] = self._made[name, wanted] = f"{name}:half"
                self._cast(node.output[place], name, wanted=TensorProto.FLOAT, after=node.name)
                self._types[name] = TensorProto.FLOAT

    def _as(self, name: str, wanted: int) -> str:
        """The name of a tensor's version of that type, made where there is none yet."""
        if (name, wanted) in self._made:
            return self._made[name, wanted]
        if self._types.get(name, TensorProto.FLOAT) == wanted:
            return name
        made = self._made[name, wanted] = f"{name}:{_SUFFIXES[wanted]}"
        if name in self._index.constants:
            array = numpy_helper.to_array(self._index.constants[name])
            self.weights.append(numpy_helper.from_array(array.astype(np.float16), made))
        else:
            maker = self._index.makers.get(name)
            self._cast(name, made, wanted=wanted, after=maker.name if maker is not None else name)
        return made

    def _cast(self, name: str, made: str, *, wanted: int, after: str) -> None:
        self.nodes.append(
            helper.make_node("Cast", [name], [made], name=f"{after}/to_{_SUFFIXES[wanted]}", to=wanted)
        )
