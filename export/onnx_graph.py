"""What an ONNX graph is made of, looked up: who makes a tensor, who reads it, and where the network begins
and ends."""

from __future__ import annotations

from collections import defaultdict

import onnx
from onnx import NodeProto, TensorProto

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators of layers: what lies before the first of them prepares the input, what lies behind the last
decodes."""

_PREPARING = "prologue/"


class GraphIndex:
    """Look-ups in a model of a flat graph; it shows the graph as it was when the index was made.

    Args:
        model: with a shape and type for every tensor, as strict shape inference leaves it.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.nodes: list[NodeProto] = list(graph.node)
        self.makers: dict[str, NodeProto] = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                self.readers[name].append(node)
        self.constants: dict[str, TensorProto] = {weight.name: weight for weight in graph.initializer}
        self.outputs: frozenset[str] = frozenset(value.name for value in graph.output)
        self.types: dict[str, int] = {
            value.name: value.type.tensor_type.elem_type
            for values in (graph.input, graph.value_info, graph.output)
            for value in values
        } | {name: weight.data_type for name, weight in self.constants.items()}

    def is_float(self, name: str) -> bool:
        return self.types.get(name) == TensorProto.FLOAT

    def prologue(self) -> frozenset[str]:
        """Names of the nodes that only prepare the input: they come before any layer, or are of the module
        ``prologue``."""
        found: set[str] = set()
        layered: set[str] = set()
        for node in self.nodes:
            prepares = node.name.startswith(_PREPARING)
            if prepares or (node.op_type not in WEIGHTED and not layered.intersection(node.input)):
                found.add(node.name)
            else:
                layered.update(node.output)
        return frozenset(found)

    def epilogue(self) -> frozenset[str]:
        """Names of the nodes that only decode: no layer comes behind them."""
        found: set[str] = set()
        before_layers: set[str] = set()
        for node in reversed(self.nodes):
            if node.op_type not in WEIGHTED and not before_layers.intersection(node.output):
                found.add(node.name)
            else:
                before_layers.update(node.input)
        return frozenset(found)

    def predictors(self) -> frozenset[str]:
        """Names of the last layers: those with no layer behind them."""
        decoding = self.epilogue()
        return frozenset(
            node.name
            for node in self.nodes
            if node.op_type in WEIGHTED
            and all(reader.name in decoding for name in node.output for reader in self.readers[name])
        )
