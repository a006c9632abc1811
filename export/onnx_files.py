"""What every ONNX file of ours has in common: no trace of the machine that made it, our reader's consent."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import onnx

from catseye.runtime.onnx_reader import check_model
from catseye.version import __version__

OPSET = 18
"""What PyTorch's exporter writes natively, and TensorRT 10.3 and 11 both read."""

IR_VERSION = 8
"""The one that came with opset 18; older readers refuse newer ones."""


def strip(model: onnx.ModelProto) -> None:
    """Leave nothing of the machine that exported, whose paths the exporter writes beside every node."""
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "catseye", __version__
    del model.metadata_props[:]
    graph = model.graph
    graph.name = "catseye"
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def only_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy with these outputs only, in this order, without what no longer leads to one."""
    model = copy.deepcopy(model)
    graph = model.graph
    outputs = {value.name: value for value in graph.output}
    needed = set(names)
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    weights = [weight for weight in graph.initializer if weight.name in needed]
    values = [value for value in graph.value_info if value.name in needed and value.name not in names]
    for field, kept in (
        (graph.output, [outputs[name] for name in names]),
        (graph.node, nodes[::-1]),
        (graph.initializer, weights),
        (graph.value_info, values),
    ):
        copies = [copy.deepcopy(item) for item in kept]
        del field[:]
        field.extend(copies)
    return model


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the shape and type of every tensor, in place of what it said of them."""
    model = copy.deepcopy(model)
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def checked(model: onnx.ModelProto, *, subject: str) -> bytes:
    """Serialise a model that both ONNX's checker and our own reader accept.

    Raises:
        InputError: our reader refuses it.
    """
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    check_model(content, subject=subject)
    return content
