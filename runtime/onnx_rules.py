"""What each operator but those with windows makes of what it takes."""

from __future__ import annotations

import math
from collections.abc import Iterable

from catseye.runtime.onnx_tensors import (
    BOOL,
    FLOAT32,
    FLOATS,
    INDICES,
    INT64,
    ITEM_BYTES,
    NUMBERS,
    QUANTISED,
    UINT8,
    Node,
    Shape,
    Tensor,
    axes_of,
    axis_of,
    broadcast_shapes,
    require,
    require_alike,
    require_type,
)
from catseye.runtime.protobuf import RefusedMessageError


def same(node: Node) -> list[Tensor]:
    first = node.tensor(0)
    return [Tensor(first.dtype, first.shape)]


def elementwise(node: Node) -> list[Tensor]:
    require_alike(*node.inputs)
    return [Tensor(node.tensor(0).dtype, broadcast_shapes(*(tensor.shape for tensor in node.given())))]


def division(node: Node) -> list[Tensor]:
    """Processors trap on integers divided by 0, and on the least one by -1."""
    divisor = node.tensor(1)
    whole = divisor.dtype not in FLOATS
    if whole and (divisor.values is None or any(value < 1 for value in divisor.values)):
        raise RefusedMessageError("divides integers by what is no positive constant")
    return elementwise(node)


def power(node: Node) -> list[Tensor]:
    base, exponent = node.tensor(0), node.tensor(1)
    require_type(exponent, NUMBERS)
    return [Tensor(base.dtype, broadcast_shapes(base.shape, exponent.shape))]


def comparison(node: Node) -> list[Tensor]:
    return [Tensor(BOOL, elementwise(node)[0].shape)]


def where(node: Node) -> list[Tensor]:
    condition, one, other = (node.tensor(index) for index in range(3))
    require_alike(one, other)
    return [Tensor(one.dtype, broadcast_shapes(condition.shape, one.shape, other.shape))]


def clip(node: Node) -> list[Tensor]:
    require_alike(*node.inputs)
    for tensor in node.given()[1:]:
        require(math.prod(tensor.shape) == 1, tensor.shape)
    return same(node)


def prelu(node: Node) -> list[Tensor]:
    made = elementwise(node)
    require(made[0].shape == node.tensor(0).shape, made[0].shape)
    return made


def cast(node: Node) -> list[Tensor]:
    target = node.integer("to")
    if target not in ITEM_BYTES:
        raise RefusedMessageError(f"casts to element type {target}, which is not supported")
    return [Tensor(target, node.tensor(0).shape)]


def constant_value(node: Node) -> list[Tensor]:
    if len(node.attributes) != 1:
        raise RefusedMessageError("has not one value")
    ((name, value),) = node.attributes.items()
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple):
        return [Tensor(INT64, (len(value),), values=value)]
    assert isinstance(value, int | float), name
    return [Tensor(INT64 if isinstance(value, int) else FLOAT32, (), values=(value,))]


def reduction(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    axes = node.constant_integers(1) or node.integers("axes", ())
    if not axes and node.integer("noop_with_empty_axes", 0):
        return [x]
    kept = _reduced(x.shape, axes or range(len(x.shape)), keep=bool(node.integer("keepdims", 1)))
    return [Tensor(x.dtype, kept)]


def _reduced(shape: Shape, axes: Iterable[int], *, keep: bool) -> Shape:
    gone = axes_of(axes, len(shape))
    sizes = [1 if axis in gone else size for axis, size in enumerate(shape)]
    return tuple(size for axis, size in enumerate(sizes) if keep or axis not in gone)


def arg_max(node: Node) -> list[Tensor]:
    shape = node.tensor(0).shape
    kept = _reduced(shape, [node.integer("axis", 0)], keep=bool(node.integer("keepdims", 1)))
    return [Tensor(INT64, kept)]


def top_k(node: Node) -> list[Tensor]:
    x, counts = node.tensor(0), node.constant_integers(1)
    axis = axis_of(node.integer("axis", -1), len(x.shape))
    require(counts is not None and len(counts) == 1 and 1 <= counts[0] <= x.shape[axis], x.shape)
    assert counts is not None
    shape = (*x.shape[:axis], counts[0], *x.shape[axis + 1 :])
    return [Tensor(x.dtype, shape), Tensor(INT64, shape)]


def axis_kept(node: Node) -> list[Tensor]:
    axis_of(node.integer("axis", -1), len(node.tensor(0).shape))
    return same(node)


def batch_normalization(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    for tensor in node.given()[1:]:
        require(tensor.shape == x.shape[1:2], x.shape, tensor.shape)
    require_alike(*node.inputs)
    return same(node)


def layer_normalization(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    axis = axis_of(node.integer("axis", -1), len(x.shape))
    require_alike(*node.inputs)
    for tensor in node.given()[1:]:
        require(broadcast_shapes(x.shape[axis:], tensor.shape) == x.shape[axis:], x.shape, tensor.shape)
    return same(node)


def matrix_product(node: Node) -> list[Tensor]:
    a, b = node.tensor(0), node.tensor(1)
    require_alike(a, b)
    require(min(len(a.shape), len(b.shape)) >= 2 and a.shape[-1] == b.shape[-2], a.shape, b.shape)
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return [Tensor(a.dtype, (*batch, a.shape[-2], b.shape[-1]))]


def gemm(node: Node) -> list[Tensor]:
    require_alike(*node.inputs)
    a, b, c = node.tensor(0), node.tensor(1), node.optional(2)
    require(len(a.shape) == len(b.shape) == 2, a.shape, b.shape)
    rows, inner = a.shape[::-1] if node.integer("transA", 0) else a.shape
    other, columns = b.shape[::-1] if node.integer("transB", 0) else b.shape
    require(inner == other, a.shape, b.shape)
    shape = (rows, columns)
    require(c is None or broadcast_shapes(c.shape, shape) == shape, shape, c.shape if c else ())
    return [Tensor(a.dtype, shape)]


def concat(node: Node) -> list[Tensor]:
    require_alike(*node.inputs)
    tensors = node.given()
    first = tensors[0].shape
    axis = axis_of(node.integer("axis"), len(first))
    for tensor in tensors:
        rest = tensor.shape[:axis] + tensor.shape[axis + 1 :]
        require(rest == first[:axis] + first[axis + 1 :], first, tensor.shape)
    length = sum(tensor.shape[axis] for tensor in tensors)
    return [Tensor(tensors[0].dtype, (*first[:axis], length, *first[axis + 1 :]))]


def split(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    axis = axis_of(node.integer("axis", 0), len(x.shape))
    length = x.shape[axis]
    sizes = node.constant_integers(1)
    if sizes is None:
        share = -(-length // node.outputs)
        require(node.integer("num_outputs") == node.outputs, x.shape, [node.outputs])
        sizes = [share] * (node.outputs - 1)
        sizes.append(length - sum(sizes))
    require(len(sizes) == node.outputs and min(sizes) >= 1 and sum(sizes) == length, x.shape, sizes)
    return [Tensor(x.dtype, (*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in sizes]


def sliced(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    starts, ends = node.constant_integers(1), node.constant_integers(2)
    assert starts is not None and ends is not None
    axes = axes_of(node.constant_integers(3) or range(len(starts)), len(x.shape))
    steps = node.constant_integers(4) or [1] * len(starts)
    require(len(starts) == len(ends) == len(axes) == len(steps) and 0 not in steps, starts, ends, steps)
    shape = list(x.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        shape[axis] = len(range(*slice(start, end, step).indices(shape[axis])))
    return [Tensor(x.dtype, tuple(shape))]


def pad(node: Node) -> list[Tensor]:
    x, pads = node.tensor(0), node.constant_integers(1)
    value = node.optional(2)
    require_alike(x, value)
    axes = axes_of(node.constant_integers(3) or range(len(x.shape)), len(x.shape))
    assert pads is not None
    require(len(pads) == 2 * len(axes), x.shape, pads)
    shape = list(x.shape)
    for axis, before, after in zip(axes, pads, pads[len(axes) :], strict=False):
        if node.text("mode", "constant") != "constant":
            require(0 <= before < x.shape[axis] and 0 <= after < x.shape[axis], x.shape, pads)
        shape[axis] += before + after
    return [Tensor(x.dtype, tuple(shape))]


def gather(node: Node) -> list[Tensor]:
    x, at = node.tensor(0), node.tensor(1)
    require_type(at, INDICES)
    axis = axis_of(node.integer("axis", 0), len(x.shape))
    return [Tensor(x.dtype, (*x.shape[:axis], *at.shape, *x.shape[axis + 1 :]))]


def gather_elements(node: Node) -> list[Tensor]:
    x, at = node.tensor(0), node.tensor(1)
    require_type(at, INDICES)
    axis = axis_of(node.integer("axis", 0), len(x.shape))
    fits = len(at.shape) == len(x.shape)
    pairs = zip(at.shape, x.shape, strict=False)
    require(fits and all(i == axis or few <= many for i, (few, many) in enumerate(pairs)), x.shape, at.shape)
    return [Tensor(x.dtype, at.shape)]


def grid_sample(node: Node) -> list[Tensor]:
    x, grid = node.tensor(0), node.tensor(1)
    require_type(grid, FLOATS)
    fits = len(x.shape) == len(grid.shape) == 4 and x.shape[0] == grid.shape[0] and grid.shape[3] == 2
    require(fits, x.shape, grid.shape)
    return [Tensor(x.dtype, (*x.shape[:2], *grid.shape[1:3]))]


def reshape(node: Node) -> list[Tensor]:
    x, target = node.tensor(0), node.constant_integers(1)
    assert target is not None
    shape = list(target)
    for axis, size in enumerate(target):
        if size == 0 and not node.integer("allowzero", 0):
            require(axis < len(x.shape), x.shape, target)
            shape[axis] = x.shape[axis]
    total = math.prod(x.shape)
    if -1 in shape:
        known = -math.prod(shape) if shape.count(-1) == 1 else 0
        require(known > 0 and total % known == 0, x.shape, target)
        shape[shape.index(-1)] = total // known
    require(all(size >= 1 for size in shape) and math.prod(shape) == total, x.shape, target)
    return [Tensor(x.dtype, tuple(shape))]


def flatten(node: Node) -> list[Tensor]:
    x, axis = node.tensor(0), node.integer("axis", 1)
    rank = len(x.shape)
    require(-rank <= axis <= rank, x.shape, [axis])
    axis += rank if axis < 0 else 0
    return [Tensor(x.dtype, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))]


def squeeze(node: Node) -> list[Tensor]:
    x, axes = node.tensor(0), node.constant_integers(1)
    if axes is None:
        axes = [axis for axis, size in enumerate(x.shape) if size == 1]
    gone = axes_of(axes, len(x.shape))
    require(all(x.shape[axis] == 1 for axis in gone), x.shape, axes)
    return [Tensor(x.dtype, _reduced(x.shape, gone, keep=False))]


def unsqueeze(node: Node) -> list[Tensor]:
    x, axes = node.tensor(0), node.constant_integers(1)
    assert axes is not None
    new = axes_of(axes, len(x.shape) + len(axes))
    shape = list(x.shape)
    for axis in sorted(new):
        shape.insert(axis, 1)
    return [Tensor(x.dtype, tuple(shape))]


def transpose(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    order = node.integers("perm", reversed(range(len(x.shape))))
    require(sorted(order) == list(range(len(x.shape))), x.shape, order)
    return [Tensor(x.dtype, tuple(x.shape[axis] for axis in order))]


def expand(node: Node) -> list[Tensor]:
    x, target = node.tensor(0), node.constant_integers(1)
    assert target is not None
    return [Tensor(x.dtype, broadcast_shapes(x.shape, tuple(target)))]


def resize(node: Node) -> list[Tensor]:
    x, scales, sizes = node.tensor(0), node.constant(2) or (), node.constant_integers(3) or []
    require(len(scales) + len(sizes) == len(x.shape) and not (scales and sizes), x.shape)
    if scales:
        require_type(node.tensor(2), {FLOAT32})
        if not all(0 < scale < 1 << 31 for scale in scales):
            raise RefusedMessageError(f"scales by {scales}")
        sizes = [math.floor(size * scale) for size, scale in zip(x.shape, scales, strict=True)]
    return [Tensor(x.dtype, tuple(sizes))]


def quantize(node: Node) -> list[Tensor]:
    x, scale, zero = node.tensor(0), node.tensor(1), node.optional(2)
    require_type(scale, {x.dtype, FLOAT32})
    _require_channels(node)
    asked = node.integer("output_dtype", 0)
    target = zero.dtype if zero else asked or UINT8
    if target not in QUANTISED or asked not in {0, target}:
        raise RefusedMessageError(f"quantises to element type {asked or target}, which is not supported here")
    return [Tensor(target, x.shape)]


def dequantize(node: Node) -> list[Tensor]:
    x, scale = node.tensor(0), node.tensor(1)
    require_type(scale, FLOATS)
    require_alike(x, node.optional(2))
    _require_channels(node)
    return [Tensor(scale.dtype, x.shape)]


def _require_channels(node: Node) -> None:
    x, scale, zero = node.tensor(0), node.tensor(1), node.optional(2)
    if zero is not None:
        require(zero.shape == scale.shape, zero.shape, scale.shape)
    if scale.shape not in {(), (1,)}:
        axis = axis_of(node.integer("axis", 1), len(x.shape))
        require(scale.shape == x.shape[axis : axis + 1], x.shape, scale.shape)
