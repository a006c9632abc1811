"""Boxes of single frames into tracks with lasting ids.

Motion is a Kalman filter for all tracks at once, stepped by real seconds. Detections are associated in
stages, after ByteTrack (Zhang et al., arXiv 2110.06864): confident ones with every confirmed track, then weak
ones with the confirmed tracks left over, since a weak score on the path of a track is more often the same
vehicle half hidden than a false alarm; and the confident ones left with the tracks not confirmed yet. Before
what is left then starts a track, it is sought farther around the confirmed tracks that were not seen, and
belongs to one of them where the two fit each other and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catseye.errors import UsageError
from catseye.runtime import kalman
from catseye.runtime.association import Index, assign, grown_iou, iou

if TYPE_CHECKING:
    from catseye.runtime.camera_motion import CameraMotion, Turn

_A_WHILE_S = 0.3
_REACH = 0.5
"""Sizes up to which a box grows when a track is sought farther around."""
_ALIKE = 1.75
"""Times that a side may differ there."""
_REMEMBERED = 0.9  # of a track's appearance at each match, the rest is the new one


@dataclass(frozen=True)
class Tracks:
    """The confirmed tracks seen in one frame, a row each, in rising order of id.

    Args:
        ids: (N,) int64 from 1, never given twice by one tracker.
        boxes_xyxy: (N, 4) float32, filtered, in the pixels of the boxes given.
        scores: (N,) float32 of the detection.
        classes: (N,) int32, the class that most of the track's scores speak for.
        detection_index: (N,) int32 row of the detection given, -1 where none.
        ages_s: (N,) float32 seconds since the track was first seen.
    """

    ids: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    detection_index: NDArray[np.int32]
    ages_s: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class _Book:
    """All tracks alive, a row each; ``id`` is 0 until a track is confirmed."""

    state: NDArray[np.float64]
    id: NDArray[np.int64]
    hits: NDArray[np.int32]
    first_s: NDArray[np.float64]
    seen_s: NDArray[np.float64]
    kind: NDArray[np.int32]
    kind_weight: NDArray[np.float64]
    looks: NDArray[np.float32]

    def take(self, rows: Index | NDArray[np.bool_]) -> _Book:
        return _Book(*(getattr(self, name)[rows] for name in _COLUMNS))

    def then(self, other: _Book) -> _Book:
        return _Book(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in _COLUMNS))


_COLUMNS = tuple(field.name for field in fields(_Book))


@dataclass(frozen=True)
class _Detections:
    """Detections of one frame: boxes (M, 4), scores and kinds (M,), embeddings (M, E) with E 0 for none."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float32]
    kinds: NDArray[np.int32]
    looks: NDArray[np.float32]

    def take(self, rows: Index) -> _Detections:
        return _Detections(self.boxes[rows], self.scores[rows], self.kinds[rows], self.looks[rows])


class Tracker:
    """Tracks of one stream. Nothing is shared between trackers.

    Args:
        high_threshold: score from which a detection takes part in the first stage.
        start_threshold: score from which a detection that fits no track starts one.
        max_start_overlap: overlap up to which a detection beside one of its class that has a track, or beside
            a better one without, starts a track of its own; over it, both are taken for the same object.
        low_threshold: score from which a detection takes part in the second stage; below, it is ignored.
        min_hits: detections until a track is confirmed and has an id. In the first frame of a stream one is
            enough: what is there may have been there all along.
        max_lost_s: seconds after which a confirmed track that is not seen ends.
        max_unconfirmed_s: the same for a track that is not confirmed.
        min_iou: overlap with the predicted box from which a confident detection can match, and that of both
            grown where it is sought farther around.
        min_iou_low: the same for weak detections and for tracks not confirmed.
        class_penalty: overlap that a detection of another class than the track's is taken for less; 1 forbids
            it. Detectors that waver between car and truck should not break a track.
        min_likeness: cosine of embeddings below which a detection is not taken for a track that was unseen
            for a while, or farther around; 0 does not look at embeddings. Between frames in a row motion
            knows better. With embeddings that ``embed`` has taught, 0.7 did no harm on rendered drives and
            hardly helped.
        measurement_noise, acceleration_noise, initial_rate: see ``kalman.Noise``.
        camera_motion: whether tracks are moved as the camera turns, where frames are given.

    Raises:
        UsageError: an option is out of its range.
    """

    def __init__(
        self,
        *,
        high_threshold: float = 0.4,
        start_threshold: float = 0.5,
        max_start_overlap: float = 0.6,
        low_threshold: float = 0.1,
        min_hits: int = 2,
        max_lost_s: float = 1.5,
        max_unconfirmed_s: float = 0.2,
        min_iou: float = 0.25,
        min_iou_low: float = 0.4,
        class_penalty: float = 0.2,
        min_likeness: float = 0.0,
        measurement_noise: float = 0.07,
        acceleration_noise: float = 0.5,
        initial_rate: float = 1.0,
        camera_motion: bool = False,
    ) -> None:
        unit = {
            "high_threshold": high_threshold,
            "start_threshold": start_threshold,
            "max_start_overlap": max_start_overlap,
            "low_threshold": low_threshold,
            "min_iou": min_iou,
            "min_iou_low": min_iou_low,
            "class_penalty": class_penalty,
            "min_likeness": min_likeness,
        }
        for name, value in unit.items():
            if not 0 <= value <= 1:
                raise UsageError(f"{name} {value}: must lie between 0 and 1")
        positive = {
            "min_hits": min_hits,
            "max_lost_s": max_lost_s,
            "max_unconfirmed_s": max_unconfirmed_s,
            "measurement_noise": measurement_noise,
            "acceleration_noise": acceleration_noise,
            "initial_rate": initial_rate,
        }
        for name, value in positive.items():
            if not (value > 0 and np.isfinite(value)):
                raise UsageError(f"{name} {value}: must be above 0")
        if not low_threshold <= high_threshold <= start_threshold:
            raise UsageError(
                f"low_threshold {low_threshold}, high_threshold {high_threshold}, "
                f"start_threshold {start_threshold}: each must be at least the one before"
            )
        self._high, self._start, self._low = high_threshold, start_threshold, low_threshold
        self._max_start_overlap = max_start_overlap
        self._min_hits = min_hits
        self._max_lost_s, self._max_unconfirmed_s = max_lost_s, max_unconfirmed_s
        self._min_iou, self._min_iou_low = min_iou, min_iou_low
        self._class_penalty, self._min_likeness = class_penalty, min_likeness
        self._noise = kalman.Noise(measurement_noise, acceleration_noise, initial_rate)
        self._camera: CameraMotion | None = None
        if camera_motion:
            # It needs OpenCV; a tracker alone does not.
            from catseye.runtime.camera_motion import CameraMotion

            self._camera = CameraMotion()
        self._book: _Book | None = None
        self._time_s: float | None = None
        self._next_id = 1

    def update(
        self,
        boxes_xyxy: ArrayLike,
        scores: ArrayLike,
        classes: ArrayLike,
        *,
        time_s: float,
        embeddings: ArrayLike | None = None,
        frame: NDArray[np.uint8] | None = None,
        frame_width: float | None = None,
    ) -> Tracks:
        """Take the detections of the next frame.

        Args:
            boxes_xyxy: (M, 4) corners x1 y1 x2 y2 in pixels.
            scores: (M,) in [0, 1], not thresholded.
            classes: (M,) integers.
            time_s: the frame's time in seconds on the stream's clock.
            embeddings: (M, E) of unit length, or None; the same choice and E in every call.
            frame: the picture, (H, W) luma or (H, W, 3) RGB; looked at for camera motion alone.
            frame_width: of the picture in whose pixels the boxes are, where ``frame`` is scaled.

        Raises:
            ValueError: shapes do not fit together, a value is not finite, a box is inside out, or time runs
            backwards.
        """
        given = _checked(boxes_xyxy, scores, classes, embeddings)
        book = self._advance(given, time_s)
        row_given = (given.scores >= self._low).nonzero()[0]
        seen = given.take(row_given)
        if self._camera is not None and frame is not None:
            turn = self._camera.see(frame, seen.boxes, width=frame_width)
            if turn is not None:
                _turn(book.state, turn)
        match, free = self._associate(book, seen, time_s)

        starts = (free & (seen.scores >= self._start)).nonzero()[0]
        starts = _apart(seen, starts, match[match >= 0], most=self._max_start_overlap)
        starts = self._seek(book, seen, match, starts)
        rows = (match >= 0).nonzero()[0]
        _observe(book, rows, seen.take(match[rows]), time_s, self._noise)
        patience = np.where(book.id > 0, self._max_lost_s, self._max_unconfirmed_s)
        alive = time_s - book.seen_s <= patience
        if not alive.all():
            book, match = book.take(alive), match[alive]
        if len(starts):
            born = _born(seen.take(starts), time_s, self._noise)
            if self._time_s is None:
                born.hits[:] = self._min_hits
            book, match = book.then(born), np.concatenate([match, starts])
        due = ((book.id == 0) & (book.hits >= self._min_hits)).nonzero()[0]
        book.id[due] = self._next_id + np.arange(len(due))
        self._next_id += len(due)
        self._book, self._time_s = book, time_s

        shown = ((match >= 0) & (book.id > 0)).nonzero()[0]
        shown = shown[book.id[shown].argsort()]
        col = match[shown]
        return Tracks(
            ids=book.id[shown],
            boxes_xyxy=kalman.boxes(book.state[shown]).astype(np.float32),
            scores=seen.scores[col],
            classes=book.kind[shown],
            detection_index=row_given[col].astype(np.int32),
            ages_s=(time_s - book.first_s[shown]).astype(np.float32),
        )

    def _advance(self, given: _Detections, time_s: float) -> _Book:
        """The tracks as predicted for ``time_s``."""
        if not np.isfinite(time_s):
            raise ValueError(f"time_s {time_s}: must be finite")
        if self._book is None or self._time_s is None:
            return _born(given.take(np.empty(0, np.intp)), time_s, self._noise)
        dt = time_s - self._time_s
        if dt < 0:
            raise ValueError(f"time_s {time_s}: lies before {self._time_s}, the frame given last")
        if given.looks.shape[1] != self._book.looks.shape[1]:
            raise ValueError(
                f"embeddings of length {given.looks.shape[1]}: it was {self._book.looks.shape[1]} before"
            )
        return replace(self._book, state=kalman.predict(self._book.state, dt, self._noise))

    def _associate(self, book: _Book, seen: _Detections, time_s: float) -> tuple[Index, NDArray[np.bool_]]:
        """The detection of each track, -1 for none, and which detections are left."""
        overlap = iou(kalman.boxes(book.state), seen.boxes)
        np.subtract(
            overlap, np.float32(self._class_penalty), out=overlap, where=book.kind[:, None] != seen.kinds
        )
        if self._min_likeness and seen.looks.shape[1]:
            lost = (time_s - book.seen_s > _A_WHILE_S).nonzero()[0]
            other = book.looks[lost] @ seen.looks.T < self._min_likeness
            overlap[lost] = np.where(other, np.float32(-1), overlap[lost])

        confirmed = book.id > 0
        high = seen.scores >= self._high
        stages = (
            (confirmed, high, self._min_iou),
            (confirmed, ~high, self._min_iou_low),
            (~confirmed, high, self._min_iou_low),
        )
        match = np.full(len(book.id), -1, dtype=np.intp)
        free = np.ones(len(seen.scores), dtype=np.bool_)
        for tracks_in, detections_in, least in stages:
            rows = (tracks_in & (match < 0)).nonzero()[0]
            cols = (detections_in & free).nonzero()[0]
            if not (len(rows) and len(cols)):
                continue
            benefit = overlap[rows[:, None], cols]
            benefit -= np.float32(least)
            pairs = assign(benefit)
            match[rows[pairs.rows]] = cols[pairs.cols]
            free[cols[pairs.cols]] = False
        return match, free

    def _seek(self, book: _Book, seen: _Detections, match: Index, starts: Index) -> Index:
        """Match, in place, lost tracks with detections of ``starts`` somewhat farther away; those left."""
        lost = ((book.id > 0) & (match < 0)).nonzero()[0]
        if not (len(lost) and len(starts)):
            return starts
        state, found = book.state[lost], seen.take(starts)
        margins = kalman.reach(state, _REACH)
        sides = state[:, None, kalman.VALUE, 2:], found.boxes[:, 2:] - found.boxes[:, :2]
        fit = grown_iou(kalman.boxes(state), found.boxes, margins) > self._min_iou
        fit &= (np.maximum(*sides) <= _ALIKE * np.minimum(*sides)).all(axis=2)
        fit &= book.kind[lost][:, None] == found.kinds
        if self._min_likeness and found.looks.shape[1]:
            fit &= book.looks[lost] @ found.looks.T >= self._min_likeness
        # In a crowd the nearest is often another: where there is a choice, none is made.
        fit &= (fit.sum(axis=0) == 1) & (fit.sum(axis=1, keepdims=True) == 1)
        rows, cols = fit.nonzero()
        match[lost[rows]] = starts[cols]
        return np.delete(starts, cols)


def _apart(seen: _Detections, starts: Index, taken: Index, *, most: float) -> Index:
    """Those of ``starts`` that overlap none taken, and no better start, of their class too much; from left to
    right, since scores that are nearly equal change places from one machine to another."""
    if not len(starts):
        return starts
    starts = starts[np.argsort(-seen.scores[starts], kind="stable")]
    rivals = np.concatenate([taken, starts])
    doubles = iou(seen.boxes[starts], seen.boxes[rivals]) > most
    doubles &= seen.kinds[starts][:, None] == seen.kinds[rivals]
    comes_first = np.arange(len(rivals)) < len(taken) + np.arange(len(starts))[:, None]
    kept = starts[~(doubles & comes_first).any(axis=1)]
    return kept[np.argsort(seen.boxes[kept, 0], kind="stable")]


def _turn(state: NDArray[np.float64], turn: Turn) -> None:
    """Move tracks in place to where a camera that turned sees them."""
    state[:, kalman.VALUE, :2] = turn.moved(state[:, kalman.VALUE, :2])
    state[:, kalman.RATE, :2] = turn.turned(state[:, kalman.RATE, :2])


def _born(seen: _Detections, time_s: float, noise: kalman.Noise) -> _Book:
    count = len(seen.scores)
    return _Book(
        state=kalman.start(seen.boxes, noise),
        id=np.zeros(count, np.int64),
        hits=np.ones(count, np.int32),
        first_s=np.full(count, time_s),
        seen_s=np.full(count, time_s),
        kind=seen.kinds.copy(),
        kind_weight=seen.scores.astype(np.float64),
        looks=seen.looks.copy(),
    )


def _observe(book: _Book, rows: Index, seen: _Detections, time_s: float, noise: kalman.Noise) -> None:
    """Correct the tracks ``rows`` by one detection each, in place."""
    book.state[rows] = kalman.correct(book.state[rows], seen.boxes, noise)
    book.hits[rows] += 1
    book.seen_s[rows] = time_s
    # A running majority (Boyer and Moore 1981) weighted by score: one class held, and how much speaks for it.
    weight = book.kind_weight[rows] + np.where(book.kind[rows] == seen.kinds, 1, -1) * seen.scores
    book.kind[rows] = np.where(weight < 0, seen.kinds, book.kind[rows])
    book.kind_weight[rows] = np.abs(weight)
    if seen.looks.shape[1]:
        looks = _REMEMBERED * book.looks[rows] + (1 - _REMEMBERED) * seen.looks
        length = np.linalg.norm(looks, axis=1, keepdims=True)
        book.looks[rows] = looks / np.maximum(length, np.finfo(np.float32).tiny)


def _checked(
    boxes_xyxy: ArrayLike, scores: ArrayLike, classes: ArrayLike, embeddings: ArrayLike | None
) -> _Detections:
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    count = len(boxes)
    looks = (
        np.zeros((count, 0), np.float32) if embeddings is None else np.asarray(embeddings, dtype=np.float32)
    )
    found = _Detections(
        boxes, np.asarray(scores, dtype=np.float32), np.asarray(classes).astype(np.int32), looks
    )
    if boxes.shape != (count, 4) or found.scores.shape != (count,) or found.kinds.shape != (count,):
        raise ValueError(
            f"boxes {boxes.shape}, scores {found.scores.shape}, classes {found.kinds.shape}: "
            "must be (M, 4), (M,) and (M,)"
        )
    if looks.ndim != 2 or len(looks) != count:
        raise ValueError(f"embeddings {looks.shape}: must be ({count}, E)")
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError("boxes_xyxy: has a box whose second corner lies left of or above its first")
    for name, values in (("boxes_xyxy", boxes), ("scores", found.scores), ("embeddings", looks)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: has a value that is not finite")
    return found
