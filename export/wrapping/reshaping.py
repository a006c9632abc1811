"""A network of one fixed size made for another, with nothing but its ONNX graph to go by.

Convolutions compute the same at any size. What holds a graph to one are numbers that its exporter wrote into
it: targets of reshapes, sizes of scaled maps, bounds of slices, centres of cells. The graph is walked once
with every axis known at both sizes (``axes``), and each such number follows from what flows in there
(``reshaping_rules``) or, where it is one of a value a place, from its values (``places``). What does not
follow is refused: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from catseye.errors import InputError, UsageError
from catseye.export.wrapping.axes import Axis, UnclearError, fixed, new_size, old_size, scaled, varies
from catseye.export.wrapping.reshaping_rules import Array, Axes, Remade, Step, require_no_size, rule_of
from catseye.runtime.onnx_operators import infer
from catseye.runtime.onnx_tensors import Node, Tensor
from catseye.runtime.protobuf import RefusedMessageError

_CARRIES = {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators that leave the number of a place what it is."""
_MOST_VALUES = 64


def reshaped(
    model: onnx.ModelProto, *, frames: str, width: int, height: int, subject: str
) -> onnx.ModelProto:
    """The same network for pictures of width × height pixels.

    Args:
        model: with a static shape and a type for every tensor, and its shape arithmetic folded away.
        frames: its input for pictures (1, 3, rows, columns).

    Raises:
        UsageError: the size does not divide by the network's largest stride.
        InputError: something in the graph depends on its size in a way that is not understood; names the
            node.
    """
    walk = _Walk(model, frames=frames, width=width, height=height)
    step = walk.largest_stride()
    for name, size, old in (("width", width, walk.picture[0]), ("height", height, walk.picture[1])):
        if size % step and size != old:
            near = f"{size // step * step} or {size // step * step + step}"
            raise UsageError(f"--{name} {size}: {subject} works in steps of {step} pixels, give {near}")
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    for node in model.graph.node:
        try:
            made.graph.node.append(walk.remade(node))
        except (UnclearError, RefusedMessageError) as error:
            place = f"node {node.name or node.output[0]!r} ({node.op_type})"
            raise InputError(
                subject,
                f"cannot be made {width}x{height}: {place} {error}",
                f"export it at {width}x{height} instead",
            ) from None
    _finish(made, walk)
    return made


class _Walk:
    """Axes of all values before the next node, and the constants that have been made anew."""

    def __init__(self, model: onnx.ModelProto, *, frames: str, width: int, height: int) -> None:
        graph = model.graph
        declared = [*graph.input, *graph.value_info, *graph.output]
        self._types = {value.name: value.type.tensor_type.elem_type for value in declared}
        self._shapes = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in declared
        }
        self._nodes = graph.node
        self._constants: dict[str, Array] = {
            weight.name: numpy_helper.to_array(weight) for weight in graph.initializer
        }
        for name, values in self._constants.items():
            self._types[name] = helper.np_dtype_to_tensor_dtype(values.dtype)
        *_, rows, columns = self._shapes[frames]
        self.picture, self._new_picture = (columns, rows), (width, height)
        self.axes: dict[str, Axes] = {name: _fixed(values.shape) for name, values in self._constants.items()}
        self.axes |= {value.name: _fixed(self._shapes[value.name]) for value in graph.input}
        self.axes[frames] = (*self.axes[frames][:2], scaled(rows, height), scaled(columns, width))
        self._places: dict[str, Axis] = {}
        """Of values that are numbers of places along an axis, that axis."""
        self.made: dict[str, Array] = {}

    def largest_stride(self) -> int:
        """Pixels a place of the smallest map that a window makes."""
        found = {1}
        width, height = self.picture
        for node in self._nodes:
            shape = self._shapes[node.output[0]]
            if node.op_type in {"Conv", "MaxPool", "AveragePool"} and len(shape) == 4:
                rows, columns = shape[2:]
                if rows * width == columns * height and rows > 1 and height % rows == 0:
                    found.add(height // rows)
        return max(found)

    def remade(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """The node with its constants and attributes as they are at the new size.

        Raises:
            UnclearError: they do not follow.
            RefusedMessageError: what it is given no longer fits together.
        """
        step = self._step(node)
        require_no_size(
            step, [old for old, new in zip(self.picture, self._new_picture, strict=True) if old != new]
        )
        numbers = [self._places[name] for name in node.input if name in self._places]
        if numbers or any(varies(axis) for axes in step.inputs for axis in axes or ()):
            found = rule_of(node.op_type)(step)
        else:
            found = Remade([_fixed(shape) for shape in step.outputs])
        made = self._written(node, found)
        self._require_fit(made, found)
        for name, axes in zip(node.output, found.axes, strict=True):
            if any(old_size(axis) == 1 and varies(axis) for axis in axes):
                raise UnclearError("makes a map of one place, which says little of other sizes")
            self.axes[name] = axes
        self._count_places(node, step, numbers)
        return made

    def _step(self, node: onnx.NodeProto) -> Step:
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        return Step(
            operator=node.op_type,
            inputs=[self.axes[name] if name else None for name in node.input],
            constants=[self._constants.get(name) for name in node.input],
            attributes=attributes,
            outputs=[self._shapes[name] for name in node.output],
            picture=self.picture,
            shapes=lambda: [tensor.shape for tensor in self._inferred(node)],
        )

    def _inferred(self, node: onnx.NodeProto) -> list[Tensor]:
        """What a node makes of its inputs at the new size."""
        given = [self._tensor(name) if name else None for name in node.input]
        attributes = {each.name: _plain(helper.get_attribute_value(each)) for each in node.attribute}
        return list(infer(Node(node.op_type, given, len(node.output), attributes)))

    def _tensor(self, name: str) -> Tensor:
        values = self.made.get(name, self._constants.get(name))
        if values is None:
            return Tensor(self._types[name], tuple(map(new_size, self.axes[name])))
        few = tuple(values.reshape(-1).tolist()) if values.size <= _MOST_VALUES else None
        return Tensor(self._types[name], values.shape, constant=True, values=few)

    def _written(self, node: onnx.NodeProto, found: Remade) -> onnx.NodeProto:
        made = onnx.NodeProto()
        made.CopyFrom(node)
        for index, values in found.constants.items():
            if not np.array_equal(values, self._constants[node.input[index]]):
                width, height = self._new_picture
                made.input[index] = f"{node.output[0]}:{index}:{width}x{height}"
                self.made[made.input[index]] = values
                self._types[made.input[index]] = self._types[node.input[index]]
        for attribute in made.attribute:
            if attribute.name in found.attributes:
                attribute.CopyFrom(helper.make_attribute(attribute.name, found.attributes[attribute.name]))
        return made

    def _require_fit(self, made: onnx.NodeProto, found: Remade) -> None:
        for tensor, axes in zip(self._inferred(made), found.axes, strict=True):
            sizes = tuple(map(new_size, axes))
            if tensor.shape != sizes:
                raise UnclearError(f"makes {tensor.shape} and not {sizes}")

    def _count_places(self, node: onnx.NodeProto, step: Step, numbers: list[Axis]) -> None:
        """Follow numbers of places, which mean something only to who picks from the axis that they count."""
        if node.op_type in {"TopK", "ArgMax"}:
            axis = step.axes()[step.axis(-1 if node.op_type == "TopK" else 0)]
            if varies(axis):
                self._places[node.output[-1]] = axis
        if not numbers:
            return
        picks = node.op_type in {"Gather", "GatherElements"}
        if node.op_type in _CARRIES or (picks and node.input[1] not in self._places):
            self._places[node.output[0]] = numbers[0]
        elif not picks or len(numbers) > 1 or step.axes()[step.axis(0)] != numbers[0]:
            raise UnclearError("computes with the number of a place, which is another at another size")


def _fixed(shape: Iterable[int]) -> Axes:
    return tuple(map(fixed, shape))


def _plain(value: Any) -> Any:
    """An attribute as the rules for shapes take it."""
    if isinstance(value, bytes):
        return value.decode()
    return tuple(value) if isinstance(value, list) else value


def _finish(made: onnx.ModelProto, walk: _Walk) -> None:
    """Weights that are used, sizes as they are now, held to what ONNX infers by itself."""
    graph = made.graph
    graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in walk.made.items())
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    weights = [weight for weight in graph.initializer if weight.name in used]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        _declare(value, walk.axes)
    inferred = onnx.shape_inference.infer_shapes(made, strict_mode=True, data_prop=True)
    made.CopyFrom(inferred)


def _declare(value: onnx.ValueInfoProto, axes: Mapping[str, Axes]) -> None:
    dims = value.type.tensor_type.shape.dim
    for dim, axis in zip(dims, axes[value.name], strict=True):
        dim.dim_value = new_size(axis)
