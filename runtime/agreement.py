"""How far a graph of lower precision is from the trained network, in terms of what it is for.

Rounding to eleven bits, let alone eight, changes every number, so that a replay of such a graph cannot be
held to the golden outputs element by element. What must stay is what is seen: the same objects in the same
places, as sure, looking the same, as far away. A broken engine has none of that.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from catseye.runtime.association import iou
from catseye.runtime.engines.base import EngineOutput
from catseye.runtime.manifest import Agreement
from catseye.runtime.proof import Check

SAME_BOX = 0.5
"""IoU from which two boxes may be of one object."""

_LEAST_SURE = 5


@dataclass(frozen=True)
class Disagreement:
    """What two engines' outputs for the same frames differ in, none where there is nothing to compare.

    Compared are the *sure* detections: those worth showing, and the five best of each frame at least.

    Args:
        detections: share of either's sure detections that the other lacks in place and class.
        boxes: mean of 1 − IoU of those that both have.
        scores: mean difference of their scores.
        embeddings: mean of 1 − cosine of their embeddings.
        depth: mean relative error of depth in the worst frame.
    """

    detections: float
    boxes: float
    scores: float
    embeddings: float | None
    depth: float | None

    def checks(self, limits: Agreement) -> list[Check]:
        """Each figure and its limit."""
        allowed = limits.model_dump()
        return [
            Check(name, value, allowed[name]) for name, value in asdict(self).items() if value is not None
        ]


def compare_coarsely(golden: EngineOutput, found: EngineOutput, *, threshold: float) -> Disagreement:
    """Hold one engine's outputs to another's.

    Args:
        threshold: score from which a detection is worth showing.
    """
    lost = sure = 0
    gaps: list[NDArray[np.float64]] = []
    for index in range(len(golden.scores)):
        there, back = (
            _counterparts(a, b, index, threshold=threshold) for a, b in ((golden, found), (found, golden))
        )
        lost += int((there[1] < 0).sum() + (back[1] < 0).sum())
        sure += len(there[1]) + len(back[1])
        gaps.append(_gaps(golden, found, index, there))
    differences = np.concatenate(gaps)
    boxes, scores, embeddings = differences.mean(axis=0) if len(differences) else np.zeros(3)
    return Disagreement(
        detections=lost / max(1, sure),
        boxes=float(boxes),
        scores=float(scores),
        embeddings=None if golden.embeddings is None else float(embeddings),
        depth=_depth_error(golden, found),
    )


def _counterparts(
    a: EngineOutput, b: EngineOutput, index: int, *, threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """One frame's sure detections of ``a``, and for each that of ``b`` in its place with the nearest score,
    or −1."""
    scores = a.scores[index]
    first = np.argsort(-scores, kind="stable")
    count = max(_LEAST_SURE, int((scores >= threshold).sum()))
    rows = first[:count][scores[first[:count]] > 0]
    gaps = np.abs(scores[rows, None] - b.scores[index][None])
    same = iou(a.boxes[index][rows], b.boxes[index]) >= SAME_BOX
    same &= a.classes[index][rows, None] == b.classes[index][None]
    same &= np.isfinite(gaps)
    nearest = np.where(same, gaps, np.inf).argmin(axis=1)
    return rows, np.where(same.any(axis=1), nearest, -1)


def _gaps(
    golden: EngineOutput,
    found: EngineOutput,
    index: int,
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> NDArray[np.float64]:
    """1 − IoU, difference of score and 1 − cosine of each pair: (P, 3)."""
    rows, theirs = pairs[0][pairs[1] >= 0], pairs[1][pairs[1] >= 0]
    apart = np.zeros((len(rows), 3))
    apart[:, 0] = 1 - iou(golden.boxes[index][rows], found.boxes[index][theirs]).diagonal()
    apart[:, 1] = np.abs(golden.scores[index][rows] - found.scores[index][theirs])
    if golden.embeddings is not None and found.embeddings is not None:
        a, b = golden.embeddings[index][rows], found.embeddings[index][theirs]
        apart[:, 2] = 1 - (a.astype(np.float64) * b).sum(axis=1)
    return apart


def _depth_error(golden: EngineOutput, found: EngineOutput) -> float | None:
    if golden.depth is None or found.depth is None:
        return None
    errors = np.abs(golden.depth - found.depth) / np.maximum(golden.depth, np.finfo(np.float32).tiny)
    worst = float(errors.mean(axis=(1, 2)).max())
    return worst if np.isfinite(worst) else float("inf")
