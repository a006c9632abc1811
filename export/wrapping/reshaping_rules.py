"""What a node's axes and constants become when a network takes another size, a rule a kind of operator.

A rule is told how the node's inputs change, and gives how its outputs do, with those of its constants and
attributes that have the size in them. Shapes of operators are ``runtime.onnx_rules``', which check each node
at the new size again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catseye.export.wrapping.axes import (
    Axis,
    UnclearError,
    between,
    fixed,
    joined,
    new_size,
    old_size,
    regrouped,
    scaled,
    varies,
)
from catseye.export.wrapping.places import table_at
from catseye.runtime import onnx_rules, onnx_windows
from catseye.runtime.onnx_operators import OPERATORS

Axes = tuple[Axis, ...]
Array = NDArray[Any]

_END = np.iinfo(np.int64).max
_FEW = 8


@dataclass(frozen=True)
class Step:
    """A node whose inputs are known at both sizes.

    Args:
        operator: its type.
        inputs: axes of each; None where one is left out.
        constants: values of each input that is a constant.
        attributes: its own.
        outputs: shape of each output at the old size.
        picture: width and height of the network's input at the old size.
        shapes: the outputs' shapes at the new size, with those constants as they are.
    """

    operator: str
    inputs: Sequence[Axes | None]
    constants: Sequence[Array | None]
    attributes: Mapping[str, Any]
    outputs: Sequence[tuple[int, ...]]
    picture: tuple[int, int]
    shapes: Callable[[], Sequence[tuple[int, ...]]]

    def axes(self, index: int = 0) -> Axes:
        axes = self.inputs[index]
        assert axes is not None, self.operator
        return axes

    def constant(self, index: int) -> Array | None:
        return self.constants[index] if index < len(self.constants) else None

    def integers(self, index: int) -> list[int]:
        values = self.constant(index)
        if values is None:
            raise UnclearError(f"takes input {index} from another node")
        return [int(value) for value in values.reshape(-1)]

    def axis(self, default: int, *, rank: int | None = None) -> int:
        return int(self.attributes.get("axis", default)) % (rank or len(self.axes()))

    def continued(self, index: int, axes: Sequence[Axis]) -> Array:
        """A constant input, a table of whatever varies of these axes, at the new size."""
        table = self.constants[index]
        assert table is not None
        return np.asarray(table_at(table, axes, picture=self.picture))


@dataclass(frozen=True)
class Remade:
    """Axes of the outputs, and the constants, by input, and attributes that change."""

    axes: Sequence[Axes]
    constants: Mapping[int, Array] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


Rule = Callable[[Step], Remade]


def rule_of(operator: str) -> Rule:
    """Raises:
    UnclearError: there is none.
    """
    known = OPERATORS.get(operator)
    if known is None or known.rule not in _RULES:
        raise UnclearError("is of an operator whose work at another size is not known here")
    return _RULES[known.rule]


def require_no_size(step: Step, changed: Sequence[int]) -> None:
    """Refuse arithmetic with what may be the picture's width or height, or a share of it.

    Args:
        changed: those of the two that change, in pixels.

    Raises:
        UnclearError: a short constant holds one, or its inverse.
    """
    if step.operator not in OPERATORS or OPERATORS[step.operator].rule not in _ARITHMETIC:
        return
    for values in step.constants:
        if values is None or values.size > _FEW or values.dtype.kind not in "iuf":
            continue
        for size in changed:
            if np.isclose(values, size).any() or np.isclose(values.astype(np.float64) * size, 1).any():
                raise UnclearError(f"computes with {size}, which may be the size of the picture")


def _unchanged(step: Step) -> Remade:
    return Remade([step.axes()])


def _normalisation(step: Step) -> Remade:
    if varies(step.axes()[1]):
        raise UnclearError("has a weight for each place")
    return _unchanged(step)


def _broadcast(step: Step) -> Remade:
    given = [axes for axes in step.inputs if axes is not None]
    rank = max(map(len, given))
    data = [
        axes
        for axes, values in zip(step.inputs, step.constants, strict=True)
        if axes is not None and values is None
    ]
    made = tuple(
        _agreed([axes[at] for axes in data if len(axes) >= -at]) or _widest(given, at)
        for at in range(-rank, 0)
    )
    return Remade([made], _tables(step, lambda index: made[rank - len(step.axes(index)) :]))


def _agreed(axes: Sequence[Axis]) -> Axis:
    """The axis of more than one place that all have who have such a one."""
    wide = [axis for axis in axes if axis]
    for other in wide[1:]:
        if other != wide[0]:
            sizes = " and ".join(f"{old_size(axis)} -> {new_size(axis)}" for axis in (wide[0], other))
            raise UnclearError(f"joins places that change apart: {sizes}")
    return wide[0] if wide else ()


def _widest(given: Sequence[Axes], at: int) -> Axis:
    return fixed(max(old_size(axes[at]) for axes in given if len(axes) >= -at))


def _tables(step: Step, wanted: Callable[[int], Sequence[Axis]]) -> dict[int, Array]:
    """The constants among the inputs that have a value for each place of what varies.

    Args:
        wanted: from an input's number to the axes that it has to have, or to repeat itself along.
    """
    found = {}
    for index, values in enumerate(step.constants):
        if values is not None:
            axes = wanted(index)
            if any(size > 1 and varies(axis) for size, axis in zip(values.shape, axes, strict=True)):
                found[index] = step.continued(index, axes)
    return found


def _window(step: Step) -> Remade:
    """Convolution and pooling: a window slides along rows and columns that are axes of their own."""
    first, channels, *places = step.axes()
    weight = step.inputs[1] if len(step.inputs) > 1 else None
    if varies(channels):
        raise UnclearError("has a weight for each place")
    kernel = [old_size(axis) for axis in weight[2:]] if weight else list(step.attributes["kernel_shape"])
    pads = step.attributes.get("pads", [0] * 2 * len(kernel))
    whole = kernel == [old_size(axis) for axis in places] and not any(pads)
    if whole and max(kernel) > 1:
        if weight:
            raise UnclearError("has a weight for each place")
        over = [new_size(axis) for axis in places]
        return Remade([(first, channels, *[()] * len(places))], attributes={"kernel_shape": over})
    made = []
    old, new = step.outputs[0], step.shapes()[0]
    for at, axis in enumerate(places):
        moves = kernel[at] > 1 or old[2 + at] != old_size(axis)
        made.append(scaled(old[2 + at], new[2 + at]) if moves else axis)
    return Remade([(first, fixed(old[1]), *made)])


def _global_pooling(step: Step) -> Remade:
    first, channels, *places = step.axes()
    return Remade([(first, channels, *[()] * len(places))])


def _resize(step: Step) -> Remade:
    """To so many times the size, or to sizes, which are then so many times as well."""
    old = step.outputs[0]
    if step.constant(3) is None:
        new: Sequence[int] = step.shapes()[0]
    else:
        new = [_in_proportion(axis, size) for axis, size in zip(step.axes(), old, strict=True)]
    sizes = {} if step.constant(3) is None else {3: np.array(new, np.int64)}
    return Remade([_lengthened(step, new)], sizes)


def _lengthened(step: Step, new: Sequence[int]) -> Axes:
    """The first input's axes, those whose length the node changes with their new one."""
    return tuple(
        axis if old_size(axis) == before else scaled(before, after)
        for axis, before, after in zip(step.axes(), step.outputs[0], new, strict=True)
    )


def _in_proportion(axis: Axis, size: int) -> int:
    if new_size(axis) * size % old_size(axis):
        raise UnclearError(
            f"makes {size} of {old_size(axis)} places, and of {new_size(axis)} no whole number"
        )
    return new_size(axis) * size // old_size(axis)


def _regroup(step: Step) -> Remade:
    return Remade([regrouped(step.axes(), step.outputs[0])])


def _reshape(step: Step) -> Remade:
    axes = regrouped(step.axes(), step.outputs[0])
    target = [
        size if size in {0, -1} else new_size(axis) for size, axis in zip(step.integers(1), axes, strict=True)
    ]
    return Remade([axes], {1: np.array(target, np.int64)})


def _expand(step: Step) -> Remade:
    shape = step.outputs[0]
    padded = ((),) * (len(shape) - len(step.axes())) + step.axes()
    axes = tuple(axis or fixed(size) for axis, size in zip(padded, shape, strict=True))
    target = step.integers(1)
    sizes = [
        1 if size == 1 else new_size(axis) for size, axis in zip(target, axes[-len(target) :], strict=True)
    ]
    return Remade([axes], {1: np.array(sizes, np.int64)})


def _transpose(step: Step) -> Remade:
    axes = step.axes()
    return Remade([tuple(axes[at] for at in step.attributes.get("perm", range(len(axes))[::-1]))])


def _concat(step: Step) -> Remade:
    at = step.axis(0)
    given = [axes for axes in step.inputs if axes is not None]
    data = [step.axes(index) for index, values in enumerate(step.constants) if values is None]
    along = joined([axes[at] for axes in given])
    made = tuple(
        along if i == at else _agreed([axes[i] for axes in data]) or _widest(given, i)
        for i in range(len(given[0]))
    )
    tables = _tables(step, lambda index: (*made[:at], step.axes(index)[at], *made[at + 1 :]))
    return Remade([made], tables)


def _split(step: Step) -> Remade:
    axes, at = step.axes(), step.axis(0)
    if not varies(axes[at]):
        return Remade([(*axes[:at], fixed(shape[at]), *axes[at + 1 :]) for shape in step.outputs])
    start, made, sizes = 0, [], []
    for size in step.integers(1):
        part, first, last = between(axes[at], start, start + size)
        made.append((*axes[:at], part, *axes[at + 1 :]))
        sizes.append(last - first)
        start += size
    return Remade(made, {1: np.array(sizes, np.int64)})


def _slice(step: Step) -> Remade:
    starts, ends = step.integers(1), step.integers(2)
    axes, rank = list(step.axes()), len(step.axes())
    along = step.integers(3) if step.constant(3) is not None else list(range(len(starts)))
    steps = step.integers(4) if step.constant(4) is not None else [1] * len(starts)
    for number, (start, end, at, stride) in enumerate(zip(starts, ends, along, steps, strict=True)):
        axis, size = axes[at % rank], old_size(axes[at % rank])
        if not varies(axis):
            axes[at % rank] = fixed(step.outputs[0][at % rank])
        elif stride == 1:
            first, last, _ = slice(start, end).indices(size)
            axes[at % rank], starts[number], ends[number] = between(axis, first, last)
        elif len(axis) == 1 and not axis[0].parts and 0 <= start < stride and end >= size:
            rows = (range(start, count, stride) for count in (size, new_size(axis)))
            axes[at % rank], ends[number] = scaled(*map(len, rows)), _END
        else:
            raise UnclearError(f"takes each {stride}th of places {start} to {end} of {size}")
    return Remade([tuple(axes)], {1: np.array(starts, np.int64), 2: np.array(ends, np.int64)})


def _pad(step: Step) -> Remade:
    return Remade([_lengthened(step, step.shapes()[0])])


def _gather(step: Step) -> Remade:
    axes, at = step.axes(), step.axis(0)
    if varies(axes[at]) and step.constants[1] is not None:
        raise UnclearError("picks places by their number")
    return Remade([(*axes[:at], *step.axes(1), *axes[at + 1 :])])


def _gather_elements(step: Step) -> Remade:
    return Remade([step.axes(1)])


def _reduction(step: Step) -> Remade:
    axes = step.axes()
    given = step.integers(1) if step.constant(1) is not None else step.attributes.get("axes", ())
    if not given and step.attributes.get("noop_with_empty_axes", 0):
        return _unchanged(step)
    gone = {at % len(axes) for at in (given or range(len(axes)))}
    return _reduced(step, gone)


def _arg_max(step: Step) -> Remade:
    return _reduced(step, {step.axis(0)})


def _reduced(step: Step, gone: set[int]) -> Remade:
    kept = [() if at in gone else axis for at, axis in enumerate(step.axes())]
    if step.attributes.get("keepdims", 1):
        return Remade([tuple(kept)])
    return Remade([tuple(axis for at, axis in enumerate(kept) if at not in gone)])


def _top_k(step: Step) -> Remade:
    axes, at = step.axes(), step.axis(-1)
    made = (*axes[:at], fixed(step.outputs[0][at]), *axes[at + 1 :])
    return Remade([made] * len(step.outputs))


def _matrix_product(step: Step) -> Remade:
    a, b = step.axes(0), step.axes(1)
    _require_no_weight(step, a[-1], b[-2])
    rank = max(len(a), len(b))
    batch = tuple(_agreed([axes[at] for axes in (a, b) if len(axes) >= -at]) for at in range(-rank, -2))
    return Remade([(*batch, a[-2], b[-1])])


def _require_no_weight(step: Step, inner: Axis, other: Axis) -> None:
    if inner != other or (varies(inner) and any(values is not None for values in step.constants)):
        raise UnclearError("has a weight for each place")


_ARITHMETIC = {
    onnx_rules.elementwise,
    onnx_rules.division,
    onnx_rules.power,
    onnx_rules.comparison,
    onnx_rules.where,
    onnx_rules.clip,
}
_RULES: Mapping[Callable[..., Any], Rule] = {
    onnx_rules.same: _unchanged,
    onnx_rules.cast: _unchanged,
    onnx_rules.clip: _unchanged,
    onnx_rules.axis_kept: _unchanged,
    onnx_rules.quantize: _unchanged,
    onnx_rules.dequantize: _unchanged,
    onnx_rules.batch_normalization: _normalisation,
    onnx_rules.elementwise: _broadcast,
    onnx_rules.division: _broadcast,
    onnx_rules.power: _broadcast,
    onnx_rules.comparison: _broadcast,
    onnx_rules.where: _broadcast,
    onnx_rules.prelu: _broadcast,
    onnx_windows.convolution: _window,
    onnx_windows.transposed_convolution: _window,
    onnx_windows.pooling: _window,
    onnx_windows.global_pooling: _global_pooling,
    onnx_rules.resize: _resize,
    onnx_rules.reshape: _reshape,
    onnx_rules.flatten: _regroup,
    onnx_rules.squeeze: _regroup,
    onnx_rules.unsqueeze: _regroup,
    onnx_rules.expand: _expand,
    onnx_rules.transpose: _transpose,
    onnx_rules.concat: _concat,
    onnx_rules.split: _split,
    onnx_rules.sliced: _slice,
    onnx_rules.pad: _pad,
    onnx_rules.gather: _gather,
    onnx_rules.gather_elements: _gather_elements,
    onnx_rules.reduction: _reduction,
    onnx_rules.arg_max: _arg_max,
    onnx_rules.top_k: _top_k,
    onnx_rules.matrix_product: _matrix_product,
}
