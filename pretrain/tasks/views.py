"""Two views of a clip for the methods that learn from pairs of pictures, and their projection.

A clip is the sample: its views are crops of two of its frames, so that time is an augmentation beside crop,
mirror and jitter (Qian et al., "Spatiotemporal Contrastive Video Representation Learning", CVPR 2021).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catseye.errors import MissingExtraError
from catseye.pretrain.tasks.task import Encoded

_AREA = (0.2, 1.0)
_ASPECT = (3 / 4, 4 / 3)
_HIDDEN, _PROJECTED = 512, 128


def lightly_loss(name: str, **options: Any) -> nn.Module:
    """A loss of lightly's by its name.

    Raises:
        MissingExtraError: lightly is not installed.
    """
    try:
        from lightly import loss
    except ImportError:
        raise MissingExtraError("lightly", "compare") from None
    made: nn.Module = getattr(loss, name)(**options)
    return made


class Projector(nn.Module):
    """Mean over places, then two layers: (N, C, h, w) to (N, 128).

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, _HIDDEN, bias=False),
            nn.BatchNorm1d(_HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(_HIDDEN, _PROJECTED),
        )

    def forward(self, maps: Tensor) -> Tensor:
        projected: Tensor = self.layers(maps.mean(dim=(2, 3)))
        return projected.float()


def two_views(encoded: Encoded) -> tuple[list[Tensor], list[Tensor]]:
    """The encoder's maps of both views of each clip, (B, C, h, w) by stride, in one pass."""
    count, frames = encoded.clean.shape[:2]
    device = encoded.clean.device
    pairs = torch.rand(count, frames, device=device).argsort(dim=1)[:, :2]
    chosen = encoded.clean[torch.arange(count, device=device)[:, None], pairs]
    maps = encoded.encode(encoded.jitter(random_crops(chosen.transpose(0, 1).flatten(0, 1))))
    return [level[:count] for level in maps], [level[count:] for level in maps]


def random_crops(pictures: Tensor) -> Tensor:
    """A crop of each of (N, 3, H, W), at the same size again, half of them mirrored.

    Area and aspect as in Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, the area from a fifth.
    """
    count, device = len(pictures), pictures.device

    def draw(low: float, high: float) -> Tensor:
        return torch.empty(count, device=device).uniform_(low, high)

    area, aspect = draw(*_AREA), draw(math.log(_ASPECT[0]), math.log(_ASPECT[1])).exp()
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    zero = torch.zeros(count, device=device)
    x, y = draw(-1, 1) * (1 - width), draw(-1, 1) * (1 - height)
    rows = (torch.stack((width * mirror, zero, x), dim=1), torch.stack((zero, height, y), dim=1))
    grid = F.affine_grid(torch.stack(rows, dim=1), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
