"""Which detection belongs to which track: overlaps, and the assignment of greatest total benefit."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]


class Pairs(NamedTuple):
    """Matched rows and columns, (P,) each, in the order of the rows."""

    rows: Index
    cols: Index


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


def assign(benefit: NDArray[np.floating]) -> Pairs:
    """One-to-one pairs of greatest total benefit; a pair of benefit 0 or less is never made.

    This is the maximum-weight matching of a bipartite graph, exact. Every row first bids for its best column,
    and a column goes to the highest bid; in most frames that settles all. Each row that lost its bid is then
    brought in along a shortest augmenting path (Jonker and Volgenant, Computing 38, 1987), searched by
    Dijkstra's method over the positive entries alone, so that it never leaves the row's own cluster.

    Args:
        benefit: (N, M), finite.
    """
    if benefit.size == 0:
        return Pairs(np.empty(0, np.intp), np.empty(0, np.intp))
    best_col = benefit.argmax(axis=1)
    best = benefit.max(axis=1)
    bidders = (best > 0).nonzero()[0]
    wanted = best_col[bidders]
    if len(set(wanted.tolist())) == len(wanted):
        return Pairs(bidders, wanted)
    # The last write to a column stays: bidders in rising order leave it to the one that gains most.
    bidders = bidders[best[bidders].argsort(kind="stable")]
    row_of = np.full(benefit.shape[1], -1, dtype=np.intp)
    row_of[best_col[bidders]] = bidders
    losers = np.sort(bidders[row_of[best_col[bidders]] != bidders])
    if len(losers):
        row_of = _augment(benefit, best, row_of, losers)
    cols = (row_of >= 0).nonzero()[0]
    rows = row_of[cols]
    order = rows.argsort()
    return Pairs(rows[order], cols[order])


def _augment(  # noqa: PLR0912 - the hot path: a helper a branch would cost more than it explains
    benefit: NDArray[np.floating], best: NDArray[np.floating], row_of: Index, losers: Index
) -> Index:
    """Complete the matching ``row_of`` (row of each column, -1 for none) by the rows that lost their bid.

    Kept true throughout, which proves the optimum: every row has a price u ≥ 0 and every column v ≥ 0 with
    u + v ≥ benefit, equal on matched pairs, and 0 on rows and columns that are settled without a partner.
    """
    u: list[float] = best.tolist()
    v = [0.0] * len(row_of)
    owner: list[int] = row_of.tolist()
    held = [-1] * len(benefit)
    for col, row in enumerate(owner):
        if row >= 0:
            held[row] = col
    for loser in losers.tolist():
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
            columns = (benefit[row] > 0).nonzero()[0]
            for col, gain in zip(columns.tolist(), benefit[row, columns].tolist(), strict=True):
                through = here + v[col] - gain
                if through < reached.get(col, length) and col not in settled:
                    reached[col], came_from[col] = through, row
                    heappush(queue, (through, col))
            while queue and queue[0][1] in settled:
                heappop(queue)
            if not queue or queue[0][0] >= length:
                break
            at, col = heappop(queue)
            settled.add(col)
            row = owner[col]
            if row < 0:
                length, end, giver = at, col, -1
            else:
                distance[row] = at
                if at + u[row] < length:
                    length, end, giver = at + u[row], col, row
        for row, at in distance.items():
            u[row] -= max(length - at, 0.0)
        for col in settled:
            v[col] += max(length - reached[col], 0.0)
        if giver >= 0:
            held[giver] = -1
        col = end
        while col >= 0:
            row = came_from[col]
            owner[col] = row
            held[row], col = col, held[row]
    return np.array(owner, dtype=np.intp)
