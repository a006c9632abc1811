"""Boxes of single frames into tracks with lasting ids.

Motion is a Kalman filter for all tracks at once, stepped by real seconds. Detections are associated in
stages, after ByteTrack (Zhang et al., arXiv 2110.06864): confident ones with every confirmed track, then weak
ones with the confirmed tracks left over, since a weak score on the path of a track is more often the same
vehicle half hidden than a false alarm; and the confident ones left with the tracks not confirmed yet.

Boxes overlap once both have grown by the doubt about where the track is now. That is next to nothing for a
track that was seen a moment ago, and lets one that is new, was hidden or is looked at a few times a second be
found beside its path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catseye.errors import UsageError
from catseye.runtime import kalman
from catseye.runtime.association import Index, Offer, grown_iou, iou, matched
from catseye.runtime.track_book import FIRST_S, HITS, ID, KIND, SEEN_S, Book, Detections, born, checked

if TYPE_CHECKING:
    from catseye.runtime.camera_motion import CameraMotion, Turn

_A_WHILE_S = 0.3
_MOST_GROWTH = 0.5
"""Sizes up to which boxes grow."""
_SURE, _WEAK, _NEW = 3, 2, 1
"""Stages of association: twice whether the track is confirmed, plus whether the detection is confident. A
pair of neither never matches."""


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
        min_iou: overlap with the predicted box, both grown, from which a confident detection can match.
        min_iou_low: the same for weak detections and for tracks not confirmed.
        class_penalty: overlap that a detection of another class than the track's is taken for less; 1 forbids
            it. Detectors that waver between car and truck should not break a track.
        min_likeness: cosine of embeddings below which a detection is not taken for a track that was unseen
            for a while; 0 does not look at embeddings. Between frames in a row motion knows better. With
            embeddings that ``embed`` has taught, 0.7 did no harm on rendered drives and hardly helped.
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
        min_iou_low: float = 0.3,
        class_penalty: float = 0.2,
        min_likeness: float = 0.0,
        measurement_noise: float = 0.065,
        acceleration_noise: float = 0.35,
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
        self._asked = np.array([np.inf, min_iou_low, min_iou_low, min_iou], dtype=np.float32)
        self._least_asked = self._asked.min()
        self._class_penalty, self._min_likeness = np.float32(class_penalty), min_likeness
        self._noise = kalman.Noise(measurement_noise, acceleration_noise, initial_rate)
        self._camera: CameraMotion | None = None
        if camera_motion:
            # It needs OpenCV; a tracker alone does not.
            from catseye.runtime.camera_motion import CameraMotion

            self._camera = CameraMotion()
        self._book: Book | None = None
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
        given = checked(boxes_xyxy, scores, classes, embeddings)
        book = self._advance(given, time_s)
        row_given = (given.scores >= self._low).nonzero()[0]
        seen = given if len(row_given) == len(given.scores) else given.take(row_given)
        if self._camera is not None and frame is not None:
            turn = self._camera.see(frame, seen.boxes, width=frame_width)
            if turn is not None:
                _turn(book.state, turn)
        match = self._associate(book, seen, time_s)

        rows = (match >= 0).nonzero()[0]
        book.observe(
            rows if len(rows) < len(match) else slice(None), seen.take(match[rows]), time_s, self._noise
        )
        taken = match[rows]
        may_start = seen.scores >= self._start
        may_start[taken] = False
        starts = may_start.nonzero()[0]
        if len(starts):
            starts = _apart(seen, starts, taken, most=self._max_start_overlap)
        if len(rows) < len(match):
            patience = np.where(book.facts[ID] > 0, self._max_lost_s, self._max_unconfirmed_s)
            alive = (time_s - book.facts[SEEN_S] <= patience).nonzero()[0]
            if len(alive) < len(match):
                book, match = book.take(alive), match[alive]
        if len(starts):
            new = born(seen.take(starts), time_s, self._noise)
            if self._time_s is None:
                new.facts[HITS] = self._min_hits
            book, match = book.then(new), np.concatenate([match, starts])
        due = ((book.facts[ID] == 0) & (book.facts[HITS] >= self._min_hits)).nonzero()[0]
        if len(due):
            book.facts[ID, due] = self._next_id + np.arange(len(due))
            self._next_id += len(due)
        self._book, self._time_s = book, time_s
        return _shown(book, match, seen, row_given, time_s)

    def _advance(self, given: Detections, time_s: float) -> Book:
        """The tracks as predicted for ``time_s``."""
        if not np.isfinite(time_s):
            raise ValueError(f"time_s {time_s}: must be finite")
        if self._book is None or self._time_s is None:
            return born(given.take(np.empty(0, np.intp)), time_s, self._noise)
        dt = time_s - self._time_s
        if dt < 0:
            raise ValueError(f"time_s {time_s}: lies before {self._time_s}, the frame given last")
        book = self._book
        if given.looks.shape[1] != book.looks.shape[1]:
            raise ValueError(
                f"embeddings of length {given.looks.shape[1]}: it was {book.looks.shape[1]} before"
            )
        return Book(kalman.predict(book.state, dt, self._noise), book.facts, book.looks)

    def _associate(self, book: Book, seen: Detections, time_s: float) -> Index:
        """The detection of each track, -1 for none."""
        partner: dict[int, int] = {}
        taken: set[int] = set()
        by_stage = self._offers(book, seen, time_s)
        for stage in (_SURE, _WEAK, _NEW):
            offers = [offer for offer in by_stage[stage] if offer[0] not in partner and offer[1] not in taken]
            found = matched(offers)
            partner |= found
            taken.update(found.values())
        return np.array([partner.get(row, -1) for row in range(len(book.looks))], dtype=np.intp)

    def _offers(self, book: Book, seen: Detections, time_s: float) -> list[list[Offer]]:
        """The pairs that may match, by stage: what each overlaps by, above what is asked of it.

        Few boxes overlap, so that all else is counted for those pairs alone.
        """
        by_stage: list[list[Offer]] = [[], [], [], []]
        state, facts = book.state, book.facts
        if not (len(book.looks) and len(seen.scores)):
            return by_stage
        margins = np.minimum(kalman.doubt(state), _MOST_GROWTH * kalman.size(state))
        overlaps = grown_iou(kalman.boxes(state), seen.boxes, margins)
        if self._min_likeness and seen.looks.shape[1]:
            lost = (time_s - facts[SEEN_S] > _A_WHILE_S).nonzero()[0]
            overlaps[lost] *= book.looks[lost] @ seen.looks.T >= self._min_likeness
        rows, cols = (overlaps > self._least_asked).nonzero()
        gains = overlaps[rows, cols]
        gains -= self._class_penalty * (facts[KIND, rows] != seen.kinds[cols])
        stages = 2 * (facts[ID] > 0)[rows] + (seen.scores >= self._high)[cols]
        gains -= self._asked[stages]
        for stage, row, col, gain in zip(
            stages.tolist(), rows.tolist(), cols.tolist(), gains.tolist(), strict=True
        ):
            if gain > 0:
                by_stage[stage].append((row, col, gain))
        return by_stage


def _apart(seen: Detections, starts: Index, taken: Index, *, most: float) -> Index:
    """Those of ``starts`` that overlap none taken, and no better start, of their class too much; from left to
    right, since scores that are nearly equal change places from one machine to another."""
    starts = starts[np.argsort(-seen.scores[starts], kind="stable")]
    rivals = np.concatenate([taken, starts])
    doubles = iou(seen.boxes[starts], seen.boxes[rivals]) > most
    doubles &= seen.kinds[starts][:, None] == seen.kinds[rivals]
    comes_first = np.arange(len(rivals)) < len(taken) + np.arange(len(starts))[:, None]
    kept = starts[~(doubles & comes_first).any(axis=1)]
    return kept[np.argsort(seen.boxes[kept, 0], kind="stable")]


def _turn(state: NDArray[np.float64], turn: Turn) -> None:
    """Move tracks in place to where a camera that turned sees them."""
    state[:2, kalman.VALUE] = turn.moved(state[:2, kalman.VALUE].T).T
    state[:2, kalman.RATE] = turn.turned(state[:2, kalman.RATE].T).T


def _shown(book: Book, match: Index, seen: Detections, row_given: Index, time_s: float) -> Tracks:
    """The confirmed tracks that were seen, whose detection is ``match`` of ``seen``."""
    rows = ((match >= 0) & (book.facts[ID] > 0)).nonzero()[0]
    rows = rows[book.facts[ID, rows].argsort()]
    facts, col = book.facts[:, rows], match[rows]
    return Tracks(
        ids=facts[ID].astype(np.int64),
        boxes_xyxy=kalman.boxes(book.state)[rows].astype(np.float32, order="C"),
        scores=seen.scores[col],
        classes=facts[KIND].astype(np.int32),
        detection_index=row_given[col].astype(np.int32),
        ages_s=(time_s - facts[FIRST_S]).astype(np.float32),
    )
