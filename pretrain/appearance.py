"""Telling vehicles apart by their looks: what pulls descriptors together, and what pushes them apart."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.pretrain.detection_head import STRIDE

_NOT_THERE = -1e4


class Relations(NamedTuple):
    """What is known of each pair of M boxes; of a pair in neither nothing is known.

    Args:
        same: (M, M) bool, they are the same vehicle; False for a box and itself.
        apart: (M, M) bool, they are certainly two.
    """

    same: Tensor
    apart: Tensor


def contrastive_loss(descriptors: Tensor, relations: Relations, *, temperature: float) -> Tensor:
    """Contrast each box with all that are certainly others, for each of its positives by itself.

    For an anchor a, a positive p and the others n it is log(1 + Σₙ exp((a·n − a·p) / temperature)), the mean
    over positives and then over anchors. That is the supervised contrastive loss with the sum over positives
    outside the logarithm (Khosla et al., "Supervised Contrastive Learning", 2020, eq. 2) without the other
    positives in the denominator, where they would push each other away (as in QDTrack: Pang et al., 2021).

    Args:
        descriptors: (M, E) of unit length.

    Returns:
        A scalar; 0 where no box has both a positive and another.
    """
    likeness = descriptors @ descriptors.T / temperature
    others = torch.logsumexp(likeness.masked_fill(~relations.apart, _NOT_THERE), dim=1, keepdim=True)
    pairs = F.softplus(others - likeness) * relations.same
    positives = relations.same.sum(dim=1)
    anchors = (positives > 0) & relations.apart.any(dim=1)
    of_anchor = pairs.sum(dim=1) / positives.clamp(min=1)
    return (of_anchor * anchors).sum() / anchors.sum().clamp(min=1)


@torch.no_grad()
def nearest_is_same(descriptors: Tensor, relations: Relations) -> float:
    """The share of boxes with a positive and another whose nearest of both is a positive; NaN for none."""
    likeness = descriptors @ descriptors.T
    best_same = likeness.masked_fill(~relations.same, -torch.inf).amax(dim=1)
    best_other = likeness.masked_fill(~relations.apart, -torch.inf).amax(dim=1)
    anchors = relations.same.any(dim=1) & relations.apart.any(dim=1)
    return float((best_same > best_other)[anchors].float().mean())


def cells_at(points: Tensor, *, height: int, width: int) -> Tensor:
    """Flat indices (M,) int64 of the cells of a map (height, width) that pixels (M, 2) x y lie in."""
    x, y = (points / STRIDE).long().unbind(1)
    return y.clamp(0, height - 1) * width + x.clamp(0, width - 1)


def map_of_boxes(boxes: Tensor, pictures: Tensor, cells: Tensor, *, like: Tensor) -> Tensor:
    """A map (B, 4, h, w) as large as ``like`` (B, C, h, w), empty but for ``boxes`` (M, 4) at their cells.

    Args:
        boxes: corners x1 y1 x2 y2.
        pictures, cells: (M,) where each goes; see ``read_cells``.
    """
    count, _, height, width = like.shape
    rows = torch.zeros(count, height * width, 4, dtype=torch.float32, device=like.device)
    rows[pictures, cells] = boxes.to(rows)
    return rows.transpose(1, 2).reshape(count, 4, height, width)


def read_cells(maps: Tensor, pictures: Tensor, cells: Tensor) -> Tensor:
    """Descriptors (M, E) float32 of unit length at ``cells`` (M,) of ``pictures`` (M,) of maps (B, E, h, w).

    No cell may be given twice: gradients that meet in one would be added up in any order.
    """
    picked = maps.permute(0, 2, 3, 1).flatten(1, 2)[pictures, cells]
    return F.normalize(picked.float(), dim=1, eps=1e-6)
