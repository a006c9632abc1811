"""How much of what a detector says of a picture is in doubt, in boxes.

Three readings, of which none needs a label:

- *unsure*: how many calls are wrong if a box is called at a score of 0.5 and scores are probabilities;
- *two heads*: how far the one-to-one scores, which the detector is used with, and the one-to-many scores
  after suppression differ. Taught by the same boxes in two ways, they agree on what both have understood;
- *mirrored*: how far what is found in the mirrored picture, mirrored back, differs from what is found in it
  as it is (consistency under a flip: Elezi et al., "Not All Labels Are Equal", CVPR 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

_LEAST_SCORE = 0.05
_MATCH = 0.5
_MOST = 100
Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class Doubt:
    """A picture's boxes in doubt, by each reading."""

    unsure: float
    two_heads: float
    mirrored: float

    @property
    def boxes(self) -> float:
        """The mean of the three, which mostly tell of the same boxes."""
        return (self.unsure + self.two_heads + self.mirrored) / 3


@dataclass(frozen=True)
class Found:
    """Boxes (K, 4) in network pixels and their scores (K,), no score below a twentieth."""

    boxes: Boxes
    scores: Boxes


def doubt_of(one: Found, many: Found, mirrored: Found) -> Doubt:
    """Put the readings together.

    Args:
        one, many: what the two heads find in a picture.
        mirrored: what the first finds in it mirrored, mirrored back.
    """
    unsure = float(np.minimum(one.scores, 1 - one.scores).sum())
    return Doubt(unsure, disagreement(one, many), disagreement(one, mirrored))


def disagreement(a: Found, b: Found) -> float:
    """Differences of scores between boxes that are each other's best match, and the whole score of all
    others, in boxes."""
    total = float(a.scores.sum() + b.scores.sum())
    if not len(a.scores) or not len(b.scores):
        return total
    overlap = box_iou(torch.from_numpy(a.boxes), torch.from_numpy(b.boxes)).numpy()
    to_b, to_a = overlap.argmax(axis=1), overlap.argmax(axis=0)
    rows = np.arange(len(to_b))
    paired = (to_a[to_b] == rows) & (overlap[rows, to_b] >= _MATCH)
    ours, theirs = a.scores[rows[paired]], b.scores[to_b[paired]]
    # A pair's scores count by what they differ, not by their sum.
    return total - float((ours + theirs - np.abs(ours - theirs)).sum())


def best_cells(logits: Tensor, boxes: Tensor, *, suppress: bool = False) -> list[Found]:
    """The best cells of each picture as boxes, each for its best class.

    Args:
        logits: (B, C, h, w).
        boxes: (B, 4, h, w).
        suppress: keep of those that overlap by half and are of one class the best only.
    """
    scores, classes = torch.sigmoid(logits.flatten(2).float()).max(dim=1)
    found = []
    for score, kind, box in zip(scores, classes, boxes.flatten(2), strict=True):
        best = torch.topk(score, min(_MOST, len(score))).indices
        best = best[score[best] >= _LEAST_SCORE]
        corners = box.T[best].float()
        if suppress:
            kept = batched_nms(corners, score[best], kind[best], _MATCH)
            best, corners = best[kept], corners[kept]
        found.append(Found(corners.cpu().numpy(), score[best].float().cpu().numpy()))
    return found


def mirror(found: Found, *, width: int) -> Found:
    """What was found in a mirrored picture, in the picture."""
    left, top, right, bottom = found.boxes.T
    return Found(np.stack([width - right, top, width - left, bottom], axis=1), found.scores)
