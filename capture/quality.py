"""What a frame is worth: brightness, sharpness, motion, damage, and which spans show nothing to learn from.

All scores are of luma at network size on the scale 0…255 of full range, so that they do not depend on the
camera's resolution or its coding of levels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from catseye.capture.corruption import FILL_SHARE, filled_share, torn_share
from catseye.capture.geometry import Image, Planes

STATIONARY, DARK, FROZEN = "stationary", "dark", "frozen"
OBSTRUCTED, CORRUPT = "obstructed", "corrupt"
TAGS = (STATIONARY, DARK, FROZEN, OBSTRUCTED, CORRUPT)

TAG_SPAN_S = 1.0
"""A tag holds for a span of at least this long; shorter ones are part of what surrounds them."""

DARK_BELOW = 20.0
"""Mean level below which a picture is dark: a covered lens, a garage, not a lit road at night."""

STATIONARY_BELOW = 1.0
"""Motion below which the camera stands. An empty highway gives 2 and more, sensor noise less than 1."""

FROZEN_CHANGE = 1
"""Greatest change of any pixel between identical pictures, in levels: a codec rounds, a sensor does more."""

OBSTRUCTED_FROM = 0.2
"""Share of the picture that is hidden from which on a clip is set aside."""

OBSTRUCTED_SPAN_S = 5.0
"""What hides the view for less is traffic: the plain side of a lorry being passed."""

HIDDEN_STRUCTURE, HIDDEN_CHANGE, WHILE_MOVING = 2.5, 1.5, 2.5
"""See ``obstructed_share``; in levels."""

NIGHT_BELOW, BONNET_WIDTH = 70.0, 0.8
"""Mean level of a picture below which its sky may be dark, and the share of the lower edge that a bonnet
spans; see ``obstructed_share``."""

TORN_FROM, TORN_RATIO = 0.008, 4.0
"""Share of torn block edges from which on a picture is damaged, and by how much it must exceed the median of
the pictures around it: what is drawn into a picture has such edges too, in all of them."""

STRAY_FROM, STRAY_RATIO = 4.0, 2.5
"""Change of level from which on a single picture is unlike its neighbours, and by how much it must exceed
what changes from the one neighbour to the other; a winding road in flickering sun reaches 1.9."""

CUT_FROM, CUT_RATIO, CUT_LEAD = 15.0, 4.0, 1.5
"""Change of level from which on a frame begins another scene, and by how much it must exceed the median, and
the greatest, of the other changes within half a second."""

_SMALL = (40, 24)
_BLOCKS = (10, 6)
_MOTION_STEP_S = 0.2
_LOOK_S = 0.1


@dataclass(frozen=True)
class FrameScores:
    """One frame's scores.

    Args:
        brightness: mean level.
        sharpness: variance of the Laplacian; as motion and obstruction at the last look, see ``Scorer``.
        motion: change of level over the last 0.2 s, or since the previous frame where that is longer ago: the
            upper quartile over a 10×6 grid of blocks of each block's mean absolute difference. The quartile
            keeps one passing car from looking like ego motion, and a plain sky from hiding it. NaN for the
            first frame.
        identical: whether nothing has changed since the previous frame.
        obstruction: share of the picture that something on the lens seems to hide, see ``obstructed_share``.
        damaged: whether the decoder knows that the picture is not what was recorded.
        torn, filled: see ``corruption``; NaN where they were not looked for.
        key: whether it is a key frame of the source.
        jump: mean absolute difference from the previous frame, both less their means: a flash or a tunnel's
            mouth changes the mean, another scene all the rest.
        jump_over: the same from the frame before that, which is little where the one between was damaged.
    """

    brightness: float
    sharpness: float
    motion: float
    identical: bool
    obstruction: float = 0.0
    damaged: bool = False
    torn: float = 0.0
    filled: float = 0.0
    key: bool = False
    jump: float = 0.0
    jump_over: float = 0.0


class Scorer:
    """Scores the frames of one file in order; remembers the last 0.2 s of them, very small.

    What may last a single frame is looked for in each: another scene, a picture that repeats, a key frame's
    damage. The rest is looked at ten times a second at most. What is seen holds until the next look; damage
    is handed on from frame to frame, so that the next look finds it too.
    """

    def __init__(self) -> None:
        self._recent: deque[tuple[float, NDArray[np.float32]]] = deque()
        self._last: deque[NDArray[np.float32]] = deque(maxlen=2)
        self._previous: Image | None = None
        self._look = _Look(sharpness=float("nan"))
        self._looked_s = 0.0

    def score(
        self,
        planes: Planes,
        *,
        time_s: float,
        key: bool = False,
        damaged: bool = False,
        source: Planes | None = None,
    ) -> FrameScores:
        """Score a picture.

        Args:
            planes: at network scale.
            time_s: on the file's own clock.
            key, damaged: see ``FrameScores``.
            source: the same at the size that was coded, to look for damage in.
        """
        gain, offset = (1.0, 0.0) if planes.full_range else (255 / 219, -16 * 255 / 219)
        # Halving is quick and the odd rest is not: in two steps it takes a third of the time.
        half = cv2.resize(planes.y, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        small = cv2.resize(half, _SMALL, interpolation=cv2.INTER_AREA) * np.float32(gain)
        small += np.float32(offset)
        brightness = float(cv2.mean(small)[0])
        flat = np.asarray(small - np.float32(brightness), dtype=np.float32)
        jumps = [cv2.norm(flat, before, cv2.NORM_L1) / flat.size for before in self._last]
        self._last.appendleft(flat)
        identical = _identical(self._previous, planes.y)
        due = len(self._recent) < 2 or not 0 <= time_s - self._looked_s < _LOOK_S - 1e-6
        if due:
            before = self._reference(time_s) if self._recent else None
            self._look = _Look.at(small, before, sharpness=_sharpness(planes.y) * gain**2)
            self._looked_s = time_s
        self._recent.append((time_s, small))
        self._previous = planes.y
        torn = filled = float("nan")
        if source is not None and (due or key):
            torn, filled = torn_share(source.y), filled_share(source)
        return FrameScores(
            brightness=brightness,
            sharpness=self._look.sharpness,
            motion=self._look.motion,
            identical=identical,
            obstruction=self._look.obstruction,
            damaged=damaged,
            torn=torn,
            filled=filled,
            key=key,
            jump=jumps[0] if jumps else 0.0,
            jump_over=jumps[1] if len(jumps) > 1 else 0.0,
        )

    def _reference(self, time_s: float) -> NDArray[np.float32]:
        """The newest picture at least a motion step old; the oldest known where none is."""
        while len(self._recent) > 1 and self._recent[1][0] <= time_s - _MOTION_STEP_S + 1e-6:
            self._recent.popleft()
        return self._recent[0][1]


@dataclass(frozen=True)
class _Look:
    """The scores that hold for some frames, see ``FrameScores``."""

    sharpness: float
    motion: float = float("nan")
    obstruction: float = 0.0

    @classmethod
    def at(cls, small: NDArray[np.float32], before: NDArray[np.float32] | None, *, sharpness: float) -> Self:
        if before is None:
            return cls(sharpness)
        change = _blocks(cv2.absdiff(before, small))
        obstruction = obstructed_share(_blocks(small), change, _structure(small))
        return cls(sharpness, _upper_quartile(change), obstruction)


def frame_tags(scores: Sequence[FrameScores], times_s: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Each tag by frame, (T,) bool, for frames without a gap.

    A first frame, which has no predecessor here, goes with its successor. Repeated frames within a motion
    step are a recorder filling up its rate, and no frozen picture.
    """
    motion = np.array([s.motion for s in scores], dtype=np.float64)
    identical = np.array([s.identical for s in scores], dtype=bool)
    brightness = np.array([s.brightness for s in scores], dtype=np.float64)
    if len(scores) > 1:
        motion[0], identical[0] = motion[1], identical[1]
    frozen = _without_short_runs(identical, times_s, shortest_s=_MOTION_STEP_S)
    dark = brightness < DARK_BELOW
    obstruction = np.array([s.obstruction for s in scores], dtype=np.float64)
    return {
        # What the dark or a frozen picture hides may well be moving.
        STATIONARY: (motion < STATIONARY_BELOW) & ~frozen & ~dark,
        DARK: dark,
        FROZEN: frozen,
        OBSTRUCTED: obstruction >= OBSTRUCTED_FROM,
        CORRUPT: _corrupt(scores),
    }


def tag_spans(scores: Sequence[FrameScores], times_s: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Each tag by frame, (T,) bool, in spans that are worth a clip of their own.

    Of damage every frame counts, and sound frames between damaged ones less than a tag's span apart go with
    them.
    """
    flags = frame_tags(scores, times_s)
    shortest_s = {OBSTRUCTED: OBSTRUCTED_SPAN_S}
    spans = {
        tag: steady(found, times_s, shortest_s=shortest_s.get(tag, TAG_SPAN_S))
        for tag, found in flags.items()
        if tag != CORRUPT
    }
    return {**spans, CORRUPT: _bridged(flags[CORRUPT], times_s)}


def scene_cuts(scores: Sequence[FrameScores], times_s: NDArray[np.float64]) -> list[int]:
    """Frames that begin another scene than the one before them.

    All but the mean level changes at once, by far more than around it. Of several such changes within half a
    second none counts: a flash or a damaged picture comes and goes, and sun through leaves flickers.
    """
    jumps = np.array([s.jump for s in scores], dtype=np.float64)
    cuts = []
    for at in np.flatnonzero(jumps >= CUT_FROM).tolist():
        if at == 0 or scores[at].damaged or scores[at - 1].damaged:
            continue
        near = np.flatnonzero(np.abs(times_s - times_s[at]) <= TAG_SPAN_S / 2)
        around = jumps[near[(near != at) & (near != 0)]]
        if around.size and jumps[at] >= max(
            CUT_RATIO * float(np.median(around)), CUT_LEAD * float(around.max())
        ):
            cuts.append(at)
    return cuts


def obstructed_share(
    level: NDArray[np.float32], change: NDArray[np.float32], structure: NDArray[np.float32]
) -> float:
    """Share of the picture that something on the lens hides.

    Hidden is a cell without structure that does not change while the rest of the picture moves: its structure
    is less than ``HIDDEN_STRUCTURE``, its change less than ``HIDDEN_CHANGE``, and the upper quartile of the
    others' changes ``WHILE_MOVING`` or more. Two things that are like that hide nothing and count neither
    way. The sky joins the upper edge and is lighter than the picture's mean, or that mean is a night's. The
    vehicle's own bonnet lies along the lower edge, in the lowest third. What hides just these parts is
    missed.

    Args:
        level: (rows, columns) mean level of each cell.
        change: mean absolute change over the motion step.
        structure: mean absolute deviation of its parts from its level.
    """
    plain = (change < HIDDEN_CHANGE) & (structure < HIDDEN_STRUCTURE)
    mean = level.mean()
    aside = _joined_to_top(level > mean)
    if mean < NIGHT_BELOW:
        aside |= _joined_to_top(plain)
    if plain[-1].mean() >= BONNET_WIDTH:
        aside[-(len(plain) // 3) :] |= _joined_to_top(plain[::-1])[::-1][-(len(plain) // 3) :]
    hidden = plain & ~aside
    rest = change[~hidden & ~aside]
    return float(hidden.mean()) if rest.size and _upper_quartile(rest) >= WHILE_MOVING else 0.0


def _joined_to_top(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those of the cells that a chain of them joins to the upper edge."""
    count, regions = cv2.connectedComponents(cells.astype(np.uint8), connectivity=4)
    on_top = np.zeros(count, dtype=bool)
    on_top[regions[0]] = True
    on_top[0] = False  # the region of all the others
    return np.asarray(on_top[regions], dtype=np.bool_)


def steady(
    flags: NDArray[np.bool_], times_s: NDArray[np.float64], *, shortest_s: float = TAG_SPAN_S
) -> NDArray[np.bool_]:
    """Flags by majority within half a second either side, then spans shorter than ``shortest_s`` dropped.

    Args:
        flags: (T,) bool.
        times_s: (T,) float64, rising.
    """
    if not flags.any():
        return flags
    first = np.searchsorted(times_s, times_s - TAG_SPAN_S / 2 - 1e-6)
    last = np.searchsorted(times_s, times_s + TAG_SPAN_S / 2 + 1e-6)
    count = np.concatenate([[0], np.cumsum(flags)])
    held = 2 * (count[last] - count[first]) > last - first
    return _without_short_runs(held, times_s, shortest_s=shortest_s)


def runs(values: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open index ranges over which a flag stays the same."""
    changes = (np.flatnonzero(values[1:] != values[:-1]) + 1).tolist()
    return list(zip([0, *changes], [*changes, len(values)], strict=True)) if len(values) else []


def _without_short_runs(
    flags: NDArray[np.bool_], times_s: NDArray[np.float64], *, shortest_s: float
) -> NDArray[np.bool_]:
    """Clear shorter spans. A frame lasts until the next; the last one as long as the one before it."""
    kept = flags.copy()
    ends_s = np.append(times_s[1:], 2 * times_s[-1] - times_s[-2]) if len(times_s) > 1 else times_s
    for start, stop in runs(flags):
        if flags[start] and ends_s[stop - 1] - times_s[start] < shortest_s - 1e-6:
            kept[start:stop] = False
    return kept


def _bridged(flags: NDArray[np.bool_], times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Set the short spans between two that are set."""
    bridged = flags.copy()
    for start, stop in runs(flags):
        if (
            not flags[start]
            and start > 0
            and stop < len(flags)
            and times_s[stop] - times_s[start] < TAG_SPAN_S
        ):
            bridged[start:stop] = True
    return bridged


def _sharpness(luma: Image) -> float:
    """Variance of the Laplacian: as cv2.meanStdDev squared, in a tenth of its time."""
    levels = cv2.Laplacian(luma, cv2.CV_16S)
    mean_square = float(cv2.norm(levels, cv2.NORM_L2)) ** 2 / levels.size
    return mean_square - (float(cv2.sumElems(levels)[0]) / levels.size) ** 2


def _identical(before: Image | None, after: Image) -> bool:
    if before is None or before.shape != after.shape:
        return False
    return int(cv2.absdiff(before, after).max()) <= FROZEN_CHANGE


def _corrupt(scores: Sequence[FrameScores]) -> NDArray[np.bool_]:
    """What the decoder told of and what shows, up to the next key frame: the rest is predicted from it."""
    torn, filled = (np.array([getattr(s, name) for s in scores]) for name in ("torn", "filled"))
    looked = ~np.isnan(torn)
    usual = float(np.median(torn[looked])) if looked.any() else 0.0
    shows = looked & ((filled >= FILL_SHARE) | ((torn >= TORN_FROM) & (torn >= TORN_RATIO * usual)))
    for at in range(len(scores) - 1, 0, -1):  # it may have begun right after the look before
        shows[at - 1] |= shows[at] and not scores[at].key and not looked[at - 1]
    corrupt = shows | np.array([s.damaged for s in scores], dtype=bool)
    for at in range(1, len(scores)):
        corrupt[at] |= corrupt[at - 1] and not scores[at].key
    return np.asarray(corrupt | _strays(scores), dtype=np.bool_)


def _strays(scores: Sequence[FrameScores]) -> NDArray[np.bool_]:
    """Pictures unlike those before and after, which are alike: damage that ends with the picture."""
    jumps = np.array([s.jump for s in scores], dtype=np.float64)
    over = np.array([s.jump_over for s in scores], dtype=np.float64)
    stray = np.zeros(len(scores), dtype=bool)
    unlike = np.minimum(jumps[1:-1], jumps[2:])
    stray[1:-1] = (unlike >= STRAY_FROM) & (unlike >= STRAY_RATIO * over[2:])
    return stray


def _blocks(picture: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(picture, _BLOCKS, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _structure(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean absolute deviation within each block, in which neither sensor noise nor the codec's is left."""
    level = cv2.resize(_blocks(small), _SMALL, interpolation=cv2.INTER_NEAREST)
    return _blocks(cv2.absdiff(small, level))


def _upper_quartile(values: NDArray[np.float32]) -> float:
    return float(np.sort(values, axis=None)[3 * values.size // 4])
