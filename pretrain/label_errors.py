"""Which labels are probably wrong: from the boxes alone, and against what a detector found.

Every suspicion has a score in [0, 1]. Against a detector it follows ObjectLab (Tkachenko, Thyagarajan and
Mueller, "ObjectLab: Automated Diagnosis of Mislabeled Images in Object Detection Data", 2023) in its kinds,
overlooked, badly located and swapped. What counts as confident is settled by class from the scores of the
detections that do find a label, as in confident learning (Northcutt, Jiang and Chuang, "Confident Learning:
Estimating Uncertainty in Dataset Labels", 2021), so that no detector needs calibrated scores: t is the lower
quartile of these scores, where they take the mean, because a list that is read from the top may be long. And
how often detector and labels agree on things of like height says what it means that they do not. With s a
detection's score and the height of boxes in pixels:

* missing: a confident detection that overlaps no label. The share of confident detections of like height that
  do find a label, times the same of like score: what is left unlabelled by rule does not come first.
* spurious: a label that no detection overlaps which scores at least t/4. The share of labels of like height
  that one does overlap: not to find what is hardly ever found says nothing.
* shifted: the best overlap with a confident detection of its class is neither small nor large. s · (1 − IoU)
  · the share of labels of like height that a detection outlines well.
* class: a confident detection of another class in its place. s · IoU · (1 − the best score of its own class).

Suspicions whose share is below a half are not listed.

From boxes alone:

* doubled: two labels of a class in one place. Their IoU.
* outside: more than half of the label is outside its image. That share.
* improbable: height or aspect is far from the others of its class, by the modified z-score of Iglewicz and
  Hoaglin ("How to Detect and Handle Outliers", 1993) of its logarithm. 1 − limit / z.

A detector that learned from the wrong labels repeats them: give one that has not seen these images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from catseye.pretrain.boxes import areas, covered_shares, overlaps, overlaps_of_pairs
from catseye.pretrain.labels import LabelledImage

Kind = Literal["missing", "spurious", "shifted", "class", "doubled", "outside", "improbable"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_SAME_PLACE = 0.7
_MATCH = 0.5
_APART = 0.3
_SHIFT_PX = 3.0
_FAINT = 0.25
_MOSTLY = 0.5
_NEIGHBOURS = 50
_FEWEST_ALIKE = 10
_LEAST_SHARE = 0.5
_Z_LIMIT = 3.5
_Z_OF_MAD = 0.6745
_LEAST_MAD = 0.05
_FEWEST_OF_CLASS = 20

Boxes = NDArray[np.float32]


class Found(NamedTuple):
    """What a detector found in one image, also of low scores.

    Args:
        boxes: (K, 4) float32 corners in the image's pixels.
        scores: (K,) float32.
        classes: (K,) int32 indices into the labels' classes, -1 for a class that they have not.
    """

    boxes: Boxes
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]


@dataclass(frozen=True)
class Suspicion:
    """One label that is probably wrong, or missing.

    Args:
        image: index of its image.
        row: index of the label's box in its image; None where one is missing.
        score: in [0, 1].
        box: (4,) of the label; of the detection where the label is missing.
        other: (4,) what speaks against it: a detection, or the first of two doubled labels; None if nothing.
        other_class: index of the class that a detection has; None where there is none.
        value: what decides: an IoU, a detection's score, a share or a z-score.
    """

    kind: Kind
    image: int
    row: int | None
    score: float
    box: Boxes
    other: Boxes | None = None
    other_class: int | None = None
    value: float = 0.0


def suspicions(images: Sequence[LabelledImage], found: Sequence[Found] | None = None) -> list[Suspicion]:
    """All that is suspicious, the worst first.

    Args:
        images: boxes that reach over the border must not be clipped if those outside are to be found.
        found: in the same order; without it labels are only compared among themselves.
    """
    suspects = [*improbable(images)]
    for index, image in enumerate(images):
        suspects += [*doubled(image, index), *outside(image, index)]
    if found is not None:
        suspects += against_detector(images, found)
    return sorted(suspects, key=lambda each: (-each.score, each.image, each.row is None, each.row or 0))


def doubled(image: LabelledImage, index: int = 0) -> list[Suspicion]:
    """Labels that lie where an earlier one of their class does, each once. Crowd boxes do not count.

    Boxes are swept from left to right: two that overlap by an IoU of u have left sides no further apart than
    1 − u of the first one's width. So many boxes as one image has are fine, also if all lie in one place.
    """
    suspects = []
    for number in np.unique(image.classes):
        rows = np.flatnonzero((image.classes == number) & ~image.crowd)
        rows = rows[np.argsort(image.boxes[rows, 0], kind="stable")]
        boxes = image.boxes[rows].astype(np.float64)
        reach = boxes[:, 0] + (1 - _SAME_PLACE) * (boxes[:, 2] - boxes[:, 0])
        single = np.ones(len(rows), dtype=np.bool_)
        first = np.arange(len(rows) - 1)
        step = 1
        while first.size:
            second = first + step
            near = boxes[second, 0] <= reach[first]
            first, second = first[near], second[near]
            overlap = overlaps_of_pairs(boxes[first], boxes[second])
            for a, b in zip(*(side[overlap >= _SAME_PLACE] for side in (first, second)), strict=True):
                later, earlier = (a, b) if rows[a] > rows[b] else (b, a)
                if single[later]:
                    single[later] = False
                    shared = float(overlaps_of_pairs(boxes[a], boxes[b]))
                    suspects.append(
                        Suspicion(
                            "doubled",
                            index,
                            int(rows[later]),
                            min(shared, 1.0),
                            image.boxes[rows[later]],
                            other=image.boxes[rows[earlier]],
                            value=shared,
                        )
                    )
            step += 1
            first = first[single[first] & (first + step < len(rows))]
    return suspects


def outside(image: LabelledImage, index: int = 0) -> list[Suspicion]:
    """Labels of which more than half is outside the image."""
    boxes = image.boxes.astype(np.float64)
    inside = np.clip(boxes, 0, [image.width, image.height] * 2)
    share = 1 - areas(inside) / areas(boxes)
    return [
        Suspicion("outside", index, int(row), float(share[row]), image.boxes[row], value=float(share[row]))
        for row in np.flatnonzero((share > _MOSTLY) & ~image.crowd)
    ]


def improbable(images: Sequence[LabelledImage]) -> list[Suspicion]:
    """Labels whose height or aspect is far from that of the others of their class.

    A box that touches the border is cut off there, and says nothing of its aspect.
    """
    if not images:
        return []
    owners = np.repeat(np.arange(len(images)), [len(image.boxes) for image in images])
    rows = np.concatenate([np.arange(len(image.boxes)) for image in images])
    boxes = np.concatenate([image.boxes for image in images]).astype(np.float64)
    classes = np.concatenate([image.classes for image in images])
    crowd = np.concatenate([image.crowd for image in images])
    sizes = np.array([(image.width, image.height) for image in images], dtype=np.float64)[owners]
    cut = (boxes[:, :2] <= 0).any(axis=1) | (boxes[:, 2:] >= sizes).any(axis=1)
    sides = boxes[:, 2:] - boxes[:, :2]
    z = np.zeros(len(boxes))
    for number in np.unique(classes):
        alike = (classes == number) & ~crowd & ~cut
        if alike.sum() >= _FEWEST_OF_CLASS:
            heights, aspects = np.log(sides[alike, 1]), np.log(sides[alike, 0] / sides[alike, 1])
            z[alike] = np.maximum(_modified_z(heights), _modified_z(aspects))
    return [
        Suspicion(
            "improbable",
            int(owners[k]),
            int(rows[k]),
            float(1 - _Z_LIMIT / z[k]),
            images[owners[k]].boxes[rows[k]],
            value=float(z[k]),
        )
        for k in np.flatnonzero(z > _Z_LIMIT)
    ]


def against_detector(images: Sequence[LabelledImage], found: Sequence[Found]) -> list[Suspicion]:
    """Missing, spurious and shifted labels, and those of another class; at most one suspicion a label."""
    pairs = [_Pair(image, each) for image, each in zip(images, found, strict=True)]
    least = confident_scores(pairs)
    # What is of no known class is at least something.
    faint = _FAINT * np.where(np.isinf(least), least.min(), least)
    suspects: list[Suspicion] = []
    seen, outlined, labelled_heights, labelled_scores = (_Share() for _ in range(4))
    for index, pair in enumerate(pairs):
        confident = pair.scores >= least[pair.classes]
        noticed = pair.scores >= faint[pair.classes]
        something = np.asarray((pair.iou[noticed] >= _APART).any(axis=0), dtype=np.bool_)
        well = np.asarray(((pair.iou >= _SAME_PLACE) & pair.same_class)[noticed].any(axis=0), dtype=np.bool_)
        seen.add(_heights(pair.labels), something)
        outlined.add(_heights(pair.labels), well)
        suspects += [
            Suspicion("spurious", index, int(pair.rows[column]), 1.0, pair.labels[column])
            for column in np.flatnonzero(~something)
        ]
        suspects += _misplaced(pair, index, np.flatnonzero(something), confident, well)
        labelled = pair.iou.max(axis=1, initial=0) >= _APART
        counted = confident & (labelled | ~pair.ignored)
        labelled_heights.add(_heights(pair.boxes[counted]), labelled[counted])
        labelled_scores.add(pair.scores[counted], labelled[counted])
        suspects += _missing(pair, index, np.flatnonzero(counted & ~labelled))
    shares = {"spurious": seen, "shifted": outlined, "missing": labelled_heights}
    weighed = []
    for each in suspects:
        share = shares[each.kind].near(float(each.box[3] - each.box[1])) if each.kind in shares else 1.0
        if each.kind == "missing":
            share *= labelled_scores.near(each.value)
        if share >= _LEAST_SHARE:
            value = share if each.kind == "spurious" else each.value
            weighed.append(replace(each, score=each.score * share, value=value))
    return weighed


def confident_scores(pairs: Sequence[_Pair]) -> NDArray[np.float64]:
    """The least score of a confident detection, by class, and at the end for class -1.

    It is the lower quartile of those that find a label of the class; infinite where few labels are found, and
    for class -1.
    """
    count = 1 + max((int(c.max(initial=0)) for p in pairs for c in (p.classes, p.label_classes)), default=0)
    right = [((pair.iou >= _MATCH) & pair.same_class).any(axis=1) for pair in pairs]
    least = np.full(count + 1, np.inf)
    if pairs:
        classes = np.concatenate([pair.classes[r] for pair, r in zip(pairs, right, strict=True)])
        scores = np.concatenate([pair.scores[r] for pair, r in zip(pairs, right, strict=True)])
        for number in range(count):
            if (classes == number).sum() >= _FEWEST_ALIKE:
                least[number] = np.quantile(scores[classes == number], 0.25)
    return least


class _Pair:
    """One image's labels, crowd boxes apart, beside what was found in it; ``iou`` is (K, N)."""

    def __init__(self, image: LabelledImage, found: Found) -> None:
        self.rows = np.flatnonzero(~image.crowd)
        self.labels = image.boxes[self.rows]
        self.label_classes = image.classes[self.rows]
        self.boxes, self.scores, self.classes = found
        self.iou = overlaps(self.boxes, self.labels)
        self.same_class = self.classes[:, None] == self.label_classes
        crowd = covered_shares(self.boxes, image.boxes[image.crowd])
        within = covered_shares(self.boxes, self.labels)
        # Over a crowd nothing is asked for; what lies in a label is a part of it, found twice.
        self.ignored = (crowd >= _MATCH).any(axis=1) | (within >= _SAME_PLACE).any(axis=1)


def _misplaced(
    pair: _Pair,
    index: int,
    columns: NDArray[np.int64],
    confident: NDArray[np.bool_],
    outlined: NDArray[np.bool_],
) -> list[Suspicion]:
    """Labels of another class than what is in their place, and shifted ones."""
    best_label = pair.iou.argmax(axis=1) if len(pair.labels) else np.zeros(len(pair.boxes), dtype=np.int64)
    suspects = []
    for column in columns:
        iou, of_class = pair.iou[:, column], pair.same_class[:, column]
        own = float(pair.scores[of_class & (iou >= _MATCH)].max(initial=0))
        rivals = np.where(confident & ~of_class & (iou >= _MATCH) & (best_label == column), pair.scores, 0)
        rival = int(rivals.argmax())
        if rivals[rival] > own:
            overlap, score = float(iou[rival]), float(rivals[rival]) * float(iou[rival]) * (1 - own)
            suspects.append(_suspect("class", pair, index, int(column), rival, score, value=overlap))
            continue
        if outlined[column]:
            continue
        near = np.where(confident & of_class & (iou >= _APART) & (best_label == column), iou, 0)
        best = int(near.argmax())
        if near[best] and np.abs(pair.boxes[best] - pair.labels[column]).max() > _SHIFT_PX:
            score = float(pair.scores[best] * (1 - near[best]))
            suspects.append(
                _suspect("shifted", pair, index, int(column), best, score, value=float(near[best]))
            )
    return suspects


def _suspect(
    kind: Kind, pair: _Pair, index: int, column: int, detection: int, score: float, *, value: float
) -> Suspicion:
    return Suspicion(
        kind,
        index,
        int(pair.rows[column]),
        score,
        pair.labels[column],
        other=pair.boxes[detection],
        other_class=int(pair.classes[detection]),
        value=value,
    )


def _missing(pair: _Pair, index: int, candidates: NDArray[np.int64]) -> list[Suspicion]:
    """One suspicion a place, of its best detection."""
    kept: list[int] = []
    for k in candidates[np.argsort(-pair.scores[candidates], kind="stable")]:
        if not (overlaps(pair.boxes[[k]], pair.boxes[kept]) >= _APART).any():
            kept.append(int(k))
    return [
        Suspicion(
            "missing",
            index,
            None,
            float(pair.scores[k]),
            pair.boxes[k],
            other_class=int(pair.classes[k]),
            value=float(pair.scores[k]),
        )
        for k in kept
    ]


class _Share:
    """Which share of things has a flag, among those near to a value."""

    def __init__(self) -> None:
        self._values: list[NDArray[np.floating]] = []
        self._flags: list[NDArray[np.bool_]] = []

    def add(self, values: NDArray[np.floating], flags: NDArray[np.bool_]) -> None:
        self._values.append(values)
        self._flags.append(flags)

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
        values = np.concatenate(self._values)
        order = np.argsort(values, kind="stable")
        return values[order], np.concatenate([[0], np.cumsum(np.concatenate(self._flags)[order])])

    def near(self, value: float) -> float:
        """Of the hundred nearest, for one that is among them without the flag and is left out; 0 of few."""
        values, counts = self._sorted
        place = int(np.searchsorted(values, value))
        low, high = max(place - _NEIGHBOURS, 0), min(place + _NEIGHBOURS, len(values))
        return float(counts[high] - counts[low]) / (high - low - 1) if high - low > _FEWEST_ALIKE else 0.0


def _heights(boxes: Boxes) -> NDArray[np.float64]:
    return np.asarray(boxes[:, 3] - boxes[:, 1], dtype=np.float64)


def _modified_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each is from the median, in units that are standard deviations where values are normal."""
    distance = np.abs(values - np.median(values))
    return np.asarray(_Z_OF_MAD * distance / max(float(np.median(distance)), _LEAST_MAD))
