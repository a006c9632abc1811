"""Pictures with structure everywhere, for tests that compare places."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MARGIN = 32


def texture(height: int, width: int, *, seed: int = 0) -> Tensor:
    """A smooth random picture (1, 3, height, width + 64): wider than a frame by ``MARGIN`` on either side."""
    shape = (1, 3, height // 4, (width + 2 * MARGIN) // 4)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(height, width + 2 * MARGIN), mode="bicubic", align_corners=False).clamp(
        0, 1
    )
