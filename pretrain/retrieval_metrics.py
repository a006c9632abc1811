"""How well descriptors find the same vehicle again: rank-1 and mean average precision."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Retrieval(NamedTuple):
    """Over all queries that have something to be found: ``rank1``, ``mean_ap``, and how many they are."""

    rank1: float
    mean_ap: float
    queries: int


def retrieval(
    likeness: NDArray[np.floating], same: NDArray[np.bool_], considered: NDArray[np.bool_]
) -> Retrieval:
    """Rank each query's gallery by likeness.

    Args:
        likeness: (Q, G), more is more alike.
        same: (Q, G), whether it is the same vehicle.
        considered: (Q, G), what of the gallery a query is held against.

    Returns:
        ``rank1``: the share of queries whose most alike is the same vehicle. ``mean_ap``: the mean over
        queries of the mean, over the same vehicles, of the precision down to each (Zheng et al., "Scalable
        Person Re-identification: A Benchmark", 2015). NaN without a query.
    """
    hits, precisions = [], []
    for row, wanted, taken in zip(likeness, same, considered, strict=True):
        order = np.argsort(-row[taken], kind="stable")
        right = wanted[taken][order]
        if right.any() and not right.all():
            places = np.flatnonzero(right)
            hits.append(float(right[0]))
            precisions.append(float(np.mean(np.arange(1, len(places) + 1) / (places + 1))))
    if not hits:
        return Retrieval(np.nan, np.nan, 0)
    return Retrieval(float(np.mean(hits)), float(np.mean(precisions)), len(hits))
