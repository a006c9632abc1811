"""Labels without people, of footage: what a detector finds is kept where it lasts.

A false alarm comes and goes; a vehicle is there in frame after frame, on a path without jumps. So boxes are
judged not by themselves but by the tracks that they are of, followed forwards and backwards, and a vehicle
that is sure in most frames is kept in those too in which its score is weak, or in which it was missed. (The
idea of detections mined from tracks: Jin et al., "Unsupervised Hard Example Mining from Videos for Improved
Object Detection", ECCV 2018.) What is neither sure nor surely noise is marked as crowd, so that training
takes it neither for an object nor for background.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from catseye.errors import UsageError
from catseye.pretrain.boxes import covered_shares, overlaps, overlaps_of_pairs

_SAME, _WITHIN = 0.6, 0.6
"""Overlap (IoU) of two kept boxes, and share of a box in doubt within a kept one, from which on both are of
one vehicle."""

Index = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sightings:
    """What was detected in the frames of one clip, M boxes in all.

    Args:
        frame: (M,) place of the frame among those looked at.
        boxes: (M, 4) corners in pixels.
        scores: (M,) in [0, 1].
        classes: (M,) int32.
        track: (M,) number of the track that each is of; -1 for none.
    """

    frame: Index
    boxes: Floats
    scores: Floats
    classes: NDArray[np.int32]
    track: Index

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: Index | NDArray[np.bool_]) -> Sightings:
        return Sightings(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True, kw_only=True)
class TrackRules:
    """Which tracks are vehicles, and which are noise.

    Args:
        sure: median score from which on a track may be kept.
        weak: median score below which it is noise.
        min_life_s: least time from its first to its last sighting.
        min_seen: least share of the frames of that time in which it was seen.
        min_smooth: least median overlap (IoU) of its boxes with where those before and after put them.
        fill_s: longest gap within a track in which the vehicle is taken to be there; in longer ones it may be
            hidden, which is in doubt.

    Raises:
        UsageError: a rule cannot be.
    """

    sure: float = 0.5
    weak: float = 0.15
    min_life_s: float = 0.5
    min_seen: float = 0.5
    min_smooth: float = 0.5
    fill_s: float = 0.35

    def __post_init__(self) -> None:
        if not 0 <= self.weak <= self.sure <= 1:
            raise UsageError(f"weak {self.weak}, sure {self.sure}: 0 ≤ weak ≤ sure ≤ 1 must hold")
        for name in ("min_seen", "min_smooth"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} {getattr(self, name)}: must lie between 0 and 1")
        for name in ("min_life_s", "fill_s"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} {getattr(self, name)}: takes seconds, 0 or more")


class Verdict(Enum):
    """What a track is taken for."""

    KEPT = "kept"
    DOUBTFUL = "doubtful"
    NOISE = "noise"


@dataclass(frozen=True, eq=False)
class PseudoBoxes:
    """Labels of a clip's frames, N boxes: as ``Sightings``, with ``crowd`` (N,) bool for what is in doubt.

    ``scores`` are the tracks' medians.
    """

    frame: Index
    boxes: Floats
    scores: Floats
    classes: NDArray[np.int32]
    crowd: NDArray[np.bool_]


def pseudo_label(seen: Sightings, times_s: NDArray[np.float64], rules: TrackRules) -> PseudoBoxes:
    """Judge every track, and turn those that are not noise into labels.

    Args:
        times_s: (T,) of the frames looked at, rising.
    """
    parts = [_nothing()]
    for track in tracks_of(seen):
        verdict = judge(track, times_s, rules)
        if verdict is Verdict.NOISE:
            continue
        at, boxes, missed_s = complete(track, times_s)
        parts.append(
            PseudoBoxes(
                frame=at,
                boxes=boxes,
                scores=np.full(len(at), np.median(track.scores), dtype=np.float32),
                classes=np.full(len(at), majority(track), dtype=np.int32),
                crowd=(missed_s > rules.fill_s) | (verdict is Verdict.DOUBTFUL),
            )
        )
    return without_doubles(
        PseudoBoxes(
            frame=np.concatenate([part.frame for part in parts]),
            boxes=np.concatenate([part.boxes for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            classes=np.concatenate([part.classes for part in parts]),
            crowd=np.concatenate([part.crowd for part in parts]),
        )
    )


def without_doubles(labels: PseudoBoxes) -> PseudoBoxes:
    """Leave one box to a vehicle: not two kept ones that overlap mostly, of which the surer stays, nor one in
    doubt that lies mostly within a kept one, since training is to learn that there is no second."""
    # Kept ones first, the surest first: each is held against those before it.
    order = np.lexsort((-labels.scores, labels.crowd))
    stays: list[int] = []
    kept: dict[int, list[int]] = {}
    for row in order.tolist():
        box, before = labels.boxes[row], kept.setdefault(int(labels.frame[row]), [])
        here = labels.boxes[before]
        if labels.crowd[row]:
            double = covered_shares(box[None], here) >= _WITHIN
        else:
            double = overlaps(box[None], here) >= _SAME
        if not double.any():
            stays.append(row)
            if not labels.crowd[row]:
                before.append(row)
    rows = np.sort(np.array(stays, dtype=np.int64))
    return PseudoBoxes(*(getattr(labels, name)[rows] for name in PseudoBoxes.__dataclass_fields__))


def judge(track: Sightings, times_s: NDArray[np.float64], rules: TrackRules) -> Verdict:
    """What one track is, whose sightings are in the order of their frames."""
    score = float(np.median(track.scores))
    first, last = int(track.frame[0]), int(track.frame[-1])
    lasts = times_s[last] - times_s[first] >= rules.min_life_s
    if score < rules.weak or (not lasts and score < rules.sure):
        return Verdict.NOISE
    steady = (
        len(track) >= rules.min_seen * (last - first + 1) and smoothness(track, times_s) >= rules.min_smooth
    )
    return Verdict.KEPT if lasts and steady and score >= rules.sure else Verdict.DOUBTFUL


def smoothness(track: Sightings, times_s: NDArray[np.float64]) -> float:
    """Median overlap (IoU) of the boxes with those in the middle of their neighbours, by time; 0 where there
    are fewer than three."""
    if len(track) < 3:
        return 0.0
    times = times_s[track.frame]
    share = ((times[1:-1] - times[:-2]) / (times[2:] - times[:-2]))[:, None]
    between = (1 - share) * track.boxes[:-2] + share * track.boxes[2:]
    return float(np.median(overlaps_of_pairs(between, track.boxes[1:-1])))


def complete(track: Sightings, times_s: NDArray[np.float64]) -> tuple[Index, Floats, NDArray[np.float64]]:
    """A track in every frame from its first to its last.

    Returns:
        The frames (n,), boxes (n, 4), which are between the sightings on either side where the track was
        missed, and the length (n,) in seconds of the gap that each frame is in; 0 where it was seen.
    """
    at = np.arange(track.frame[0], track.frame[-1] + 1)
    seen_s = times_s[track.frame]
    corners = [np.interp(times_s[at], seen_s, track.boxes[:, side]) for side in range(4)]
    after = np.searchsorted(track.frame, at)
    before = np.where(track.frame[after] == at, after, after - 1)
    return at, np.stack(corners, axis=1).astype(np.float32), seen_s[after] - seen_s[before]


def majority(track: Sightings) -> int:
    """The class that most of a track's scores speak for."""
    return int(np.bincount(track.classes, weights=track.scores).argmax())


def tracks_of(seen: Sightings) -> Iterator[Sightings]:
    """Every track by itself in the order of its frames; what is of none is a track of one sighting."""
    own = seen.track.copy()
    alone = own < 0
    own[alone] = own.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
    order = np.lexsort((seen.frame, own))
    starts = np.flatnonzero(np.diff(own[order], prepend=-1))
    for rows in np.split(order, starts[1:]) if len(order) else ():
        yield seen.take(rows)


def join_directions(forwards: Index, backwards: Index, frame: Index) -> Index:
    """Tracks followed both ways as one numbering.

    A tracker needs sure detections to begin with, so that it misses how a vehicle came out of the distance;
    followed backwards, that is the end of its track.

    Args:
        forwards, backwards: (M,) number of each detection's track in one direction; -1 for none.
        frame: (M,) of each detection.

    Returns:
        (M,): the tracks forwards, longer by those detections that only a track backwards has which shares
        most of its detections with them, and new ones for tracks that were found backwards alone.
    """
    joined = forwards.copy()
    new = int(forwards.max(initial=-1)) + 1
    for number in np.unique(backwards[backwards >= 0]):
        rows = np.flatnonzero(backwards == number)
        shared = joined[rows]
        free = rows[shared < 0]
        if len(free) == len(rows):
            target, new = new, new + 1
        else:
            target = int(np.bincount(shared[shared >= 0]).argmax())
        taken = frame[joined == target]
        joined[free[~np.isin(frame[free], taken)]] = target
    return joined


def _nothing() -> PseudoBoxes:
    return PseudoBoxes(
        frame=np.zeros(0, np.int64),
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        classes=np.zeros(0, np.int32),
        crowd=np.zeros(0, np.bool_),
    )
