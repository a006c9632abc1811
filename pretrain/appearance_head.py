"""The taught embedding: what a cell of the dense map looks like, told apart from what else is on the road."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AppearanceHead(nn.Module):
    """A descriptor of each cell at stride 4, from the picture and the encoder's maps at strides 4, 8 and 16.

    Coarse maps see the whole of a near vehicle, the finest tells distant neighbours apart. The picture itself
    is there for its colours, which an encoder that has learned to detect in any light has mostly given up.
    All 3×3 convolutions are at stride 8, so that the smallest detector can afford them.

    Args:
        in_channels: channels of the encoder's maps, finest first.
        dim: length of the descriptor.
        width: channels within; a quarter of them for colours.
    """

    def __init__(self, in_channels: Sequence[int], dim: int, width: int) -> None:
        super().__init__()
        colours = max(1, width // 4)
        self.colours = _conv_bn(3, colours, 4, stride=4)
        self.wide_colours = _conv_bn(colours, width, 3, stride=2)
        self.fine = _conv_bn(in_channels[0] + colours, width, 1)
        self.middle = _conv_bn(in_channels[1], width, 1)
        self.coarse = _conv_bn(in_channels[2], width, 1)
        self.context = _conv_bn(width, width, 3)
        self.out = nn.Conv2d(width, dim, 1)

    def forward(self, rgb: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Describe pictures (B, 3, H, W) in [0, 1] with maps (B, C_i, H / stride_i, W / stride_i).

        Returns:
            (B, dim, H / 4, W / 4).
        """
        fine, middle, coarse = features[:3]
        colours = F.relu(self.colours(rgb))
        around = F.relu(self.wide_colours(colours) + self.middle(middle) + _doubled(self.coarse(coarse)))
        here = self.fine(torch.cat([fine, colours], dim=1)) + _doubled(F.relu(self.context(around)))
        described: Tensor = self.out(F.relu(here))
        return described


def _conv_bn(inputs: int, outputs: int, size: int, *, stride: int = 1) -> nn.Sequential:
    padding = 1 if size == 3 else 0
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=padding, bias=False), nn.BatchNorm2d(outputs)
    )


def _doubled(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="nearest")
