"""YOLOX's ONNX with the input and output of Ultralytics' exports, so that Ultralytics runs it as its own.

RGB from 0 to 1 in; out (1, 4 + classes, cells): middle, size and class scores, boxes in network pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from yolox import STRIDES


def yolox_as_yolo(model: Path, names: Path, out: Path) -> Path:
    """Write ``out``; ``names`` has a class name a line."""
    made = onnx.load(model)
    graph, classes = made.graph, names.read_text().splitlines()
    old = graph.input[0]
    height, width = (size.dim_value for size in old.type.tensor_type.shape.dim[2:])
    grids = [
        (stride, *np.meshgrid(np.arange(width // stride), np.arange(height // stride))) for stride in STRIDES
    ]
    corner = np.concatenate([np.stack([x.ravel(), y.ravel()], axis=1) for _, x, y in grids])
    strides = np.concatenate([np.full(x.size, stride) for stride, x, _ in grids])[:, None]
    constants = {
        "bgr": np.array([2, 1, 0]),
        "levels": np.array(255, np.float32),
        "corner": corner[None].astype(np.float32),
        "strides": strides[None].astype(np.float32),
    }
    parts = ["offset", "log", "objectness", "kinds"]
    before = [
        helper.make_node("Gather", ["rgb", "bgr"], ["turned"], axis=1),
        helper.make_node("Mul", ["turned", "levels"], [old.name]),
    ]
    after = [
        helper.make_node("Split", [graph.output[0].name], parts, axis=2, split=[2, 2, 1, len(classes)]),
        helper.make_node("Add", ["offset", "corner"], ["moved"]),
        helper.make_node("Mul", ["moved", "strides"], ["middle"]),
        helper.make_node("Exp", ["log"], ["in_cells"]),
        helper.make_node("Mul", ["in_cells", "strides"], ["size"]),
        helper.make_node("Mul", ["objectness", "kinds"], ["scores"]),
        helper.make_node("Concat", ["middle", "size", "scores"], ["rows"], axis=2),
        helper.make_node("Transpose", ["rows"], ["output0"], perm=[0, 2, 1]),
    ]
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    value = helper.make_tensor_value_info
    graph.input.append(value("rgb", TensorProto.FLOAT, (1, 3, height, width)))
    graph.output.append(value("output0", TensorProto.FLOAT, (1, 4 + len(classes), len(corner))))
    noted = {"task": "detect", "stride": "32", "batch": "1", "imgsz": str([height, width])}
    helper.set_model_props(made, {**noted, "names": str(dict(enumerate(classes)))})
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, out)
    return out
