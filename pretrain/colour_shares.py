"""Soft histograms of colours: how much of a pixel lies in each bin, in plain arithmetic."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_BRIGHTNESSES, _HUES = 10, 5
_CONTRAST = 3.0

COLOURS = _BRIGHTNESSES + _HUES**2
"""How many bins there are."""


def colour_shares(rgb: Tensor) -> Tensor:
    """Shares of the bins of brightness, and of those of two opponent colours together.

    A pixel between the middles of two bins is shared by them, so that a little more light moves a little of
    it. The opponent colours, red against blue and green against both, are stretched threefold about grey,
    since few vehicles are painted in pure ones.

    Args:
        rgb: (B, 3, H, W) in [0, 1].

    Returns:
        (B, COLOURS, H, W) float32; those of brightness sum to 1, and those of colour.
    """
    red, green, blue = (rgb[:, channel : channel + 1].float() for channel in range(3))
    brightness = (red + green + blue) / 3
    across = _CONTRAST * (red - blue) + 0.5
    along = _CONTRAST * (green - (red + blue) / 2) + 0.5
    first, second = _shares(across, _HUES), _shares(along, _HUES)
    both = torch.cat([first[:, bin_ : bin_ + 1] * second for bin_ in range(_HUES)], dim=1)
    return torch.cat([_shares(brightness, _BRIGHTNESSES), both], dim=1)


def _shares(values: Tensor, bins: int) -> Tensor:
    """(B, bins, H, W) of values (B, 1, H, W), of which what lies beyond 0 and 1 belongs to the outer bins."""
    middles = torch.arange(bins, dtype=torch.float32, device=values.device).view(1, -1, 1, 1)
    off = (bins - 1) * values.clamp(0, 1) - middles
    return F.relu(torch.minimum(1 - off, 1 + off))
