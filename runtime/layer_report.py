"""What is in a plan: the layers of the network as parsed, and those that TensorRT made of them."""

from __future__ import annotations

import json
from typing import Any


def network_layers(network: Any) -> list[Any]:
    """Name, type and output of each layer of a parsed network, before any fusion; needs no GPU."""
    layers = (network.get_layer(index) for index in range(network.num_layers))
    return [_described(layer) for layer in layers]


def engine_layers(trt: Any, engine: Any) -> list[Any]:
    """Each layer of an engine as its inspector tells: its name, or with a detailed plan a JSON object.

    TensorRT keeps the content to itself; it has names, types, tactics, formats and precisions. Empty where
    what it tells is no JSON.
    """
    inspector = engine.create_engine_inspector()
    told = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    try:
        return list(json.loads(told).get("Layers", []))
    except ValueError:
        return []


def _described(layer: Any) -> dict[str, Any]:
    outputs = [layer.get_output(index) for index in range(layer.num_outputs)]
    return {
        "name": layer.name,
        "type": layer.type.name,
        "outputs": [
            {"name": output.name, "precision": output.dtype.name, "shape": list(output.shape)}
            for output in outputs
        ],
    }
