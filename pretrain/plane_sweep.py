"""Depth by trying: which of many fronto-parallel planes explains each place of a picture best.

Gradients of a photometric error reach as far as a picture's texture is smooth, a pixel or two; from a first
guess of depth the near road and what stands beside it are farther away than that. Trying every depth has no
such reach, and what it finds, where it explains the picture better than the network does, is a hint for the
network. (Plane sweeps: Collins, "A Space-Sweep Approach to True Multi-Image Matching", CVPR 1996; hints:
Watson et al., "Self-Supervised Monocular Depth Hints", ICCV 2019.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from catseye.pretrain.photometric import (
    NEAREST_Z,
    Views,
    backproject,
    dissimilarity_to,
    picture_bounds,
    pixels_within,
    warp,
)
from catseye.pretrain.ssim import Moments, moments
from catseye.pretrain.windows import window_sum

_PLANES = 24
_MARGIN = 0.02
_NO_VIEW = 1.0


class Hint(NamedTuple):
    """What a sweep found, both (N, 1, H, W): depth, and where it is to be believed, a bool."""

    depth: Tensor
    believed: Tensor


@torch.no_grad()
def sweep(views: Views, guess: Tensor, *, nearest: Tensor, farthest: Tensor) -> Hint:
    """Depth of the best plane at each place, believed where it explains more than a guess and standing still.

    What moves along with the camera, and what is so far away that it does not shift, looks best standing
    still: of that a sweep knows nothing.

    Args:
        guess: depth so far, (N, 1, H, W).
        nearest, farthest: depths (N,) between which the planes lie, evenly in their logarithm.
    """
    scene = _prepared(views)
    best = torch.full_like(views.unmoved, torch.inf)
    depth = torch.ones_like(best)
    for step in range(_PLANES):
        share = step / (_PLANES - 1)
        plane = torch.exp(torch.lerp(nearest.log(), farthest.log(), share)).view(-1, 1, 1, 1)
        error = _blurred(_common_error(plane, scene), scene)
        depth = torch.where(error < best, plane, depth)
        best = torch.minimum(best, error)
    known = torch.minimum(_blurred(_common_error(guess, scene), scene), _blurred(views.unmoved, scene))
    return Hint(depth, best < known - _MARGIN)


def hint_error(depth: Tensor, hint: Hint) -> Tensor:
    """Mean (scalar) of |log depth − log hint| where the hint is believed, 0 elsewhere; depth (N, 1, H, W)."""
    missed = (depth.log() - hint.depth.log()).abs()
    return (missed * hint.believed).mean()


class _Scene(NamedTuple):
    """What is the same for every depth, of S sources of N targets.

    A place whose ray has depth d is in the camera of a source at d · ``rays`` + ``shifts``, x and y in units
    of which the frame spans 2. Divided by d, which is all that a picture tells, that is one addition.

    Args:
        sources: (S, N, C, H, W).
        target: of (N, C, H, W).
        rays: (S, N, 3, H, W).
        shifts: (S, N, 3, 1, 1).
        centre: (N, 2, 1, 1), where the frame has the camera's axis.
        low, high: (N or 1, 2, 1, 1), see ``picture_bounds``.
        shown: (N, 1, H, W), see ``pixels_within``.
    """

    sources: Tensor
    target: Moments
    rays: Tensor
    shifts: Tensor
    centre: Tensor
    low: Tensor
    high: Tensor
    shown: Tensor


def _prepared(views: Views) -> _Scene:
    focal, centre = torch.split(2 * views.intrinsics, 2, dim=1)
    scale = torch.cat((focal, torch.ones_like(focal[:, :1])), dim=1)[..., None]
    points = backproject(torch.ones_like(views.unmoved), views.intrinsics).flatten(2)
    rays = scale * (views.transforms[..., :3, :3] @ points)
    low, high = picture_bounds(views.picture, views.target)
    return _Scene(
        sources=views.sources,
        target=moments(views.target),
        rays=torch.unflatten(rays, -1, views.target.shape[-2:]),
        shifts=(scale * views.transforms[..., :3, 3:])[..., None],
        centre=(centre - 1)[..., None, None],
        low=low[..., None, None],
        high=high[..., None, None],
        shown=pixels_within(views.target, views.picture),
    )


def _common_error(depth: Tensor, scene: _Scene) -> Tensor:
    """Mean dissimilarity (N, 1, H, W) over the sources that see a place, infinite where none does.

    The best source alone would do for a wrong plane: among so many, one or another shows something alike by
    chance. It is less likely that all do.

    Args:
        depth: (N, 1, H, W), or (N, 1, 1, 1) of a plane.
    """
    moved = scene.rays + scene.shifts / depth
    nearest = NEAREST_Z / depth
    ahead = moved[..., 2:, :, :]
    places = moved[..., :2, :, :] / torch.maximum(ahead, nearest) + scene.centre
    inside = (places >= scene.low) & (places <= scene.high)
    seen = inside[..., :1, :, :] & inside[..., 1:, :, :] & (ahead > nearest) & scene.shown
    view = warp(scene.sources, places.movedim(-3, -1))
    count = seen.sum(dim=0)
    mean = (dissimilarity_to(scene.target, view) * seen).sum(dim=0) / count.clamp(min=1)
    return torch.where(count > 0, mean, torch.inf)


def _blurred(error: Tensor, scene: _Scene) -> Tensor:
    """Mean over a window, in which what no source sees counts as wholly unlike."""
    return window_sum(torch.where(error.isfinite(), error, _NO_VIEW)) * scene.target.share
