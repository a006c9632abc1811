"""Depthwise convolutions under autocast on a processor: in float32, for which it has fast gradients."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn


class DepthwiseConv2d(nn.Conv2d):
    """A convolution of each channel by itself; on a processor, autocast leaves it in float32.

    With bfloat16, oneDNN has no fast gradient of one whose kernel or stride is not the commonest, and falls
    back on a reference that takes up to fifty times as long. There is no matrix product to be gained by it.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        under_autocast = input.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False) if under_autocast else nullcontext():
            x = input.float() if under_autocast else input
            y: Tensor = super()._conv_forward(x, weight, bias)
        return y.to(input.dtype)


def quicken_depthwise(network: nn.Module) -> None:
    """Have every depthwise convolution of a network computed so; its weights and their names stay."""
    for module in network.modules():
        if type(module) is nn.Conv2d and 1 < module.groups == module.in_channels:
            module.__class__ = DepthwiseConv2d
