"""Batch normalisation as part of the convolution behind it; what stands behind one, onnxslim folds."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

_DEFAULT_EPSILON = 1e-5


def fold_normalisation(model: onnx.ModelProto) -> None:
    """Fold, in place, each BatchNormalization that only 1×1 convolutions read.

    A convolution that pads is left alone: normalisation would move its border away from 0.
    """
    graph = model.graph
    constants = {weight.name: weight for weight in graph.initializer}
    outputs = {value.name for value in graph.output}
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        readers = [node for node in graph.node if norm.output[0] in node.input]
        foldable = all(_foldable(node, norm, constants) for node in readers)
        if norm.output[0] in outputs or not readers or not foldable:
            continue
        gain, shift = _affine(norm, constants)
        for layer in readers:
            _fold(layer, norm.input[0], gain, shift, constants)
        graph.node.remove(norm)
    made = {name for node in graph.node for name in node.output}
    values = [value for value in graph.value_info if value.name in made]
    del graph.value_info[:]
    graph.value_info.extend(values)
    used = {name for node in graph.node for name in node.input}
    del graph.initializer[:]
    graph.initializer.extend(weight for name, weight in constants.items() if name in used)


def _foldable(layer: NodeProto, norm: NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in layer.attribute}
    return (
        layer.op_type == "Conv"
        and layer.input[0] == norm.output[0]
        and all(name in constants for name in layer.input[1:])
        and list(constants[layer.input[1]].dims[2:]) == [1, 1]
        and attributes.get("group", 1) == 1
        and not any(attributes.get("pads", ()))
        and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    )


def _affine(
    norm: NodeProto, constants: dict[str, onnx.TensorProto]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gain and shift of each channel."""
    scale, bias, mean, variance = (
        numpy_helper.to_array(constants[name]).astype(np.float64) for name in norm.input[1:5]
    )
    epsilon = next((each.f for each in norm.attribute if each.name == "epsilon"), _DEFAULT_EPSILON)
    gain = scale / np.sqrt(variance + epsilon)
    return gain, bias - mean * gain


def _fold(
    layer: NodeProto,
    source: str,
    gain: NDArray[np.float64],
    shift: NDArray[np.float64],
    constants: dict[str, onnx.TensorProto],
) -> None:
    weight = numpy_helper.to_array(constants[layer.input[1]]).astype(np.float64)
    bias = weight[:, :, 0, 0] @ shift
    if len(layer.input) == 3:
        bias = bias + numpy_helper.to_array(constants[layer.input[2]])
    made = (weight * gain[:, None, None], bias)
    names = [f"{layer.name}/{part}" for part in ("weight", "bias")]
    for name, array in zip(names, made, strict=True):
        constants[name] = numpy_helper.from_array(array.astype(np.float32), name)
    del layer.input[:]
    layer.input.extend([source, *names])
