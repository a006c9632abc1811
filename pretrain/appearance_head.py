"""The taught embedding: what a cell of the dense map looks like, told apart from what else is on the road."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from catseye.pretrain.layers import conv_bn_relu


class AppearanceHead(nn.Module):
    """A descriptor of each cell at stride 4 from the encoder's maps at strides 4, 8 and 16.

    Coarse maps see the whole of a near vehicle; the finest tells distant neighbours apart, and has their
    colours. The only 3×3 convolution is at stride 8, so that the smallest detector can afford it.

    Args:
        in_channels: channels of the encoder's maps, finest first.
        dim: length of the descriptor.
        width: channels within.
    """

    def __init__(self, in_channels: Sequence[int], dim: int, width: int) -> None:
        super().__init__()
        self.fine, self.middle, self.coarse = (_lateral(count, width) for count in in_channels[:3])
        self.context = conv_bn_relu(width, width)
        self.out = nn.Conv2d(width, dim, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Describe maps (B, C_i, H / stride_i, W / stride_i) as (B, dim, H / 4, W / 4)."""
        fine, middle, coarse = features[:3]
        around = F.relu(self.middle(middle) + _doubled(self.coarse(coarse)))
        described: Tensor = self.out(F.relu(self.fine(fine) + _doubled(self.context(around))))
        return described


def _lateral(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


def _doubled(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="nearest")
