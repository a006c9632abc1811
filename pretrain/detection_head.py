"""From encoder maps to dense detections: a top-down neck and one anchor-free head at stride 4.

One map at stride 4 serves every size of vehicle, since in a dashcam's frame most are about ten pixels tall.
The head scores each cell twice. The *one-to-many* scores are taught that every cell near a vehicle's centre
is that vehicle, which trains the features fast; the *one-to-one* scores, taught that exactly one cell is, are
what is used afterwards, and so nothing has to be suppressed (dual assignment: Wang et al., "YOLOv10", 2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catseye.pretrain.layers import conv_bn_relu

STRIDE = 4
"""Network pixels a cell of the dense map."""

NECK_CHANNELS = 64
"""Width of neck and head where nothing else is said."""

_PRIOR = 0.01
_LARGEST_LOG_CELLS = 6.0
_WINDOWS = (3, 3, 5)  # each over the one before it: best of 3, 5 and 9 cells across
_RIVALRY = (3.0, 0.3, 0.3)


class HeadOutputs(NamedTuple):
    """What the head says of each cell.

    Args:
        one_logits, many_logits: (B, C, h, w) class logits under one-to-one and one-to-many assignment.
        boxes: (B, 4, h, w) float32 corners x1 y1 x2 y2 in network pixels.
    """

    one_logits: Tensor
    many_logits: Tensor
    boxes: Tensor


class TrainingOutputs(NamedTuple):
    """What is needed to teach the detector; see ``HeadOutputs`` for the first three.

    ``inverse_depth`` is (b, 1, h, w), the inverse of canonical depth, of the first b pictures only.
    """

    one_logits: Tensor
    many_logits: Tensor
    boxes: Tensor
    inverse_depth: Tensor | None


class Neck(nn.Module):
    """Sum the encoder's maps from the coarsest to the finest (feature pyramid: Lin et al., 2017).

    Args:
        in_channels: channels of the maps at strides 4, 8, 16 and 32.
        channels: channels of the result (B, channels, H / 4, W / 4).
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(count, channels, 1) for count in in_channels)
        self.merges = nn.ModuleList(conv_bn_relu(channels, channels) for _ in in_channels[:-1])

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x: Tensor = self.laterals[-1](features[-1])
        for level in reversed(range(len(self.merges))):
            lateral = self.laterals[level](features[level])
            x = self.merges[level](F.interpolate(x, scale_factor=2.0, mode="nearest") + lateral)
        return x


class Head(nn.Module):
    """Class logits and a box for each cell of a map (B, channels, h, w) at ``STRIDE``."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.tower = nn.Sequential(conv_bn_relu(channels, channels), conv_bn_relu(channels, channels))
        self.many = _predictor(channels, classes, bias=-math.log(1 / _PRIOR - 1))
        self.choice = conv_bn_relu(channels, channels)
        self.one = _predictor(channels, classes, bias=0.0)
        self.rivalry = _predictor(channels, len(_WINDOWS), bias=_RIVALRY)
        self.distances = _predictor(channels, 4, bias=math.log(2.0))

    def forward(self, x: Tensor) -> HeadOutputs:
        x = self.tower(x)
        many_logits = self.many(x)
        # The one-to-one scores begin as the one-to-many ones, less what better neighbours have on them, and
        # learn only what is left: which of the cells that answer to a vehicle speaks for it. (A maximum over
        # neighbours within the head: Wang et al., "End-to-End Object Detection with Fully Convolutional
        # Network", 2021.) How much each neighbourhood counts is decided cell by cell, since what is one
        # near vehicle in one place is a row of distant ones in another. These scores do not teach the
        # one-to-many branch, whose aim is another.
        answer = many_logits.detach()
        context = self.choice(x)
        one_logits = answer + self.one(context)
        rivalry = F.softplus(self.rivalry(context))
        best = answer
        for index, window in enumerate(_WINDOWS):
            best = F.max_pool2d(best, window, stride=1, padding=window // 2)
            one_logits = one_logits + rivalry[:, index : index + 1] * (answer - best)
        return HeadOutputs(one_logits, many_logits, boxes_from_distances(self.distances(x)))


def boxes_from_distances(log_distances: Tensor) -> Tensor:
    """Boxes (B, 4, h, w) float32 in pixels from log distances, in cells, to left, top, right and bottom."""
    cells = torch.exp(log_distances.float().clamp(max=_LARGEST_LOG_CELLS))
    left, top, right, bottom = (cells * STRIDE).unbind(1)
    x, y = cell_centres(cells.shape[-2], cells.shape[-1], device=cells.device)
    return torch.stack([x - left, y - top, x + right, y + bottom], dim=1)


def cell_centres(height: int, width: int, *, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Pixel coordinates of the centres of a map's cells: x (1, width) and y (height, 1), float32."""
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * STRIDE
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * STRIDE
    return x[None, :], y[:, None]


def _predictor(in_channels: int, out_channels: int, *, bias: float | Sequence[float]) -> nn.Conv2d:
    layer = nn.Conv2d(in_channels, out_channels, 1)
    nn.init.normal_(layer.weight, std=0.01)
    layer.bias = nn.Parameter(torch.tensor(bias).expand(out_channels).clone())
    return layer
