"""Which detection belongs to which track: overlaps, and the assignment of greatest total benefit."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]
Offer = tuple[int, int, float]
"""A row, a column, and what they gain as a pair, above 0."""
_gain = itemgetter(2)


def iou(a_xyxy: NDArray[np.floating], b_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
    """Intersection over union (N, M) of corner boxes (N, 4) and (M, 4), 0 where both are empty."""
    a = np.ascontiguousarray(a_xyxy.T, dtype=np.float32)[:, :, None]
    b = np.ascontiguousarray(b_xyxy.T, dtype=np.float32)[:, None, :]
    overlap = np.minimum(a[2], b[2])
    overlap -= np.maximum(a[0], b[0])
    np.maximum(overlap, 0, out=overlap)
    tall = np.minimum(a[3], b[3])
    tall -= np.maximum(a[1], b[1])
    np.maximum(tall, 0, out=tall)
    overlap *= tall
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    np.maximum(union, np.finfo(np.float32).tiny, out=union)
    overlap /= union
    return np.asarray(overlap)


def grown_iou(
    a_xyxy: NDArray[np.floating], b_xyxy: NDArray[np.floating], margins: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Intersection over union (N, M) once both boxes of a pair have grown on all sides by the margins (2, N)
    of the first, in x and y, above 0 (after C-BIoU: Yang et al., arXiv 2211.14317)."""
    a = np.ascontiguousarray(a_xyxy.T, dtype=np.float32)
    b = np.ascontiguousarray(b_xyxy.T, dtype=np.float32)
    more = 2 * margins.astype(np.float32)[:, :, None]
    a, b = a[:, :, None], b[:, None, :]
    sides = np.minimum(a[2:], b[2:])
    sides -= np.maximum(a[:2], b[:2])
    sides += more
    np.maximum(sides, 0, out=sides)
    overlap = sides[0] * sides[1]
    np.add(b[2:] - b[:2], more, out=sides)
    union = np.multiply(sides[0], sides[1], out=sides[0])
    more += a[2:]
    more -= a[:2]
    union += more[0] * more[1]
    union -= overlap
    overlap /= union
    return np.asarray(overlap)


def matched(offers: Iterable[Offer]) -> dict[int, int]:
    """The column of each row that has one, in the one-to-one pairs of greatest total gain.

    This is the maximum-weight matching of a bipartite graph, exact, and counted in plain numbers, since few
    boxes overlap. Every row first bids for its best column, and a column goes to the highest bid; in most
    frames that settles all. Each row that lost its bid is then brought in along a shortest augmenting path
    (Jonker and Volgenant, Computing 38, 1987), searched by Dijkstra's method, so that it never leaves the
    row's own cluster.

    Args:
        offers: the pairs that may be made, in rising order of rows.
    """
    choices: dict[int, list[Offer]] = {}
    for offer in offers:
        choices.setdefault(offer[0], []).append(offer)
    best: dict[int, float] = {}
    owner: dict[int, int] = {}
    losers = []
    for row, its in choices.items():
        _, col, gain = its[0] if len(its) == 1 else max(its, key=_gain)
        best[row] = gain
        rival = owner.setdefault(col, row)
        if rival != row:
            if best[rival] > gain:
                losers.append(row)
            else:
                losers.append(rival)
                owner[col] = row
    held = {row: col for col, row in owner.items()}
    if losers:
        _augment(choices, best, owner, held, sorted(losers))
    return held


def _augment(
    choices: dict[int, list[Offer]],
    u: dict[int, float],
    owner: dict[int, int],
    held: dict[int, int],
    losers: list[int],
) -> None:
    """Complete a matching, in place, by the rows that lost their bid.

    Kept true throughout, which proves the optimum: every row has a price u ≥ 0 and every column v ≥ 0 with
    u + v ≥ gain, equal on matched pairs, and 0 on rows and columns that are settled without a partner.

    Args:
        choices: of each row what it is offered.
        u: of each row what it gains by the best.
        owner, held: row of each column that has one, and column of each row.
    """
    v: dict[int, float] = {}
    for loser in losers:
        distance = {loser: 0.0}
        reached: dict[int, float] = {}
        came_from: dict[int, int] = {}
        settled: set[int] = set()
        queue: list[tuple[float, int]] = []
        # The path ends at a column that is free, or at a row, the loser or another, that goes without one.
        length, end, giver = u[loser], -1, loser
        row = loser
        while row >= 0:
            here = distance[row] + u[row]
            for _, col, gain in choices[row]:
                through = here + v.get(col, 0.0) - gain
                if through < reached.get(col, length) and col not in settled:
                    reached[col], came_from[col] = through, row
                    heappush(queue, (through, col))
            while queue and queue[0][1] in settled:
                heappop(queue)
            if not queue or queue[0][0] >= length:
                break
            at, col = heappop(queue)
            settled.add(col)
            row = owner.get(col, -1)
            if row < 0:
                length, end, giver = at, col, -1
            else:
                distance[row] = at
                if at + u[row] < length:
                    length, end, giver = at + u[row], col, row
        for row, at in distance.items():
            u[row] -= max(length - at, 0.0)
        for col in settled:
            v[col] = v.get(col, 0.0) + max(length - reached[col], 0.0)
        held.pop(giver, None)
        col = end
        while col >= 0:
            row = came_from[col]
            owner[col] = row
            held[row], col = col, held.get(row, -1)
