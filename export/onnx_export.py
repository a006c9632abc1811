"""PyTorch to ONNX: one file of static shapes, whose nodes are named by the module that made them."""

from __future__ import annotations

import ast
import copy
import logging
from collections import Counter
from dataclasses import dataclass

import onnx
import onnxslim
import torch

from catseye.errors import CatseyeError
from catseye.export.graph import DeployedGraph, GraphOutputs
from catseye.runtime.engines.base import INPUT_NAME, OUTPUT_NAMES
from catseye.runtime.onnx_reader import check_model
from catseye.version import __version__

OPSET = 18
"""What the exporter writes natively, and TensorRT 10.3 and 11 both read."""

_IR_VERSION = 8  # the one that came with opset 18; older readers refuse newer ones
_SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(frozen=True)
class ExportedGraph:
    """The same graph twice, as serialised ONNX: ``deployed``, and ``with_heads`` with its heads as outputs
    too."""

    deployed: bytes
    with_heads: bytes


def export_onnx(graph: DeployedGraph, *, batch: int, width: int, height: int) -> ExportedGraph:
    """Export for frames (batch, height, width, 3).

    Raises:
        CatseyeError: the network cannot be exported, or what comes out breaks the rules of ``onnx_reader``.
    """
    frames = torch.zeros(batch, height, width, 3, dtype=torch.uint8)
    graph = copy.deepcopy(graph).eval().requires_grad_(False)
    try:
        program = torch.onnx.export(
            graph,
            (frames,),
            dynamo=True,
            input_names=[INPUT_NAME],
            output_names=list(GraphOutputs._fields),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        logging.getLogger(__name__).debug("torch.onnx.export failed", exc_info=True)
        reason = str(error.__cause__ or error).splitlines()[0]
        raise CatseyeError(f"the network cannot be exported to ONNX: {reason}") from None
    assert program is not None
    model = program.model_proto
    _name_nodes(model)
    model = onnxslim.slim(model)
    _strip(model)
    with_heads = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    deployed = _only_outputs(with_heads, OUTPUT_NAMES)
    return ExportedGraph(deployed=_checked(deployed), with_heads=_checked(with_heads))


def _name_nodes(model: onnx.ModelProto) -> None:
    """Name each node after its module's path and operator, such as ``network/encoder/body/conv1/Conv``."""
    taken: Counter[str] = Counter()
    for node in model.graph.node:
        scopes = ast.literal_eval(
            next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "[]")
        )
        module = next((scope for scope in reversed(scopes[:-1]) if scope), "graph")
        name = f"{module.replace('.', '/')}/{node.op_type}"
        taken[name] += 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name]}"


def _strip(model: onnx.ModelProto) -> None:
    """Leave nothing of the machine that exported, whose paths the exporter writes beside every node."""
    model.ir_version = _IR_VERSION
    model.producer_name, model.producer_version = "catseye", __version__
    del model.metadata_props[:]
    graph = model.graph
    graph.name = "catseye"
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def _only_outputs(model: onnx.ModelProto, names: tuple[str, ...]) -> onnx.ModelProto:
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


def _checked(model: onnx.ModelProto) -> bytes:
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    check_model(content, subject="the exported graph")
    return content
