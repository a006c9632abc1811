"""What the detector is taught with: focal scores under both assignments, GIoU boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.pretrain.assignment import inside, one_to_many, one_to_one, peak_cells
from catseye.pretrain.detection_head import STRIDE, TrainingOutputs
from catseye.pretrain.tiny_boxes import outline_loss

_BOX_WEIGHT = 2.0
_FOCUS = 2.0
_NEAR_MISS = 4.0


class Target(NamedTuple):
    """What is in one training image, in network pixels.

    Args:
        boxes: (N, 4) float32 corners.
        classes: (N,) int64.
        ignored: (M, 4) float32 corners of regions where finding something is neither right nor wrong.
        weights: (N,) float32 in [0, 1], how sure each box is to be an object; None is 1 for all. What is
            not sure to be an object is no background either: by the rest of 1 it says nothing.
    """

    boxes: Tensor
    classes: Tensor
    ignored: Tensor
    weights: Tensor | None = None

    @property
    def mass(self) -> float:
        """Number of objects, each as much as it weighs."""
        return float(len(self.boxes) if self.weights is None else self.weights.sum())


def detection_losses(
    outputs: TrainingOutputs, targets: Sequence[Target], *, tiny_px: float = 0.0
) -> dict[str, Tensor]:
    """Scalar losses of a batch, each a sum over its images divided by the number of boxes in the batch.

    Args:
        tiny_px: boxes smaller than this are matched and outlined as ``tiny_boxes`` says, and no ignored
            region is smaller than a cell; 0 treats boxes of all sizes alike.

    Returns:
        ``one`` and ``many``: classification under each assignment; ``box``: outlines under both.
    """
    height, width = outputs.boxes.shape[-2:]
    lessons = [
        _lesson(logits, boxes, target, tiny_px=tiny_px)
        for logits, boxes, target in zip(
            outputs.one_logits.detach(), outputs.boxes.detach(), targets, strict=True
        )
    ]
    heat = torch.stack([lesson.heat for lesson in lessons])
    single = torch.stack([lesson.single for lesson in lessons])
    rivals = torch.stack([lesson.rivals for lesson in lessons])[:, None]
    many = focal(outputs.many_logits, heat) * torch.stack([lesson.many_weight for lesson in lessons])
    one = focal_among_rivals(outputs.one_logits, single, rivals)
    one = one * torch.stack([lesson.one_weight for lesson in lessons])

    cells = torch.cat([lesson.cells + index * height * width for index, lesson in enumerate(lessons)])
    drawn = outputs.boxes.permute(0, 2, 3, 1).reshape(-1, 4)[cells]
    box = outline_loss(drawn, torch.cat([lesson.outlines for lesson in lessons]), tiny_px=tiny_px)
    box = box * torch.cat([lesson.outline_weight for lesson in lessons])

    count = max(1, sum(target.mass for target in targets))
    # Each box is outlined under both assignments, which is half of the sum.
    return {
        "one": one.sum() / count,
        "many": many.sum() / count,
        "box": _BOX_WEIGHT * box.sum() / (2 * count),
    }


def depth_distillation(inverse_depth: Tensor, teacher: Tensor) -> Tensor:
    """Mean |log depth - log teacher's depth|, both as inverse depth (B, 1, h, w) of any two sizes."""
    teacher = F.interpolate(teacher, size=inverse_depth.shape[-2:], mode="bilinear", align_corners=False)
    return (inverse_depth.log() - teacher.log()).abs().mean()


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Penalty-reduced focal loss of each element, for targets in [0, 1] where 1 is an object.

    Lin et al., "Focal Loss for Dense Object Detection", 2017, in the form of Zhou et al., "Objects as
    Points", 2019: next to an object, where the target is between 0 and 1, a high score is forgiven.
    """
    probability = torch.sigmoid(logits)
    hit = (1 - probability) ** _FOCUS * F.logsigmoid(logits)
    miss = (1 - target) ** _NEAR_MISS * probability**_FOCUS * F.logsigmoid(-logits)
    return -torch.where(target == 1, hit, miss)


def focal_among_rivals(logits: Tensor, target: Tensor, rivals: Tensor) -> Tensor:
    """Focal loss for targets 0 and 1, but plain cross-entropy where a rival of an object's own cell is 0.

    Rivals are the other cells that the one-to-many branch is taught to take for that object. A score of a
    half there is a vehicle found twice, which focal loss, made for scores that are nearly right by
    themselves, hardly minds.

    Args:
        logits, target: (C, h, w).
        rivals: (h, w) bool.
    """
    return torch.where(rivals & (target == 0), -F.logsigmoid(-logits), focal(logits, target))


class _Lesson(NamedTuple):
    """What one image teaches; none of it takes a gradient.

    Args:
        heat, many_weight: (C, h, w), targets of the one-to-many scores and how much each counts.
        single, one_weight: (C, h, w), the same of the one-to-one scores.
        rivals: (h, w) bool, see ``focal_among_rivals``.
        cells: (K,) flat indices of the cells that outline something, those of both assignments.
        outlines, outline_weight: (K, 4) and (K,), what they outline and how much that counts.
    """

    heat: Tensor
    many_weight: Tensor
    single: Tensor
    one_weight: Tensor
    rivals: Tensor
    cells: Tensor
    outlines: Tensor
    outline_weight: Tensor


@torch.no_grad()
def _lesson(one_logits: Tensor, boxes: Tensor, target: Target, *, tiny_px: float) -> _Lesson:
    num_classes, height, width = one_logits.shape
    counted = ~inside(target.ignored, height=height, width=width, least=STRIDE if tiny_px else 0)

    spread = one_to_many(target.boxes, target.classes, num_classes=num_classes, height=height, width=width)
    around = torch.nonzero(spread.owner.flatten() >= 0).squeeze(1)
    owner = spread.owner.flatten()[around]
    around_weight = spread.weight.flatten()[around]

    cells = one_to_one(target.boxes, target.classes, torch.sigmoid(one_logits), boxes, tiny_px=tiny_px)
    found = torch.nonzero(cells >= 0).squeeze(1)
    centres = cells[found]
    single = torch.zeros(num_classes, height * width, device=boxes.device)
    single[target.classes[found], centres] = 1
    single = single.view(num_classes, height, width)
    centre_weight = torch.ones(len(found), device=boxes.device)

    many_weight = (counted | (spread.heat == 1)).float()
    one_weight = (counted | (single == 1)).float()
    if target.weights is not None:
        around_weight = around_weight * target.weights[owner]
        centre_weight = target.weights[found]
        many_weight = many_weight * _sureness(spread.heat == 1, target, peak_cells(target.boxes, width=width))
        one_weight = one_weight * _sureness(single == 1, target, cells)
    return _Lesson(
        heat=spread.heat,
        many_weight=many_weight,
        single=single,
        one_weight=one_weight,
        rivals=spread.owner >= 0,
        cells=torch.cat((around, centres)),
        outlines=target.boxes[torch.cat((owner, found))],
        outline_weight=torch.cat((around_weight, centre_weight)),
    )


def _sureness(objects: Tensor, target: Target, cells: Tensor) -> Tensor:
    """What each of ``objects`` (C, h, w) weighs, 1 where there is none; of several, the surest.

    Args:
        cells: (N,) flat index of each box's cell, -1 for none.
    """
    assert target.weights is not None
    sure = torch.ones(objects.shape, device=objects.device).flatten(1)
    sure[objects.flatten(1)] = 0
    placed = cells >= 0
    flat = target.classes[placed] * sure.shape[1] + cells[placed]
    sure.view(-1).scatter_reduce_(0, flat, target.weights[placed], reduce="amax")
    return sure.view(objects.shape)
