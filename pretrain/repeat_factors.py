"""Stills of rare classes more often than others, and the order in which stills are seen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def repeat_factors(
    classes: Sequence[NDArray[np.int32]], *, num_classes: int, threshold: float
) -> NDArray[np.float64]:
    """How many times each of N stills is to be seen where another is seen once.

    Gupta et al., "LVIS", 2019: max(1, √(threshold / f)) of a class on a share f of the stills, and of a still
    the largest of its classes'. All are 1 where no class is on less than ``threshold``.

    Args:
        classes: of the objects to be found on each still, (M,) indices.
    """
    present = np.zeros((len(classes), num_classes), dtype=np.bool_)
    for row, found in zip(present, classes, strict=True):
        row[found] = True
    share = present.mean(axis=0) if len(classes) else np.ones(num_classes)
    of_class = np.maximum(1.0, np.sqrt(threshold / np.where(share > 0, share, np.inf)))
    return np.asarray(np.where(present, of_class, 1.0).max(axis=1, initial=1.0), dtype=np.float64)


def still_at(place: int, factors: Sequence[float], *, seed: int) -> int:
    """Which still is the one at a place of an endless order, shuffled anew each round.

    A round shows each still as often as its factor says, rounded up or down by chance where that is no whole
    number; where all are 1, each once.
    """
    factors = tuple(factors)
    size = max(1, round(sum(factors)))
    return int(_round(factors, size, place // size, seed)[place % size])


@lru_cache(maxsize=8)
def _round(factors: tuple[float, ...], size: int, number: int, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([seed, number, size])
    order = rng.permutation(size)
    # Systematic sampling: places 1 apart on a line, of which each still has its factor's length.
    ends = np.cumsum(np.asarray(factors) * (size / sum(factors)))
    picked = np.searchsorted(ends, np.arange(size) + rng.random(), side="right")
    return np.asarray(np.minimum(picked, len(factors) - 1)[order], dtype=np.int64)
