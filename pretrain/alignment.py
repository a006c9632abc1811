"""Registering two pictures directly: the camera's motion under which one explains the other best.

Gauss-Newton on the photometric error over the six parameters of the motion, with the depth of one picture
given (Kerl et al., "Robust Odometry Estimation for RGB-D Cameras", ICRA 2013; in the training of depth, Wang
et al., "Learning Depth from Monocular Videos using Direct Methods", CVPR 2018). No gradient passes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.pretrain.photometric import backproject, pixels_within, project, warp
from catseye.pretrain.pose import rigid_transform

_ITERATIONS = 3
_ROBUST = 0.02
_DAMPING = 0.01
_NEAREST_Z = 0.1
_LEAST_SEEN = 0.3


@torch.no_grad()
def align(
    target: Tensor,
    source: Tensor,
    depth: Tensor,
    start: Tensor,
    intrinsics: Tensor,
    picture: Tensor | None = None,
) -> Tensor:
    """Transforms (N, 4, 4) from target to source camera that agree with the pictures, from near ``start`` on.

    Where the steps do not lessen the error, the start is returned.

    Args:
        target, source: (N, 3, H, W).
        depth: of the target, (N, 1, H, W).
        start: (N, 4, 4).
        intrinsics: (N, 4), normalised.
        picture: (N, 4), where frames have margins, see ``photometric.picture_bounds``.
    """
    grey = source.mean(dim=1, keepdim=True)
    pair = _Pair(
        target=target.mean(dim=1, keepdim=True),
        source=torch.cat((grey, *_slopes(grey)), dim=1),
        points=backproject(depth, intrinsics),
        shown=pixels_within(target, picture),
        intrinsics=intrinsics,
        picture=picture,
    )
    transform, best, least = start, start, torch.full_like(start[:, 0, 0], torch.inf)
    for _ in range(_ITERATIONS):
        residual, jacobian, weight = _linearised(pair, transform)
        error = _mean_error(residual, weight)
        best = torch.where((error < least)[:, None, None], transform, best)
        least = torch.minimum(error, least)
        weighted = jacobian * weight
        normal = weighted @ jacobian.transpose(1, 2)
        damping = torch.diag_embed(normal.diagonal(dim1=1, dim2=2) * _DAMPING + 1e-6)
        # A step that is no number is refused below, by its error.
        step = torch.linalg.solve_ex(normal + damping, -weighted @ residual.transpose(1, 2)).result
        transform = rigid_transform(step[..., 0]) @ transform
    residual, _, weight = _linearised(pair, transform)
    return torch.where((_mean_error(residual, weight) < least)[:, None, None], transform, best)


class _Pair(NamedTuple):
    """What is registered: the target in grey (N, 1, H, W), the source in grey with its slopes by x and by y
    (N, 3, H, W), the target's camera points (N, 3, H, W) and which of its pixels count (N, 1, H, W)."""

    target: Tensor
    source: Tensor
    points: Tensor
    shown: Tensor
    intrinsics: Tensor
    picture: Tensor | None


def _linearised(pair: _Pair, transform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Residuals (N, 1, P), their derivatives (N, 6, P) by a further small motion, and weights (N, 1, P).

    A weight makes the square of a large residual count like its absolute value, which lets what moves by
    itself count less; out of view it is 0.
    """
    height, width = pair.target.shape[-2:]
    focal = pair.intrinsics[:, :2] * pair.intrinsics.new_tensor([width, height])
    seen = project(pair.points, transform, pair.intrinsics, pair.picture)
    value, slope_x, slope_y = warp(pair.source, seen.grid).flatten(2).chunk(3, dim=1)
    inside = (seen.inside & pair.shown).flatten(2)
    residual = value - pair.target.flatten(2)
    # The exposure may differ.
    residual = residual - (residual * inside).sum(2, keepdim=True) / inside.sum(2, keepdim=True).clamp(min=1)
    moved = torch.baddbmm(transform[:, :3, 3:], transform[:, :3, :3], pair.points.flatten(2))
    z = moved[:, 2:].clamp(min=_NEAREST_Z)
    x, y = moved[:, :1] / z, moved[:, 1:2] / z
    by_x, by_y = slope_x * focal[:, :1, None], slope_y * focal[:, 1:, None]
    inward = x * by_x + y * by_y
    jacobian = torch.cat(
        (
            -y * inward - by_y,
            x * inward + by_x,
            x * by_y - y * by_x,
            by_x / z,
            by_y / z,
            -inward / z,
        ),
        dim=1,
    )
    return residual, jacobian, inside / residual.abs().clamp(min=_ROBUST)


def _mean_error(residual: Tensor, weight: Tensor) -> Tensor:
    """Over what is in view, (N,); infinite where that is too little to be believed."""
    seen = (weight > 0).sum(dim=(1, 2))
    mean = (weight * residual.square()).sum(dim=(1, 2)) / seen.clamp(min=1)
    return torch.where(seen >= _LEAST_SEEN * weight.shape[-1], mean, torch.inf)


def _slopes(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences of (N, 1, H, W) by x and by y, per pixel."""
    padded = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return x, y
