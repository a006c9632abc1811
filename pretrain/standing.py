"""What moves by itself stands on the ground: it is as far away as the place beneath it.

A vehicle that drives ahead as fast as the camera shifts in no picture, and so nothing that compares pictures
tells how far away it is; but the road that it touches shifts. (The cue of a person on the ground, Gibson,
"The Perception of the Visual World", 1950.)
"""

from __future__ import annotations

import torch
from torch import Tensor


def depth_beneath(inverse: Tensor, moving: Tensor) -> Tensor:
    """Inverse depth (N, 1, h, w) of the nearest place straight below that does not move, or of itself.

    Where all that is below moves too, down to the border, nothing is known: the place keeps its own.

    Args:
        inverse: (N, 1, h, w).
        moving: (N, 1, h, w) bool.
    """
    height = inverse.shape[-2]
    rows = torch.arange(height, device=inverse.device).view(-1, 1)
    still = torch.where(moving, height, rows)
    below = still.flip(-2).cummin(dim=-2).values.flip(-2)
    return inverse.gather(-2, torch.where(below == height, rows, below))


def standing_error(inverse: Tensor, moving: Tensor) -> Tensor:
    """Mean (scalar) of |log d − log d'| between depth and ``depth_beneath``, where it is more likely than not
    that a place moves, by how much more.

    Args:
        inverse: (N, 1, h, w), with a gradient; what is beneath takes none.
        moving: probability (N, 1, h, w) of moving by itself.
    """
    beneath = depth_beneath(inverse.detach(), moving > 0.5)
    sure = (2 * moving.detach() - 1).clamp(min=0)
    return (sure * (inverse.log() - beneath.log()).abs()).mean()
