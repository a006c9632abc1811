"""The taught embedding: what the vehicle at a cell looks like, told apart from what else is on the road."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catseye.pretrain.colour_shares import COLOURS, colour_shares

_WINDOW = 0.7
_WIDTHS = (4.0, 12.0, 24.0, 48.0, 96.0)
_LEAST_SHARE = 1e-4
_LEARNED = 0.42
"""Length of the learned part beside that of the roots, √2. Left to training it grows to three times as much,
which knows the vehicles that it was taught with best, and others worse."""


class AppearanceHead(nn.Module):
    """A descriptor of each cell at stride 4: the colours and features of its box, as far as windows fit it.

    A single cell says little of a vehicle, whose paint, windows and wheels lie in many. So each cell is given
    the mean of its surroundings over a window of a little less than the shorter side of the box that the
    detector has for it. Of the shares of colours there, roots are taken, whose product is Bhattacharyya's
    coefficient: that much knows vehicles before anything is learned. Beside it lies what is learned, from the
    same and from the encoder's finest map, to set right what colours confuse. Coarser maps know the place
    rather than the vehicle.

    Args:
        in_channels: channels of the encoder's finest map.
        dim: length of the learned part.
        width: channels of what the encoder sees.
    """

    def __init__(self, in_channels: int, dim: int, width: int) -> None:
        super().__init__()
        self.seen = nn.Sequential(nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width))
        self.standardise = nn.BatchNorm2d(COLOURS + width, affine=False)
        self.learned = nn.Conv2d(COLOURS + width, dim, 1)

    def forward(self, rgb: Tensor, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Describe pictures (B, 3, H, W) in [0, 1].

        Args:
            rgb: the pictures.
            features: the encoder's maps, the finest (B, in_channels, H / 4, W / 4) first.
            boxes: (B, 4, H / 4, W / 4) corners x1 y1 x2 y2 in pixels, the detector's of each cell.

        Returns:
            (B, COLOURS + dim, H / 4, W / 4).
        """
        seen = F.relu(self.seen(features[0]))
        # Every second pixel as it is: the mean of four would be a colour that none of them has.
        colours = F.avg_pool2d(colour_shares(rgb[..., ::2, ::2]), 2).to(seen.dtype)
        around = mean_around(torch.cat([colours, seen], dim=1), _WINDOW * shorter_sides(boxes))
        roots = torch.sqrt(around[:, :COLOURS].float() + _LEAST_SHARE)
        known = self.standardise(torch.cat([roots, around[:, COLOURS:].float()], dim=1))
        learned = F.normalize(self.learned(known), dim=1, eps=1e-6)
        return torch.cat([roots, _LEARNED * learned], dim=1)


def shorter_sides(boxes: Tensor) -> Tensor:
    """(B, 1, h, w) of corners (B, 4, h, w)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return torch.minimum(sides[:, :1], sides[:, 1:])


def mean_around(maps: Tensor, widths: Tensor) -> Tensor:
    """The mean of maps at stride 4 over a window of its own about each cell.

    Means over windows of five widths come from average pooling; each cell mixes the two next to its own.

    Args:
        maps: (B, C, h, w), h and w multiples of 8.
        widths: (B, 1, h, w) of the windows in pixels; taken for 4 to 96.
    """
    mixed, pooled = maps, maps
    for narrow, wide in pairwise(_WIDTHS):
        if narrow > _WIDTHS[0]:
            pooled = F.avg_pool2d(pooled, 2)
        window = F.avg_pool2d(pooled, 3, stride=1, padding=1, count_include_pad=False)
        window = F.interpolate(window, size=list(maps.shape[-2:]), mode="nearest")
        share = ((widths - narrow) / (wide - narrow)).clamp(0, 1).to(maps.dtype)
        mixed = mixed + share * (window - mixed)
    return mixed
