"""Axes of a tensor at two sizes of a network, as products of places in the order in which they lie.

A map of 20 rows and 20 columns that becomes one of 12 × 20 has two axes, of (20 → 12) and of 20. Flattened,
it has one of 400 → 240, which still knows that rows come first; so it can be made a map again, which the
number 400 alone does not tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class UnclearError(Exception):
    """What an axis becomes at another size does not follow from what it is at the first."""


@dataclass(frozen=True)
class Atom:
    """Places in a row, ``old`` of them at the first size and ``new`` at the second.

    ``parts`` are the axes that were joined to make them, where one of those varies.
    """

    old: int
    new: int
    parts: tuple[tuple[Atom, ...], ...] = ()

    @property
    def varies(self) -> bool:
        return self.old != self.new or bool(self.parts)


Axis = tuple[Atom, ...]
"""The product of its atoms, the last running fastest; none is an axis of one place."""


def old_size(axis: Axis) -> int:
    return math.prod(atom.old for atom in axis)


def new_size(axis: Axis) -> int:
    return math.prod(atom.new for atom in axis)


def varies(axis: Axis) -> bool:
    return any(atom.varies for atom in axis)


def fixed(size: int) -> Axis:
    return () if size == 1 else (Atom(size, size),)


def scaled(old: int, new: int) -> Axis:
    """An axis of rows, of columns, or of what does not depend on the size."""
    return (Atom(old, new),) if old != new else fixed(old)


def regrouped(axes: Sequence[Axis], shape: Sequence[int]) -> tuple[Axis, ...]:
    """The axes of a tensor that is reshaped, with nothing moved, into what is ``shape`` at the first size.

    Raises:
        UnclearError: it cuts through what varies.
    """
    left = list(_merged(atom for axis in axes for atom in axis)[::-1])
    made = []
    for size in shape:
        taken: list[Atom] = []
        while (missing := size // math.prod(atom.old for atom in taken)) > 1:
            atom = left.pop()
            if missing % atom.old:
                if atom.varies or atom.old % missing:
                    change = f" -> {atom.new}" if atom.varies else ""
                    raise UnclearError(f"cuts {atom.old}{change} places into {missing}")
                left.append(Atom(atom.old // missing, atom.old // missing))
                atom = Atom(missing, missing)
            taken.append(atom)
        made.append(_merged(taken))
    return tuple(made)


def joined(axes: Sequence[Axis]) -> Axis:
    """The axes one behind the other."""
    if not any(map(varies, axes)):
        return fixed(sum(map(old_size, axes)))
    parts = tuple(part for axis in axes for part in parts_of(axis))
    return (Atom(sum(map(old_size, parts)), sum(map(new_size, parts)), parts),)


def parts_of(axis: Axis) -> tuple[Axis, ...]:
    """The axes that were joined to make this one; itself where none were."""
    return axis[0].parts if len(axis) == 1 and axis[0].parts else (axis,)


def between(axis: Axis, start: int, stop: int) -> tuple[Axis, int, int]:
    """The part from ``start`` to ``stop``, places of the first size, and its bounds at the second.

    Raises:
        UnclearError: a bound lies within what varies.
    """
    old, new, inside, bounds = 0, 0, [], {0: 0}
    for part in parts_of(axis):
        if start <= old < stop:
            inside.append(part)
        old, new = old + old_size(part), new + new_size(part)
        bounds[old] = new
    if start not in bounds or stop not in bounds or start >= stop:
        raise UnclearError(f"takes places {start} to {stop} of {old}")
    return inside[0] if len(inside) == 1 else joined(inside), bounds[start], bounds[stop]


def _merged(atoms: Iterable[Atom]) -> Axis:
    """Neighbours that do not vary as one."""
    made: list[Atom] = []
    for atom in atoms:
        if made and not atom.varies and not made[-1].varies:
            size = made.pop().old * atom.old
            made.append(Atom(size, size))
        else:
            made.append(atom)
    return tuple(made)
