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
from catseye.export.folding import fold_normalisation
from catseye.export.graph import HEAD_NAMES, DeployedGraph, GraphOutputs
from catseye.export.onnx_files import OPSET, checked, only_outputs, strip
from catseye.runtime.engines.base import OUTPUT_NAMES
from catseye.runtime.manifest import Network

_SCOPES = "pkg.torch.onnx.name_scopes"
_SUBJECT = "the exported graph"


@dataclass(frozen=True)
class ExportedGraph:
    """The same graph twice, as serialised ONNX: ``deployed``, and ``with_heads`` with ``heads``, the dense
    outputs before TopK, as outputs too."""

    deployed: bytes
    with_heads: bytes
    heads: tuple[str, ...] = HEAD_NAMES


def export_onnx(graph: DeployedGraph, network: Network) -> ExportedGraph:
    """Export for the inputs that ``network`` says the graph has.

    Raises:
        CatseyeError: the network cannot be exported, or what comes out breaks the rules of ``onnx_reader``.
    """
    inputs = {value.name: torch.zeros(value.shape, dtype=torch.uint8) for value in network.inputs()}
    graph = copy.deepcopy(graph).eval().requires_grad_(False)
    try:
        program = torch.onnx.export(
            graph,
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
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
    fold_normalisation(model)
    strip(model)
    with_heads = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    deployed = only_outputs(with_heads, OUTPUT_NAMES)
    return ExportedGraph(
        deployed=checked(deployed, subject=_SUBJECT), with_heads=checked(with_heads, subject=_SUBJECT)
    )


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
