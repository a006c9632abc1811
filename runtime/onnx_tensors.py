"""Values and nodes of a graph as far as its shapes depend on them, and what every rule asks of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from catseye.runtime.protobuf import RefusedMessageError

Shape = tuple[int, ...]

FLOAT32, UINT8, INT8, INT32, INT64, BOOL, FLOAT16 = 1, 2, 3, 6, 7, 9, 10
ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""Bytes an element by TensorProto.DataType; strings, complex numbers and the small floats are left out."""

FLOATS = frozenset({FLOAT32, FLOAT16, 11, 16})
ANY = frozenset(ITEM_BYTES)
NUMBERS = ANY - {BOOL}
BOOLS = frozenset({BOOL})
INDICES = frozenset({INT32, INT64})
QUANTISED = frozenset({UINT8, INT8})


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
        require_type(tensor, INDICES)
        return [int(value) for value in values]


def require_type(tensor: Tensor, types: Iterable[int]) -> None:
    if tensor.dtype not in types:
        raise RefusedMessageError(f"takes element type {tensor.dtype}, which it cannot")


def require_alike(*tensors: Tensor | None) -> None:
    if len({tensor.dtype for tensor in tensors if tensor is not None}) > 1:
        raise RefusedMessageError("takes tensors of different element types")


def require(fits: bool, *shapes: Iterable[int]) -> None:
    if not fits:
        told = " and ".join(str(tuple(shape)) for shape in shapes)
        raise RefusedMessageError(f"does not fit shapes {told}")


def axis_of(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise RefusedMessageError(f"names axis {axis} of {rank}")
    return axis % rank


def axes_of(axes: Iterable[int], rank: int) -> list[int]:
    found = [axis_of(axis, rank) for axis in axes]
    if len(set(found)) != len(found):
        raise RefusedMessageError(f"names an axis twice in {found}")
    return found


def broadcast_shapes(*shapes: Shape) -> Shape:
    rank = max(map(len, shapes))
    result = []
    for sizes in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        distinct = set(sizes) - {1}
        require(len(distinct) < 2, *shapes)
        result.append(distinct.pop() if distinct else 1)
    return tuple(result)
