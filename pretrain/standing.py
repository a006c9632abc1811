"""What moves by itself stands on the ground: it is as far away as the place where it touches it.

A vehicle that drives ahead as fast as the camera shifts in no picture, and so nothing that compares pictures
tells how far away it is; but the road that it touches shifts. (The cue of a person on the ground, Gibson,
"The Perception of the Visual World", 1950.)
"""

from __future__ import annotations

import torch
from torch import Tensor

_TALLEST = 3.0
_LEAST_DROP = 0.5


def depth_of_foot(inverse: Tensor, moving: Tensor, horizon: Tensor) -> Tensor:
    """Inverse depth (N, 1, h, w) of the ground at the foot of what moves; everywhere else, its own.

    A foot is the border to the nearest place straight below that does not move. The ground between there and
    the horizon is taken for a plane, whose inverse depth grows evenly from row to row. What has no foot below
    the horizon, or is farther above it than three times the camera, as no vehicle is, keeps its own.

    Args:
        inverse: (N, 1, h, w).
        moving: (N, 1, h, w) bool.
        horizon: row of the horizon in each picture, (N,), 0 the upper border of the map and h the lower.
    """
    height = inverse.shape[-2]
    rows = torch.arange(height, device=inverse.device).view(-1, 1)
    still = torch.where(moving, height, rows)
    foot = still.flip(-2).cummin(dim=-2).values.flip(-2)
    drop = foot - horizon.view(-1, 1, 1, 1)
    stands = moving & (foot < height) & (drop >= _LEAST_DROP) & (foot - rows <= _TALLEST * drop)
    ground = inverse.gather(-2, foot.clamp(max=height - 1)) * drop / (drop + 0.5)
    return torch.where(stands, ground, inverse)


def standing_error(inverse: Tensor, moving: Tensor, horizon: Tensor) -> Tensor:
    """Mean (scalar) of |log d − log d'| between depth and that of the foot, where it is more likely than not
    that a place moves, by how much more.

    Args:
        inverse: (N, 1, h, w), with a gradient; the ground takes none.
        moving: probability (N, 1, h, w) of moving by itself.
        horizon: (N,), see ``depth_of_foot``.
    """
    ground = depth_of_foot(inverse.detach(), moving > 0.5, horizon)
    sure = (2 * moving.detach() - 1).clamp(min=0)
    return (sure * (inverse.log() - ground.log()).abs()).mean()
