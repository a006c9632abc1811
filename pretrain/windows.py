"""Sums over the 3×3 windows of maps, by additions alone, and the share that makes means of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def window_sum(maps: Tensor) -> Tensor:
    """Sum over the 3×3 windows of maps (…, H, W), zero beyond the border; of the same shape."""
    rows = F.pad(maps, (0, 0, 1, 1))
    rows = rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]
    columns = F.pad(rows, (1, 1))
    return columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]


def window_share(maps: Tensor) -> Tensor:
    """What a pixel counts in the mean of a window, (H, W): a ninth, and more where the border cuts it."""
    return 1 / window_sum(torch.ones_like(maps[(0,) * (maps.ndim - 2)]))
