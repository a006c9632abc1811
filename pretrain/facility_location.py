"""Choosing few of many so that each of the many has one among the few that it is like.

The few are chosen one by one, each the one that brings most: how much more like a chosen one all the others
become by it (the facility location function, whose greedy maximum is within 1 - 1/e of the best there is:
Nemhauser, Wolsey and Fisher 1978), times what it is worth by itself, times what is left of the even share of
the kinds that it is of. Unlike the k-centre choice (Sener and Savarese, "Active Learning for Convolutional
Neural Networks: A Core-Set Approach", 2018), which takes the farthest each time and so every oddity first, a
picture like no other stands for itself alone here.

All three factors only fall as more are chosen. So a value computed earlier is a bound, and most of them never
have to be computed again (Minoux, "Accelerated greedy algorithms", 1978).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64
"""Candidates whose gain is computed at once, at the cost of computing some in vain."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Crowd:
    """What is chosen from, N of them.

    Args:
        features: (N, D) of unit length; their products say how alike two are, 0 and below being not at all.
        worth: (N,) above 0: what choosing one is worth beside the others it is like.
        kinds: an array (N,) of numbers from 0 for each aspect in which the choice is to be even.
        views: (N, P) of unit length: two whose product is ``twin_from`` or more show the same, and only one
            of them is chosen.
        twin_from: see ``views``.
    """

    features: Floats
    worth: NDArray[np.floating]
    kinds: Sequence[NDArray[np.int64]]
    views: Floats
    twin_from: float

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Choice:
    """One that was chosen, and why.

    Args:
        index: which.
        gain: how many others' worth of likeness it adds, itself included: 1 where it is like nothing else.
        stands_for: how many, itself included, are from now on more like it than like any chosen before.
        likeness: to the nearest chosen before, or known; 0 where there is none.
        nearest: index of that one; -1 where it is a known one, or there is none.
        turn: for each aspect, how many of its kind were chosen before it.
    """

    index: int
    gain: float
    stands_for: int
    likeness: float
    nearest: int
    turn: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Known:
    """What has been chosen already, K of them: ``features`` (K, D) and ``views`` (K, P) as in ``Crowd``."""

    features: Floats
    views: Floats


def choose(crowd: Crowd, budget: int, *, known: Known | None = None, seed: int = 0) -> list[Choice]:
    """Choose up to ``budget``, best first; fewer where the rest are twins of what is chosen.

    Args:
        known: what counts as chosen before the first.
        seed: decides between equals only.
    """
    order = np.random.default_rng(seed).permutation(len(crowd))
    covered, alive = _beside(crowd, known)
    nearest = np.full(len(crowd), -1)
    bound = np.concatenate(
        [np.zeros(0, np.float32)]
        + [
            _gains(crowd, covered, np.arange(at, min(at + _BLOCK, len(crowd))))
            for at in range(0, len(crowd), _BLOCK)
        ]
    )
    counts = [np.zeros(int(kind.max(initial=-1)) + 1, dtype=np.int64) for kind in crowd.kinds]
    chosen: list[Choice] = []
    fresh = np.ones(len(crowd), dtype=bool)
    while len(chosen) < budget and alive.any():
        factor = crowd.worth * _evenness(crowd, counts, budget)
        while True:
            values = np.where(alive, factor * bound, -1)
            best = int(order[np.argmax(values[order])])
            if fresh[best]:
                break
            stale = np.flatnonzero(~fresh & alive)
            stale = stale[np.argsort(-values[stale], kind="stable")[:_BLOCK]]
            bound[stale] = _gains(crowd, covered, stale)
            fresh[stale] = True
        likeness = np.maximum(crowd.features @ crowd.features[best], 0)
        closer = likeness > covered
        chosen.append(
            Choice(
                index=best,
                gain=float(bound[best]),
                stands_for=int(np.count_nonzero(closer)),
                likeness=float(covered[best]),
                nearest=int(nearest[best]),
                turn=tuple(int(count[kind[best]]) for count, kind in zip(counts, crowd.kinds, strict=True)),
            )
        )
        covered[closer], nearest[closer] = likeness[closer], best
        alive &= crowd.views @ crowd.views[best] < crowd.twin_from
        alive[best] = False
        for count, kind in zip(counts, crowd.kinds, strict=True):
            count[kind[best]] += 1
        fresh[:] = False
    return chosen


def _beside(crowd: Crowd, known: Known | None) -> tuple[Floats, NDArray[np.bool_]]:
    """How like each is to what is known, (N,), and whether it is no twin of any of it, (N,)."""
    covered = np.zeros(len(crowd), dtype=np.float32)
    alive = np.ones(len(crowd), dtype=bool)
    for at in range(0, 0 if known is None else len(known.features), _BLOCK):
        assert known is not None
        part = slice(at, at + _BLOCK)
        np.maximum(covered, (crowd.features @ known.features[part].T).max(axis=1), out=covered)
        alive &= (crowd.views @ known.views[part].T).max(axis=1) < crowd.twin_from
    return covered, alive


def _gains(crowd: Crowd, covered: Floats, rows: NDArray[np.int64]) -> Floats:
    """How much likeness each of some candidates adds over all, (len(rows),)."""
    more = crowd.features @ crowd.features[rows].T
    more -= covered[:, None]
    return np.asarray(np.maximum(more, 0, out=more).sum(axis=0))


def _evenness(crowd: Crowd, counts: Sequence[NDArray[np.int64]], budget: int) -> Floats:
    """The share (N,) that is left to each by how many of its kinds have been chosen: 1 for the first of a
    kind, a half when a kind has what would be its even part of the budget."""
    left = np.ones(len(crowd), dtype=np.float32)
    for kind, count in zip(crowd.kinds, counts, strict=True):
        fair = max(budget / max(len(count), 1), 1.0)
        left *= (1 / (1 + count / fair)).astype(np.float32)[kind]
    return left
