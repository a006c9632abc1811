"""What convolutions and poolings make."""

from __future__ import annotations

import math
from collections.abc import Iterable

from catseye.runtime.onnx_tensors import Node, Shape, Tensor, require, require_alike
from catseye.runtime.protobuf import RefusedMessageError

_MOST_WINDOW_ITEMS = 1 << 31
"""Of a convolution's or a pooling's input as one row a window, a form in which engines lay it out."""


def convolution(node: Node) -> list[Tensor]:
    x, weight = node.tensor(0), node.tensor(1)
    group = node.integer("group", 1)
    fits = len(x.shape) == len(weight.shape) >= 3 and group >= 1
    require(fits and x.shape[1] == weight.shape[1] * group, x.shape, weight.shape)
    require(weight.shape[0] % group == 0, weight.shape)
    _require_bias(node, weight.shape[0])
    sizes = _slid(node, x.shape[2:], weight.shape[2:], node.text("auto_pad", "NOTSET"))
    _require_small_window(sizes, weight.shape[1:])
    return [Tensor(x.dtype, (x.shape[0], weight.shape[0], *sizes))]


def transposed_convolution(node: Node) -> list[Tensor]:
    x, weight = node.tensor(0), node.tensor(1)
    group, dims = node.integer("group", 1), len(x.shape) - 2
    fits = len(x.shape) == len(weight.shape) >= 3 and group >= 1
    require(fits and x.shape[1] == weight.shape[0] and weight.shape[0] % group == 0, x.shape, weight.shape)
    _require_bias(node, weight.shape[1] * group)
    strides, dilations, pads = _steps(node, weight.shape[2:])
    extra = node.integers("output_padding", [0] * dims)
    require(len(extra) == dims and all(0 <= more < max(strides) for more in extra), extra)
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
    require_alike(*node.inputs)
    bias = node.optional(2)
    require(bias is None or bias.shape == (channels,), bias.shape if bias else ())


def pooling(node: Node) -> list[Tensor]:
    x, kernel = node.tensor(0), tuple(node.integers("kernel_shape", ()))
    require(len(x.shape) == len(kernel) + 2 >= 3, x.shape, kernel)
    pads = node.integers("pads", [0] * 2 * len(kernel))
    require(all(pad < size for pad, size in zip(pads, kernel * 2, strict=False)), pads, kernel)
    sizes = _slid(node, x.shape[2:], kernel, node.text("auto_pad", "NOTSET"))
    _require_small_window(sizes, kernel)
    return [Tensor(x.dtype, (*x.shape[:2], *sizes))]


def _steps(node: Node, kernel: Shape) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations, and pads (all befores, then all afters)."""
    dims = len(kernel)
    require(tuple(node.integers("kernel_shape", kernel)) == kernel and min(kernel) >= 1, kernel)
    strides, dilations = (node.integers(name, [1] * dims) for name in ("strides", "dilations"))
    pads = node.integers("pads", [0] * 2 * dims)
    require(len(strides) == len(dilations) == dims and min(strides + dilations) >= 1, strides, dilations)
    require(len(pads) == 2 * dims and min(pads) >= 0, pads)
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
        require(room >= 0, sizes, kernel)
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


def global_pooling(node: Node) -> list[Tensor]:
    x = node.tensor(0)
    require(len(x.shape) >= 3, x.shape)
    return [Tensor(x.dtype, (*x.shape[:2], *(1 for _ in x.shape[2:])))]
