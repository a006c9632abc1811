"""Precision over recall, as the score from which detections count is lowered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_POINTS = 101


@dataclass(frozen=True)
class Curve:
    """K points, the highest score first.

    Args:
        recall, precision: (K,) of all detections from the score on.
        scores: (K,).
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    scores: NDArray[np.float64]

    def thinned(self) -> Curve:
        """At most about a hundred of the points, evenly spread over recall, the last among them."""
        if not len(self.scores):
            return self
        wanted = np.linspace(0, self.recall[-1], _POINTS)
        kept = np.unique(np.minimum(np.searchsorted(self.recall, wanted), len(self.recall) - 1))
        kept = np.unique(np.append(kept, len(self.recall) - 1))
        return Curve(self.recall[kept], self.precision[kept], self.scores[kept])


def precision_recall(scores: NDArray[np.floating], right: NDArray[np.bool_], *, objects: int) -> Curve:
    """The curve of K detections, given which are right and how many objects there are to find.

    Detections of one score count together: none of them can be had without the others.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = np.asarray(scores, dtype=np.float64)[order]
    hits = np.cumsum(right[order])
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.arange(0)
    recall = hits[last] / max(1, objects)
    return Curve(recall, hits[last] / (last + 1), ordered[last])
