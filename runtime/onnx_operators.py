"""What each operator that a graph may use takes and makes: attributes, element types, shapes.

Every shape must follow from the graph's inputs and its constants, so that what an engine will allocate is
known before one sees the graph. Rules as in https://onnx.ai/onnx/operators for opsets 17 to 21; forms that
no detector needs (crops inside Resize, blocked quantisation, training) are left out and so refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from catseye.runtime.protobuf import RefusedMessageError

Shape = tuple[int, ...]

FLOAT32, UINT8, INT8, INT32, INT64, BOOL, FLOAT16 = 1, 2, 3, 6, 7, 9, 10
ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""Bytes an element by TensorProto.DataType; strings, complex numbers and the small floats are left out."""

_FLOATS = frozenset({FLOAT32, FLOAT16, 11, 16})
_ANY = frozenset(ITEM_BYTES)
_NUMBERS = _ANY - {BOOL}
_BOOLS = frozenset({BOOL})
_INDICES = frozenset({INT32, INT64})
_QUANTISED = frozenset({UINT8, INT8})

_MOST_WINDOW_ITEMS = 1 << 31
"""Of a convolution's or a pooling's input as one row a window, a form in which engines lay it out."""


@dataclass(frozen=True)
class Tensor:
    """A value of the graph.

    Args:
        dtype: TensorProto.DataType.
        shape: fixed.
        constant: whether it follows from constants alone.
        values: of a small constant that the graph carries.
    """

    dtype: int
    shape: Shape
    constant: bool = False
    values: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Node:
    """A node whose inputs are known. An input that is left out is None."""

    operator: str
    inputs: Sequence[Tensor | None]
    outputs: int
    attributes: Mapping[str, object]

    def tensor(self, index: int) -> Tensor:
        found = self.optional(index)
        if found is None:
            raise RefusedMessageError(f"lacks input {index}")
        return found

    def optional(self, index: int) -> Tensor | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def given(self) -> list[Tensor]:
        return [tensor for tensor in self.inputs if tensor is not None]

    def integer(self, name: str, default: int | None = None) -> int:
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise RefusedMessageError(f"lacks attribute {name}")
        return value

    def integers(self, name: str, default: Iterable[int]) -> list[int]:
        value = self.attributes.get(name)
        return list(value) if isinstance(value, tuple) else list(default)

    def text(self, name: str, default: str) -> str:
        return str(self.attributes.get(name, default))

    def constant(self, index: int) -> tuple[float, ...] | None:
        """Values of a one-dimensional or scalar input, None where it is left out."""
        tensor = self.optional(index)
        if tensor is None:
            return None
        if tensor.values is None or len(tensor.shape) > 1:
            raise RefusedMessageError(f"takes input {index}, which is no short list of constants")
        return tensor.values

    def constant_integers(self, index: int) -> list[int] | None:
        tensor, values = self.optional(index), self.constant(index)
        if tensor is None or values is None:
            return None
        _require_type(tensor, _INDICES)
        return [int(value) for value in values]


Rule = Callable[[Node], Sequence[Tensor]]
Kind = str | tuple[str, ...]
"""Of an attribute: ``int``, ``float``, ``ints``, ``tensor``, or the strings that it may be."""


@dataclass(frozen=True)
class Operator:
    """Args:
    rule: a node to what it makes.
    types: that its first input may have.
    inputs: at least and at most.
    attributes: it may have, each with its kind.
    outputs: at most.
    """

    rule: Rule
    types: frozenset[int] = _FLOATS
    inputs: tuple[int, int] = (1, 1)
    attributes: Mapping[str, Kind] | None = None
    outputs: int = 1


def infer(node: Node) -> Sequence[Tensor]:
    """What a node makes.

    Raises:
        RefusedMessageError: its operator is not known here, or does not take what the node gives it, or what
        it makes would depend on more than shapes and constants.
    """
    operator = OPERATORS[node.operator]
    fewest, most = operator.inputs
    if not fewest <= len(node.inputs) <= most or None in node.inputs[:fewest]:
        raise RefusedMessageError(f"has {len(node.given())} inputs, not {fewest} to {most}")
    if not 1 <= node.outputs <= operator.outputs:
        raise RefusedMessageError(f"has {node.outputs} outputs, not 1 to {operator.outputs}")
    for name, value in node.attributes.items():
        kind = (operator.attributes or {}).get(name)
        if kind is None or not _fits(value, kind):
            raise RefusedMessageError(f"has attribute {name!r} of a kind or value that is not known")
    if node.inputs and node.inputs[0] is not None:
        _require_type(node.inputs[0], operator.types)
    made = operator.rule(node)
    fixed = all(tensor.constant for tensor in node.given())
    return [Tensor(tensor.dtype, tensor.shape, fixed, tensor.values) for tensor in made]


def _fits(value: object, kind: Kind) -> bool:
    if isinstance(kind, tuple):
        return value in kind
    return isinstance(value, {"int": int, "float": float, "ints": tuple, "tensor": Tensor}[kind])


def _require_type(tensor: Tensor, types: Iterable[int]) -> None:
    if tensor.dtype not in types:
        raise RefusedMessageError(f"takes element type {tensor.dtype}, which it cannot")


def _require_alike(*tensors: Tensor | None) -> None:
    if len({tensor.dtype for tensor in tensors if tensor is not None}) > 1:
        raise RefusedMessageError("takes tensors of different element types")


def _require(fits: bool, *shapes: Iterable[int]) -> None:
    if not fits:
        told = " and ".join(str(tuple(shape)) for shape in shapes)
        raise RefusedMessageError(f"does not fit shapes {told}")


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise RefusedMessageError(f"names axis {axis} of {rank}")
    return axis % rank


def _axes(axes: Iterable[int], rank: int) -> list[int]:
    found = [_axis(axis, rank) for axis in axes]
    if len(set(found)) != len(found):
        raise RefusedMessageError(f"names an axis twice in {found}")
    return found


def _broadcast_shapes(*shapes: Shape) -> Shape:
    rank = max(map(len, shapes))
    result = []
    for sizes in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        distinct = set(sizes) - {1}
        _require(len(distinct) < 2, *shapes)
        result.append(distinct.pop() if distinct else 1)
    return tuple(result)


def _same(node: Node) -> list[Tensor]:
    first = node.tensor(0)
    return [Tensor(first.dtype, first.shape)]


def _elementwise(node: Node) -> list[Tensor]:
    _require_alike(*node.inputs)
    return [Tensor(node.tensor(0).dtype, _broadcast_shapes(*(tensor.shape for tensor in node.given())))]


def _division(node: Node) -> list[Tensor]:
    """Processors trap on integers divided by 0, and on the least one by -1."""
    divisor = node.tensor(1)
    whole = divisor.dtype not in _FLOATS
    if whole and (divisor.values is None or any(value < 1 for value in divisor.values)):
        raise RefusedMessageError("divides integers by what is no positive constant")
    return _elementwise(node)


def _power(node: Node) -> list[Tensor]:
    base, exponent = node.tensor(0), node.tensor(1)
    _require_type(exponent, _NUMBERS)
    return [Tensor(base.dtype, _broadcast_shapes(base.shape, exponent.shape))]


def _comparison(node: Node) -> list[Tensor]:
    return [Tensor(BOOL, _elementwise(node)[0].shape)]


def _where(node: Node) -> list[Tensor]:
    condition, one, other = (node.tensor(index) for index in range(3))
    _require_alike(one, other)
    return [Tensor(one.dtype, _broadcast_shapes(condition.shape, one.shape, other.shape))]


def _clip(node: Node) -> list[Tensor]:
    _require_alike(*node.inputs)
    for tensor in node.given()[1:]:
        _require(math.prod(tensor.shape) == 1, tensor.shape)
    return _same(node)


def _prelu(node: Node) -> list[Tensor]:
    made = _elementwise(node)
    _require(made[0].shape == node.tensor(0).shape, made[0].shape)
    return made


def _cast(node: Node) -> list[Tensor]:
    target = node.integer("to")
    if target not in ITEM_BYTES:
        raise RefusedMessageError(f"casts to element type {target}, which is not supported")
    return [Tensor(target, node.tensor(0).shape)]


def _constant(node: Node) -> list[Tensor]:
    if len(node.attributes) != 1:
        raise RefusedMessageError("has not one value")
    ((name, value),) = node.attributes.items()
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple):
        return [Tensor(INT64, (len(value),), values=value)]
    assert isinstance(value, int | float), name
    return [Tensor(INT64 if isinstance(value, int) else FLOAT32, (), values=(value,))]


def _reduction(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    axes = node.constant_integers(1) or node.integers("axes", ())
    if not axes and node.integer("noop_with_empty_axes", 0):
        return [x]
    kept = _reduced(x.shape, axes or range(len(x.shape)), keep=bool(node.integer("keepdims", 1)))
    return [Tensor(x.dtype, kept)]


def _reduced(shape: Shape, axes: Iterable[int], *, keep: bool) -> Shape:
    gone = _axes(axes, len(shape))
    sizes = [1 if axis in gone else size for axis, size in enumerate(shape)]
    return tuple(size for axis, size in enumerate(sizes) if keep or axis not in gone)


def _arg_max(node: Node) -> list[Tensor]:
    shape = node.tensor(0).shape
    kept = _reduced(shape, [node.integer("axis", 0)], keep=bool(node.integer("keepdims", 1)))
    return [Tensor(INT64, kept)]


def _top_k(node: Node) -> list[Tensor]:
    x, counts = node.tensor(0), node.constant_integers(1)
    axis = _axis(node.integer("axis", -1), len(x.shape))
    _require(counts is not None and len(counts) == 1 and 1 <= counts[0] <= x.shape[axis], x.shape)
    assert counts is not None
    shape = (*x.shape[:axis], counts[0], *x.shape[axis + 1 :])
    return [Tensor(x.dtype, shape), Tensor(INT64, shape)]


def _axis_kept(node: Node) -> list[Tensor]:
    _axis(node.integer("axis", -1), len(node.tensor(0).shape))
    return _same(node)


def _batch_normalization(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    for tensor in node.given()[1:]:
        _require(tensor.shape == x.shape[1:2], x.shape, tensor.shape)
    _require_alike(*node.inputs)
    return _same(node)


def _layer_normalization(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    axis = _axis(node.integer("axis", -1), len(x.shape))
    _require_alike(*node.inputs)
    for tensor in node.given()[1:]:
        _require(_broadcast_shapes(x.shape[axis:], tensor.shape) == x.shape[axis:], x.shape, tensor.shape)
    return _same(node)


def _convolution(node: Node) -> list[Tensor]:
    x, weight = node.tensor(0), node.tensor(1)
    group = node.integer("group", 1)
    fits = len(x.shape) == len(weight.shape) >= 3 and group >= 1
    _require(fits and x.shape[1] == weight.shape[1] * group, x.shape, weight.shape)
    _require(weight.shape[0] % group == 0, weight.shape)
    _require_bias(node, weight.shape[0])
    sizes = _slid(node, x.shape[2:], weight.shape[2:], node.text("auto_pad", "NOTSET"))
    _require_small_window(sizes, weight.shape[1:])
    return [Tensor(x.dtype, (x.shape[0], weight.shape[0], *sizes))]


def _transposed_convolution(node: Node) -> list[Tensor]:
    x, weight = node.tensor(0), node.tensor(1)
    group, dims = node.integer("group", 1), len(x.shape) - 2
    fits = len(x.shape) == len(weight.shape) >= 3 and group >= 1
    _require(fits and x.shape[1] == weight.shape[0] and weight.shape[0] % group == 0, x.shape, weight.shape)
    _require_bias(node, weight.shape[1] * group)
    strides, dilations, pads = _steps(node, weight.shape[2:])
    extra = node.integers("output_padding", [0] * dims)
    _require(len(extra) == dims and all(0 <= more < max(strides) for more in extra), extra)
    sizes = [
        stride * (size - 1) + more + dilation * (kernel - 1) + 1 - before - after
        for size, kernel, stride, dilation, more, before, after in zip(
            x.shape[2:],
            weight.shape[2:],
            strides,
            dilations,
            extra,
            pads[:dims],
            pads[dims:],
            strict=True,
        )
    ]
    _require_small_window(x.shape[2:], weight.shape[1:])
    return [Tensor(x.dtype, (x.shape[0], weight.shape[1] * group, *sizes))]


def _require_bias(node: Node, channels: int) -> None:
    _require_alike(*node.inputs)
    bias = node.optional(2)
    _require(bias is None or bias.shape == (channels,), bias.shape if bias else ())


def _pooling(node: Node) -> list[Tensor]:
    x, kernel = node.tensor(0), tuple(node.integers("kernel_shape", ()))
    _require(len(x.shape) == len(kernel) + 2 >= 3, x.shape, kernel)
    pads = node.integers("pads", [0] * 2 * len(kernel))
    _require(all(pad < size for pad, size in zip(pads, kernel * 2, strict=False)), pads, kernel)
    sizes = _slid(node, x.shape[2:], kernel, node.text("auto_pad", "NOTSET"))
    _require_small_window(sizes, kernel)
    return [Tensor(x.dtype, (*x.shape[:2], *sizes))]


def _steps(node: Node, kernel: Shape) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations, and pads (all befores, then all afters)."""
    dims = len(kernel)
    _require(tuple(node.integers("kernel_shape", kernel)) == kernel and min(kernel) >= 1, kernel)
    strides, dilations = (node.integers(name, [1] * dims) for name in ("strides", "dilations"))
    pads = node.integers("pads", [0] * 2 * dims)
    _require(len(strides) == len(dilations) == dims and min(strides + dilations) >= 1, strides, dilations)
    _require(len(pads) == 2 * dims and min(pads) >= 0, pads)
    return strides, dilations, pads


def _slid(node: Node, sizes: Shape, kernel: Shape, auto_pad: str) -> list[int]:
    """How often a window fits along each axis."""
    strides, dilations, pads = _steps(node, kernel)
    result = []
    for axis, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        if auto_pad.startswith("SAME"):
            result.append(-(-size // stride))
            continue
        before, after = (pads[axis], pads[axis + len(sizes)]) if auto_pad == "NOTSET" else (0, 0)
        room = size + before + after - dilations[axis] * (kernel[axis] - 1) - 1
        _require(room >= 0, sizes, kernel)
        if not node.integer("ceil_mode", 0):
            result.append(room // stride + 1)
            continue
        count = -(-room // stride) + 1
        # A window may not begin behind the end.
        result.append(count - 1 if (count - 1) * stride >= size + before else count)
    return result


def _require_small_window(positions: Iterable[int], window: Iterable[int]) -> None:
    items = math.prod(positions) * math.prod(window)
    if items > _MOST_WINDOW_ITEMS:
        raise RefusedMessageError(f"looks at {items} items through its window, {_MOST_WINDOW_ITEMS} at most")


def _global_pooling(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    _require(len(x.shape) >= 3, x.shape)
    return [Tensor(x.dtype, (*x.shape[:2], *(1 for _ in x.shape[2:])))]


def _matrix_product(node: Node) -> list[Tensor]:
    a, b = node.tensor(0), node.tensor(1)
    _require_alike(a, b)
    _require(min(len(a.shape), len(b.shape)) >= 2 and a.shape[-1] == b.shape[-2], a.shape, b.shape)
    batch = _broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return [Tensor(a.dtype, (*batch, a.shape[-2], b.shape[-1]))]


def _gemm(node: Node) -> list[Tensor]:
    _require_alike(*node.inputs)
    a, b, c = node.tensor(0), node.tensor(1), node.optional(2)
    _require(len(a.shape) == len(b.shape) == 2, a.shape, b.shape)
    rows, inner = a.shape[::-1] if node.integer("transA", 0) else a.shape
    other, columns = b.shape[::-1] if node.integer("transB", 0) else b.shape
    _require(inner == other, a.shape, b.shape)
    shape = (rows, columns)
    _require(c is None or _broadcast_shapes(c.shape, shape) == shape, shape, c.shape if c else ())
    return [Tensor(a.dtype, shape)]


def _concat(node: Node) -> list[Tensor]:
    _require_alike(*node.inputs)
    tensors = node.given()
    first = tensors[0].shape
    axis = _axis(node.integer("axis"), len(first))
    for tensor in tensors:
        rest = tensor.shape[:axis] + tensor.shape[axis + 1 :]
        _require(rest == first[:axis] + first[axis + 1 :], first, tensor.shape)
    length = sum(tensor.shape[axis] for tensor in tensors)
    return [Tensor(tensors[0].dtype, (*first[:axis], length, *first[axis + 1 :]))]


def _split(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    axis = _axis(node.integer("axis", 0), len(x.shape))
    length = x.shape[axis]
    sizes = node.constant_integers(1)
    if sizes is None:
        share = -(-length // node.outputs)
        _require(node.integer("num_outputs") == node.outputs, x.shape, [node.outputs])
        sizes = [share] * (node.outputs - 1)
        sizes.append(length - sum(sizes))
    _require(len(sizes) == node.outputs and min(sizes) >= 1 and sum(sizes) == length, x.shape, sizes)
    return [Tensor(x.dtype, (*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in sizes]


def _slice(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    starts, ends = node.constant_integers(1), node.constant_integers(2)
    assert starts is not None and ends is not None
    axes = _axes(node.constant_integers(3) or range(len(starts)), len(x.shape))
    steps = node.constant_integers(4) or [1] * len(starts)
    _require(len(starts) == len(ends) == len(axes) == len(steps) and 0 not in steps, starts, ends, steps)
    shape = list(x.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        shape[axis] = len(range(*slice(start, end, step).indices(shape[axis])))
    return [Tensor(x.dtype, tuple(shape))]


def _pad(node: Node) -> list[Tensor]:
    x, pads = node.tensor(0), node.constant_integers(1)
    value = node.optional(2)
    _require_alike(x, value)
    axes = _axes(node.constant_integers(3) or range(len(x.shape)), len(x.shape))
    assert pads is not None
    _require(len(pads) == 2 * len(axes), x.shape, pads)
    shape = list(x.shape)
    for axis, before, after in zip(axes, pads, pads[len(axes) :], strict=False):
        if node.text("mode", "constant") != "constant":
            _require(0 <= before < x.shape[axis] and 0 <= after < x.shape[axis], x.shape, pads)
        shape[axis] += before + after
    return [Tensor(x.dtype, tuple(shape))]


def _gather(node: Node) -> list[Tensor]:
    x, at = node.tensor(0), node.tensor(1)
    _require_type(at, _INDICES)
    axis = _axis(node.integer("axis", 0), len(x.shape))
    return [Tensor(x.dtype, (*x.shape[:axis], *at.shape, *x.shape[axis + 1 :]))]


def _gather_elements(node: Node) -> list[Tensor]:
    x, at = node.tensor(0), node.tensor(1)
    _require_type(at, _INDICES)
    axis = _axis(node.integer("axis", 0), len(x.shape))
    fits = len(at.shape) == len(x.shape)
    pairs = zip(at.shape, x.shape, strict=False)
    _require(fits and all(i == axis or few <= many for i, (few, many) in enumerate(pairs)), x.shape, at.shape)
    return [Tensor(x.dtype, at.shape)]


def _grid_sample(node: Node) -> list[Tensor]:
    x, grid = node.tensor(0), node.tensor(1)
    _require_type(grid, _FLOATS)
    fits = len(x.shape) == len(grid.shape) == 4 and x.shape[0] == grid.shape[0] and grid.shape[3] == 2
    _require(fits, x.shape, grid.shape)
    return [Tensor(x.dtype, (*x.shape[:2], *grid.shape[1:3]))]


def _reshape(node: Node) -> list[Tensor]:
    x, target = node.tensor(0), node.constant_integers(1)
    assert target is not None
    shape = list(target)
    for axis, size in enumerate(target):
        if size == 0 and not node.integer("allowzero", 0):
            _require(axis < len(x.shape), x.shape, target)
            shape[axis] = x.shape[axis]
    total = math.prod(x.shape)
    if -1 in shape:
        known = -math.prod(shape) if shape.count(-1) == 1 else 0
        _require(known > 0 and total % known == 0, x.shape, target)
        shape[shape.index(-1)] = total // known
    _require(all(size >= 1 for size in shape) and math.prod(shape) == total, x.shape, target)
    return [Tensor(x.dtype, tuple(shape))]


def _flatten(node: Node) -> list[Tensor]:
    x, axis = node.tensor(0), node.integer("axis", 1)
    rank = len(x.shape)
    _require(-rank <= axis <= rank, x.shape, [axis])
    axis += rank if axis < 0 else 0
    return [Tensor(x.dtype, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))]


def _squeeze(node: Node) -> list[Tensor]:
    x, axes = node.tensor(0), node.constant_integers(1)
    if axes is None:
        axes = [axis for axis, size in enumerate(x.shape) if size == 1]
    gone = _axes(axes, len(x.shape))
    _require(all(x.shape[axis] == 1 for axis in gone), x.shape, axes)
    return [Tensor(x.dtype, _reduced(x.shape, gone, keep=False))]


def _unsqueeze(node: Node) -> list[Tensor]:
    x, axes = node.tensor(0), node.constant_integers(1)
    assert axes is not None
    new = _axes(axes, len(x.shape) + len(axes))
    shape = list(x.shape)
    for axis in sorted(new):
        shape.insert(axis, 1)
    return [Tensor(x.dtype, tuple(shape))]


def _transpose(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    order = node.integers("perm", reversed(range(len(x.shape))))
    _require(sorted(order) == list(range(len(x.shape))), x.shape, order)
    return [Tensor(x.dtype, tuple(x.shape[axis] for axis in order))]


def _expand(node: Node) -> list[Tensor]:
    x, target = node.tensor(0), node.constant_integers(1)
    assert target is not None
    return [Tensor(x.dtype, _broadcast_shapes(x.shape, tuple(target)))]


def _resize(node: Node) -> list[Tensor]:
    x, scales, sizes = node.tensor(0), node.constant(2) or (), node.constant_integers(3) or []
    _require(len(scales) + len(sizes) == len(x.shape) and not (scales and sizes), x.shape)
    if scales:
        _require_type(node.tensor(2), {FLOAT32})
        if not all(0 < scale < 1 << 31 for scale in scales):
            raise RefusedMessageError(f"scales by {scales}")
        sizes = [math.floor(size * scale) for size, scale in zip(x.shape, scales, strict=True)]
    return [Tensor(x.dtype, tuple(sizes))]


def _quantize(node: Node) -> list[Tensor]:
    x, scale, zero = node.tensor(0), node.tensor(1), node.optional(2)
    _require_type(scale, {x.dtype, FLOAT32})
    _require_channels(node)
    asked = node.integer("output_dtype", 0)
    target = zero.dtype if zero else asked or UINT8
    if target not in _QUANTISED or asked not in {0, target}:
        raise RefusedMessageError(f"quantises to element type {asked or target}, which is not supported here")
    return [Tensor(target, x.shape)]


def _dequantize(node: Node) -> list[Tensor]:
    x, scale = node.tensor(0), node.tensor(1)
    _require_type(scale, _FLOATS)
    _require_alike(x, node.optional(2))
    _require_channels(node)
    return [Tensor(scale.dtype, x.shape)]


def _require_channels(node: Node) -> None:
    x, scale, zero = node.tensor(0), node.tensor(1), node.optional(2)
    if zero is not None:
        _require(zero.shape == scale.shape, zero.shape, scale.shape)
    if scale.shape not in {(), (1,)}:
        axis = _axis(node.integer("axis", 1), len(x.shape))
        _require(scale.shape == x.shape[axis : axis + 1], x.shape, scale.shape)


_AUTO_PAD = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
_WINDOW: dict[str, Kind] = {"kernel_shape": "ints", "strides": "ints", "dilations": "ints", "pads": "ints"}
_POOL: dict[str, Kind] = {**_WINDOW, "auto_pad": _AUTO_PAD, "ceil_mode": "int"}
_AXIS: dict[str, Kind] = {"axis": "int"}
_REDUCTION: dict[str, Kind] = {"axes": "ints", "keepdims": "int", "noop_with_empty_axes": "int"}
_QUANTISATION: dict[str, Kind] = {"axis": "int", "saturate": "int"}
_MANY = 1 << 12


def _each(names: str, operator: Operator) -> dict[str, Operator]:
    return dict.fromkeys(names.split(), operator)


OPERATORS: Mapping[str, Operator] = {
    **_each(
        "Ceil Cos Erf Exp Floor HardSwish Log Reciprocal Round Sigmoid Sin Softplus Sqrt Tanh",
        Operator(_same),
    ),
    **_each("Neg Relu", Operator(_same, _NUMBERS)),
    **_each("Elu LeakyRelu", Operator(_same, attributes={"alpha": "float"})),
    "HardSigmoid": Operator(_same, attributes={"alpha": "float", "beta": "float"}),
    "Identity": Operator(_same, _ANY),
    "Not": Operator(_same, _BOOLS),
    **_each("Add Mul Sub", Operator(_elementwise, _NUMBERS, (2, 2))),
    "Div": Operator(_division, _NUMBERS, (2, 2)),
    "Mod": Operator(_division, _NUMBERS, (2, 2), {"fmod": "int"}),
    "Pow": Operator(_power, _NUMBERS, (2, 2)),
    **_each("Max Min", Operator(_elementwise, _NUMBERS, (1, _MANY))),
    **_each("And Or Xor", Operator(_elementwise, _BOOLS, (2, 2))),
    "Equal": Operator(_comparison, _ANY, (2, 2)),
    **_each("Greater GreaterOrEqual Less LessOrEqual", Operator(_comparison, _NUMBERS, (2, 2))),
    "Where": Operator(_where, _BOOLS, (3, 3)),
    "Clip": Operator(_clip, _NUMBERS, (1, 3)),
    "PRelu": Operator(_prelu, inputs=(2, 2)),
    "Cast": Operator(_cast, _ANY, attributes={"to": "int", "saturate": "int"}),
    "Constant": Operator(
        _constant,
        inputs=(0, 0),
        attributes={"value": "tensor", "value_int": "int", "value_ints": "ints", "value_float": "float"},
    ),
    **_each(
        "ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum",
        Operator(_reduction, _NUMBERS, (1, 2), _REDUCTION),
    ),
    "ArgMax": Operator(
        _arg_max, _NUMBERS, attributes={**_AXIS, "keepdims": "int", "select_last_index": "int"}
    ),
    "TopK": Operator(_top_k, _NUMBERS, (2, 2), {**_AXIS, "largest": "int", "sorted": "int"}, outputs=2),
    "Softmax": Operator(_axis_kept, attributes=_AXIS),
    "BatchNormalization": Operator(
        _batch_normalization, inputs=(5, 5), attributes={"epsilon": "float", "momentum": "float"}
    ),
    "InstanceNormalization": Operator(_batch_normalization, inputs=(3, 3), attributes={"epsilon": "float"}),
    "LayerNormalization": Operator(
        _layer_normalization,
        inputs=(2, 3),
        attributes={**_AXIS, "epsilon": "float", "stash_type": "int"},
    ),
    "Conv": Operator(
        _convolution, inputs=(2, 3), attributes={**_WINDOW, "auto_pad": _AUTO_PAD, "group": "int"}
    ),
    "ConvTranspose": Operator(
        _transposed_convolution,
        inputs=(2, 3),
        attributes={**_WINDOW, "auto_pad": ("NOTSET",), "group": "int", "output_padding": "ints"},
    ),
    "AveragePool": Operator(_pooling, attributes={**_POOL, "count_include_pad": "int"}),
    "MaxPool": Operator(_pooling, _FLOATS | _QUANTISED, attributes={**_POOL, "storage_order": "int"}),
    "GlobalAveragePool": Operator(_global_pooling),
    "MatMul": Operator(_matrix_product, inputs=(2, 2)),
    "Gemm": Operator(
        _gemm,
        inputs=(2, 3),
        attributes={"alpha": "float", "beta": "float", "transA": "int", "transB": "int"},
    ),
    "Concat": Operator(_concat, _ANY, (1, _MANY), _AXIS),
    "Split": Operator(_split, _ANY, (1, 2), {**_AXIS, "num_outputs": "int"}, outputs=_MANY),
    "Slice": Operator(_slice, _ANY, (3, 5)),
    "Pad": Operator(_pad, _ANY, (2, 4), {"mode": ("constant", "reflect", "edge")}),
    "Gather": Operator(_gather, _ANY, (2, 2), _AXIS),
    "GatherElements": Operator(_gather_elements, _ANY, (2, 2), _AXIS),
    "GridSample": Operator(
        _grid_sample,
        inputs=(2, 2),
        attributes={
            "align_corners": "int",
            "mode": ("bilinear", "linear", "nearest", "bicubic", "cubic"),
            "padding_mode": ("zeros", "border", "reflection"),
        },
    ),
    "Reshape": Operator(_reshape, _ANY, (2, 2), {"allowzero": "int"}),
    "Flatten": Operator(_flatten, _ANY, attributes=_AXIS),
    "Squeeze": Operator(_squeeze, _ANY, (1, 2)),
    "Unsqueeze": Operator(_unsqueeze, _ANY, (2, 2)),
    "Transpose": Operator(_transpose, _ANY, attributes={"perm": "ints"}),
    "Expand": Operator(_expand, _ANY, (2, 2)),
    "Resize": Operator(
        _resize,
        _NUMBERS,
        (1, 4),
        {
            "antialias": "int",
            "coordinate_transformation_mode": (
                "half_pixel",
                "half_pixel_symmetric",
                "pytorch_half_pixel",
                "align_corners",
                "asymmetric",
            ),
            "cubic_coeff_a": "float",
            "exclude_outside": "int",
            "extrapolation_value": "float",
            "keep_aspect_ratio_policy": ("stretch",),
            "mode": ("nearest", "linear", "cubic"),
            "nearest_mode": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
        },
    ),
    "QuantizeLinear": Operator(_quantize, inputs=(2, 3), attributes={**_QUANTISATION, "output_dtype": "int"}),
    "DequantizeLinear": Operator(_dequantize, _QUANTISED | {INT32}, (2, 3), _QUANTISATION),
}
"""Operators a graph may use: without control flow, and without any that allocates at will.

Graphs of our own have no GridSample, which TensorRT has miscomputed; wrapped transformers cannot do without,
and a plan is good only where the proof says so.
"""
