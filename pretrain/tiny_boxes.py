"""How well a box fits another, where both may be a few pixels large.

Of two boxes of four pixels that lie two apart, the IoU is a third or a seventh, and of most predictions early
in training it is nothing at all: it does not say which cell is the better one. The Wasserstein distance
between the boxes taken as normal distributions falls off smoothly (Wang et al., "A Normalized Gaussian
Wasserstein Distance for Tiny Object Detection", 2021). It takes half a part for boxes below a size, in
matching as in the loss; boxes above it are left to the IoU, which no size enters.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou, generalized_box_iou_loss

_EPS = 1e-6


def box_similarity(boxes: Tensor, others: Tensor, *, tiny_px: float) -> Tensor:
    """IoU (N, M) of boxes (N, 4) with others (M, 4); of tiny ones the mean with Wasserstein likeness."""
    iou: Tensor = box_iou(boxes, others)
    if not tiny_px or not len(boxes):
        return iou
    likeness = wasserstein_likeness(boxes[:, None], others[None], scale=tiny_px)
    return torch.where(_tiny(boxes, tiny_px)[:, None], (iou + likeness) / 2, iou)


def outline_loss(predicted: Tensor, boxes: Tensor, *, tiny_px: float) -> Tensor:
    """GIoU loss (N,) of predicted outlines (N, 4); of tiny boxes with 1 − Wasserstein likeness, in halves."""
    loss: Tensor = generalized_box_iou_loss(predicted, boxes)
    if not tiny_px:
        return loss
    unlike = 1 - wasserstein_likeness(predicted, boxes, scale=tiny_px)
    return torch.where(_tiny(boxes, tiny_px), (loss + unlike) / 2, loss)


def wasserstein_likeness(boxes: Tensor, others: Tensor, *, scale: float) -> Tensor:
    """exp(−W₂ / scale) in (0, 1] of boxes (…, 4) and others (…, 4) that broadcast, scale in pixels.

    W₂² is the squared distance between centres, and a quarter of that between widths and heights.
    """
    centres = (boxes[..., :2] + boxes[..., 2:] - others[..., :2] - others[..., 2:]) / 2
    sides = (boxes[..., 2:] - boxes[..., :2] - others[..., 2:] + others[..., :2]) / 2
    squared = centres.square().sum(-1) + sides.square().sum(-1)
    return torch.exp(-(squared + _EPS).sqrt() / scale)


def _tiny(boxes: Tensor, tiny_px: float) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) < tiny_px**2
