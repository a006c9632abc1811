"""Which boxes of neighbouring frames are certainly the same vehicle, without anybody having said so.

Only what is beyond doubt is linked, by motion alone: a link that is missed costs an example, but one that is
wrong teaches the opposite of what is wanted. Where two boxes could be meant, or one is missing, a track ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catseye.errors import UsageError
from catseye.pretrain.boxes import Boxes, areas, overlaps, shared_areas
from catseye.pretrain.detection_metrics import Detections

Rows = NDArray[np.int64]

_LEAST_SIDE = 6.0
_MOST_SHARED = 0.4


@dataclass(frozen=True, kw_only=True)
class LinkOptions:
    """What counts as certain.

    Args:
        threshold: score from which a detection is taken for a vehicle.
        min_iou: overlap with the place foreseen from which a box can be the same vehicle.
        margin: by how much that overlap must beat the next best, both of the track's and of the box's.
        longest_s: seconds from frame to frame over which nothing is linked.

    Raises:
        UsageError: an option has a value that cannot be.
    """

    threshold: float = 0.4
    min_iou: float = 0.5
    margin: float = 0.25
    longest_s: float = 0.3

    def __post_init__(self) -> None:
        for name in ("threshold", "min_iou", "margin"):
            if not 0 < getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)}: lies between 0 and 1")
        if not self.longest_s > 0:
            raise UsageError(f"longest_s {self.longest_s}: must be above 0")


@dataclass(frozen=True)
class PseudoTracks:
    """The boxes of a clip, a row each.

    Args:
        frames: (M,) int64, index of the clip's frame, ascending.
        boxes: (M, 4) float32 corners in the frame's pixels.
        tracks: (M,) int64 from 0. Boxes of one number are the same vehicle. Two numbers that one frame has
            are two vehicles; of two that no frame has together it is not known.
    """

    frames: Rows
    boxes: NDArray[np.float32]
    tracks: Rows

    @property
    def count(self) -> int:
        """How many tracks there are."""
        return int(self.tracks.max(initial=-1)) + 1

    def apart(self) -> NDArray[np.bool_]:
        """Whether two tracks are certainly two vehicles, (count, count)."""
        found = np.zeros((self.count, self.count), dtype=np.bool_)
        for frame in np.unique(self.frames):
            here = self.tracks[self.frames == frame]
            found[np.ix_(here, here)] = True
        np.fill_diagonal(found, False)
        return found


def link(
    found: Sequence[Detections], frames: Sequence[int], times_s: Sequence[float], options: LinkOptions
) -> PseudoTracks:
    """Link what was detected in frames of a clip.

    Args:
        found: a frame's detections each, in any order.
        frames: indices of the frames in the clip, ascending.
        times_s: their times in seconds, ascending.
    """
    boxes_of, tracks_of = [], []
    count, before_s = 0, -np.inf
    last, velocity, numbers = np.empty((0, 4)), np.empty((0, 4)), np.empty(0, np.int64)
    for detections, time_s in zip(found, times_s, strict=True):
        here = detections.boxes[sure_rows(detections, options)].astype(np.float64)
        mine = np.full(len(here), -1, dtype=np.int64)
        moved = np.zeros_like(here)
        step = time_s - before_s
        if 0 < step <= options.longest_s:
            old, new = certain_pairs(last + velocity * step, here, options)
            mine[new], moved[new] = numbers[old], (here[new] - last[old]) / step
        fresh = np.flatnonzero(mine < 0)
        mine[fresh] = count + np.arange(len(fresh))
        count += len(fresh)
        boxes_of.append(here.astype(np.float32))
        tracks_of.append(mine)
        last, velocity, numbers, before_s = here, moved, mine, time_s
    return PseudoTracks(
        frames=np.repeat(np.asarray(frames, np.int64), [len(mine) for mine in tracks_of]),
        boxes=np.concatenate([np.empty((0, 4), np.float32), *boxes_of]),
        tracks=np.concatenate([np.empty(0, np.int64), *tracks_of]),
    )


def sure_rows(found: Detections, options: LinkOptions) -> Rows:
    """Rows of detections that are vehicles to be told apart: sure, not tiny, and no two in one place.

    Of two of which one has more than 0.4 of the other's area, the better stays: the other is hidden by it, or
    is the same vehicle once more.
    """
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    rows = np.flatnonzero((found.scores >= options.threshold) & (sides >= _LEAST_SIDE).all(axis=1))
    rows = rows[np.argsort(-found.scores[rows], kind="stable")]
    boxes = found.boxes[rows]
    shared = shared_areas(boxes[:, None], boxes)
    area = areas(boxes)
    crowded = shared > _MOST_SHARED * np.minimum(area[:, None], area)
    kept: list[int] = []
    for place in range(len(rows)):
        if not crowded[place, kept].any():
            kept.append(place)
    return np.sort(rows[kept])


def certain_pairs(foreseen: Boxes, boxes: Boxes, options: LinkOptions) -> tuple[Rows, Rows]:
    """Rows of ``foreseen`` (N, 4) and rows of ``boxes`` (M, 4) that can only mean each other."""
    overlap = overlaps(foreseen, boxes)
    rival = np.maximum(_best_other(overlap), _best_other(overlap.T).T)
    rows, columns = np.nonzero((overlap >= options.min_iou) & (overlap - rival >= options.margin))
    return rows, columns


def _best_other(values: Boxes) -> Boxes:
    """For each entry (N, M) the largest of the others of its row, 0 where there is none."""
    if not values.size:
        return values
    padded = np.pad(values, ((0, 0), (0, 1)))
    second, first = np.partition(padded, -2, axis=1)[:, -2:].T[:, :, None]
    return np.asarray(np.where(values == first, second, first))
