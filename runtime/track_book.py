"""The tracks of one stream, a column each, and the detections of one frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catseye.runtime import kalman
from catseye.runtime.association import Index

Rows = Index | NDArray[np.bool_]

ID, HITS, FIRST_S, SEEN_S, KIND, KIND_WEIGHT = range(6)
"""Of a track's facts. The id is 0 until it is confirmed; the kind is the class that most of its scores speak
for, and its weight how much does."""

_REMEMBERED = 0.9  # of a track's appearance at each match, the rest is the new one


class Detections(NamedTuple):
    """Detections of one frame: boxes (M, 4), scores and kinds (M,), embeddings (M, E) with E 0 for none.

    Kinds are whole numbers, of the type that a track's facts have.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float32]
    kinds: NDArray[np.float64]
    looks: NDArray[np.float32]

    def take(self, rows: Index) -> Detections:
        return Detections(self.boxes[rows], self.scores[rows], self.kinds[rows], self.looks[rows])


class Book(NamedTuple):
    """Tracks: their motion (4, 5, N) as ``kalman`` has it, facts (6, N) and embeddings (N, E).

    All facts are in one array, since in most frames a few tracks are taken along and the cost of that is a
    call an array.
    """

    state: NDArray[np.float64]
    facts: NDArray[np.float64]
    looks: NDArray[np.float32]

    def take(self, rows: Rows) -> Book:
        return Book(self.state[..., rows], self.facts[:, rows], self.looks[rows])

    def then(self, other: Book) -> Book:
        return Book(
            np.concatenate([self.state, other.state], axis=2),
            np.concatenate([self.facts, other.facts], axis=1),
            np.concatenate([self.looks, other.looks]),
        )

    def observe(self, rows: Index | slice, seen: Detections, time_s: float, noise: kalman.Noise) -> None:
        """Correct the tracks ``rows`` by one detection each, in place."""
        self.state[..., rows] = kalman.correct(self.state[..., rows], seen.boxes, noise)
        facts = self.facts[:, rows]
        facts[HITS] += 1
        facts[SEEN_S] = time_s
        # A running majority (Boyer and Moore 1981) weighted by score: one class held, and its weight.
        others = facts[KIND] != seen.kinds
        if others.any():
            facts[KIND_WEIGHT] += np.where(others, -seen.scores, seen.scores)
            beaten = facts[KIND_WEIGHT] < 0
            facts[KIND, beaten] = seen.kinds[beaten]
            facts[KIND_WEIGHT, beaten] *= -1
        else:
            facts[KIND_WEIGHT] += seen.scores
        self.facts[:, rows] = facts
        if seen.looks.shape[1]:
            looks = _REMEMBERED * self.looks[rows] + (1 - _REMEMBERED) * seen.looks
            length = np.linalg.norm(looks, axis=1, keepdims=True)
            self.looks[rows] = looks / np.maximum(length, np.finfo(np.float32).tiny)


def born(seen: Detections, time_s: float, noise: kalman.Noise) -> Book:
    """A track for each detection, seen once."""
    facts = np.zeros((6, len(seen.scores)))
    facts[HITS] = 1
    facts[[FIRST_S, SEEN_S]] = time_s
    facts[KIND], facts[KIND_WEIGHT] = seen.kinds, seen.scores
    return Book(kalman.start(seen.boxes, noise), facts, seen.looks.copy())


def checked(
    boxes_xyxy: ArrayLike, scores: ArrayLike, classes: ArrayLike, embeddings: ArrayLike | None
) -> Detections:
    """Detections as they were given.

    Raises:
        ValueError: shapes do not fit together, a value is not finite, or a box is inside out.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    count = len(boxes)
    looks = (
        np.zeros((count, 0), np.float32) if embeddings is None else np.asarray(embeddings, dtype=np.float32)
    )
    kinds = np.asarray(classes).astype(np.int32).astype(np.float64)
    found = Detections(boxes, np.asarray(scores, dtype=np.float32), kinds, looks)
    if boxes.shape != (count, 4) or found.scores.shape != (count,) or found.kinds.shape != (count,):
        raise ValueError(
            f"boxes {boxes.shape}, scores {found.scores.shape}, classes {found.kinds.shape}: "
            "must be (M, 4), (M,) and (M,)"
        )
    if looks.ndim != 2 or len(looks) != count:
        raise ValueError(f"embeddings {looks.shape}: must be ({count}, E)")
    for name, values in (("boxes_xyxy", boxes), ("scores", found.scores), ("embeddings", looks)):
        if values.size and not np.isfinite(values).all():
            raise ValueError(f"{name}: has a value that is not finite")
    if not (boxes[:, :2] <= boxes[:, 2:]).all():
        raise ValueError("boxes_xyxy: has a box whose second corner lies left of or above its first")
    return found
