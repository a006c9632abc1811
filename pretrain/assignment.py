"""Which cells answer for which box, while teaching the detector. Pure functions of one image's boxes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from catseye.pretrain.detection_head import STRIDE, cell_centres
from catseye.pretrain.tiny_boxes import box_similarity

_SPREAD = 0.1
_SMALLEST_SIGMA = 0.5 * STRIDE
_SMALLEST_HEAT = 0.1
_CENTRE = 0.25
_SMALLEST_REACH = 1.0 * STRIDE
_IOU_SHARE = 0.5
_BOXES_AT_ONCE = 1024


class Heat(NamedTuple):
    """One-to-many targets.

    Args:
        heat: (C, h, w) in [0, 1]; 1 at the cell of each box's centre, falling off around it.
        owner: (h, w) int64, the box that a cell near a centre learns to outline, or -1.
        weight: (h, w), how much it counts; the weights of one box sum to 1.
    """

    heat: Tensor
    owner: Tensor
    weight: Tensor


def one_to_many(boxes: Tensor, classes: Tensor, *, num_classes: int, height: int, width: int) -> Heat:
    """Spread each box over the cells around its centre, as a Gaussian of its own width and height.

    Zhou et al., "Objects as Points", 2019, with the weighted neighbours of Liu et al.,
    "Training-Time-Friendly Network", 2020. Where two boxes meet, a cell belongs to the one it is the more
    central to.

    Args:
        boxes: (N, 4) float32 corners in network pixels.
        classes: (N,) int64.
        num_classes, height, width: C, h and w of the map.
    """
    device = boxes.device
    heat = torch.zeros(num_classes, height, width, device=device)
    if not len(boxes):
        owner = torch.full((height, width), -1, dtype=torch.int64, device=device)
        return Heat(heat, owner, torch.zeros(height, width, device=device))
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    # The peak sits on a cell, so that every box has one cell of heat 1 whatever its size.
    peak = (torch.floor(centre / STRIDE) + 0.5) * STRIDE
    sigma = ((boxes[:, 2:] - boxes[:, :2]) * _SPREAD).clamp(min=_SMALLEST_SIGMA)
    x, y = cell_centres(height, width, device=device)
    dx = (x - peak[:, 0, None, None]) / sigma[:, 0, None, None]
    dy = (y - peak[:, 1, None, None]) / sigma[:, 1, None, None]
    gaussians = torch.exp(-(dx**2 + dy**2) / 2)
    for index in range(num_classes):
        of_class = gaussians[classes == index]
        if len(of_class):
            heat[index] = of_class.amax(dim=0)
    strongest, owner = gaussians.max(dim=0)
    owner = torch.where(strongest >= _SMALLEST_HEAT, owner, -1)
    owned = owner == torch.arange(len(boxes), device=device)[:, None, None]
    mass = (gaussians * owned).sum(dim=(1, 2)).clamp(min=_SMALLEST_HEAT)
    weight = torch.where(owner >= 0, strongest / mass[owner.clamp(min=0)], 0.0)
    return Heat(heat, owner, weight)


def peak_cells(boxes: Tensor, *, width: int) -> Tensor:
    """(N,) int64 flat index of the cell that each box's centre is in, on a map of that width."""
    column, row = torch.floor((boxes[:, :2] + boxes[:, 2:]) / 2 / STRIDE).long().unbind(1)
    return row * width + column


def one_to_one(
    boxes: Tensor, classes: Tensor, probabilities: Tensor, predicted: Tensor, *, tiny_px: float = 0.0
) -> Tensor:
    """Choose one cell for each box, no cell twice: the one that already answers best.

    A cell near the box's centre competes with p^0.5 · IoU^0.5 of its class probability and its own box, after
    Wang et al., "End-to-End Object Detection with Fully Convolutional Network", 2021. Their exponents are 0.2
    and 0.8; with more weight on p the choice stays where it was among the many cells that outline a near
    vehicle equally well. The best pair of box and cell is settled first, then the next.

    Args:
        boxes: (N, 4) float32 corners in network pixels.
        classes: (N,) int64.
        probabilities: (C, h, w).
        predicted: (4, h, w) the cells' boxes.
        tiny_px: see ``box_similarity``, which stands in for the IoU.

    Returns:
        (N,) int64 flat cell indices; -1 where all cells near a box were taken.
    """
    height, width = predicted.shape[-2:]
    chosen = torch.full((len(boxes),), -1, dtype=torch.int64)
    if not len(boxes):
        return chosen.to(boxes.device)
    similarity = box_similarity(boxes, predicted.flatten(1).T, tiny_px=tiny_px)
    quality = probabilities.flatten(1)[classes] ** (1 - _IOU_SHARE) * similarity**_IOU_SHARE
    near = _near_centre(boxes, height, width)
    rows, cells = torch.nonzero(near, as_tuple=True)
    order = torch.argsort(quality[rows, cells], descending=True, stable=True)
    taken: set[int] = set()
    for row, cell in zip(rows[order].tolist(), cells[order].tolist(), strict=True):
        if chosen[row] < 0 and cell not in taken:
            chosen[row] = cell
            taken.add(cell)
    return chosen.to(boxes.device)


def inside(boxes: Tensor, *, height: int, width: int, least: float = 0.0) -> Tensor:
    """Cells whose centre is in any of the boxes (N, 4), none taken as smaller than ``least``: (h, w) bool."""
    x, y = cell_centres(height, width, device=boxes.device)
    if least:
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        half = ((boxes[:, 2:] - boxes[:, :2]) / 2).clamp(min=least / 2)
        boxes = torch.cat((centre - half, centre + half), dim=1)
    covered = torch.zeros(height, width, dtype=torch.bool, device=boxes.device)
    for part in torch.split(boxes, _BOXES_AT_ONCE):
        left, top, right, bottom = part[:, :, None, None].unbind(1)
        covered |= ((x >= left) & (x < right) & (y >= top) & (y < bottom)).any(dim=0)
    return covered


def _near_centre(boxes: Tensor, height: int, width: int) -> Tensor:
    """(N, h·w) bool: the middle half of each box, and never less than the cells around its centre."""
    x, y = cell_centres(height, width, device=boxes.device)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    reach = ((boxes[:, 2:] - boxes[:, :2]) * _CENTRE).clamp(min=_SMALLEST_REACH)
    near_x = (x - centre[:, 0, None, None]).abs() <= reach[:, 0, None, None]
    near_y = (y - centre[:, 1, None, None]).abs() <= reach[:, 1, None, None]
    return (near_x & near_y).flatten(1)
