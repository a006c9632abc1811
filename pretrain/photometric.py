"""Differentiable view synthesis, and how well a synthesised view agrees with the real one. All in float32.

Camera frame: x right, y down, z forward, metres (or any unit). Pixels: (0, 0) is the corner of the first one,
so that intrinsics divided by the image size hold at every resolution.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.pretrain.ssim import Moments, similarity, structural_similarity

NEAREST_Z = 1e-2
"""What is no farther ahead of a camera than this counts as behind it."""

_SSIM_WEIGHT = 0.85
_TIE_BREAK = 1e-5


def backproject(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Camera points (N, 3, H, W) of a depth map (N, 1, H, W).

    Args:
        intrinsics: (N, 4) as fx/W, fy/H, cx/W, cy/H.
    """
    height, width = depth.shape[-2:]
    u = (torch.arange(width, device=depth.device, dtype=depth.dtype) + 0.5) / width
    v = (torch.arange(height, device=depth.device, dtype=depth.dtype) + 0.5) / height
    fx, fy, cx, cy = (column.view(-1, 1, 1, 1) for column in intrinsics.unbind(1))
    x = (u.view(1, 1, 1, -1) - cx) / fx * depth
    y = (v.view(1, 1, -1, 1) - cy) / fy * depth
    return torch.cat((x, y, depth), dim=1)


class Projection(NamedTuple):
    """Where points fall: ``grid`` (…, N, H, W, 2), the frame spanning [-1, 1], and whether that is ``inside``
    the frame's picture, (…, N, 1, H, W)."""

    grid: Tensor
    inside: Tensor


def project(
    points: Tensor, transform: Tensor, intrinsics: Tensor, picture: Tensor | None = None
) -> Projection:
    """Move points (N, 3, H, W) by (…, N, 4, 4) transforms and project them by (N, 4) normalised intrinsics.

    Args:
        picture: see ``picture_bounds``; the whole frame where None.
    """
    moved = transform[..., :3, :3] @ points.flatten(2) + transform[..., :3, 3:]
    x, y, z = moved.unbind(-2)
    in_front = z > NEAREST_Z
    z = z.clamp(min=NEAREST_Z)
    fx, fy, cx, cy = (column.view(-1, 1) for column in intrinsics.unbind(1))
    grid = torch.stack((2 * (fx * x / z + cx) - 1, 2 * (fy * y / z + cy) - 1), dim=-1)
    # Far outside, a coordinate says nothing more and its square would overflow in the backward pass.
    grid = torch.unflatten(grid.clamp(-2, 2), -2, points.shape[-2:])
    inside = torch.unflatten(in_front, -1, points.shape[-2:]) & _within(grid.detach(), picture)
    return Projection(grid, inside.unsqueeze(-3))


def picture_bounds(picture: Tensor | None, maps: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest and the highest place (…, 2), x and y, of what of frames is picture, the frame spanning
    [-1, 1].

    Margins that a frame has around its picture stand still whatever the camera does: they would have what is
    beside them be infinitely far.

    Args:
        picture: (N, 4), left, top, right and bottom in units of the frame's size; the whole frame where None.
            Where there is a margin the outermost pixel does not count: it is part of the margin, or compared
            with it.
        maps: (…, H, W) of the frames.
    """
    if picture is None:
        return maps.new_full((1, 2), -1), maps.new_full((1, 2), 1)
    height, width = maps.shape[-2:]
    pixel = picture.new_tensor([1 / width, 1 / height])
    low, high = picture[:, :2], picture[:, 2:]
    low, high = low + pixel * (low > 0), high - pixel * (high < 1)
    return 2 * low - 1, 2 * high - 1


def pixels_within(frames: Tensor, picture: Tensor | None) -> Tensor:
    """Whether pixels of frames (N, C, H, W) lie in their pictures, (N, 1, H, W); see ``picture_bounds``."""
    count, _, height, width = frames.shape
    x = (2 * torch.arange(width, device=frames.device) + 1) / width - 1
    y = (2 * torch.arange(height, device=frames.device) + 1) / height - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    return _within(grid.expand(count, -1, -1, -1), picture)[:, None]


def _within(grid: Tensor, picture: Tensor | None) -> Tensor:
    """Whether places (…, N, H, W, 2) of frames, as in ``Projection``, lie in their pictures, (…, N, H, W)."""
    low, high = picture_bounds(picture, grid[..., 0])
    inside = (grid >= low[:, None, None]) & (grid <= high[:, None, None])
    return inside[..., 0] & inside[..., 1]


def warp(image: Tensor, grid: Tensor) -> Tensor:
    """Sample (…, N, C, H, W) bilinearly at ``grid``, (…, N, h, w, 2); the border is repeated outside."""
    frames, places = image.flatten(0, -4), grid.flatten(0, -4)
    seen = F.grid_sample(frames, places, mode="bilinear", padding_mode="border", align_corners=False)
    return torch.unflatten(seen, 0, image.shape[:-3])


def dissimilarity(view: Tensor, target: Tensor) -> Tensor:
    """0.85 · (1 − SSIM) / 2 + 0.15 · L1, the mean over channels, (…, N, 1, H, W); no gradient to ``target``.

    The mixture is that of Godard et al., CVPR 2017.

    Args:
        view: (…, N, C, H, W).
        target: (N, C, H, W).
    """
    return _mixture(structural_similarity(view, target), view, target.detach())


def dissimilarity_to(target: Moments, view: Tensor) -> Tensor:
    """``dissimilarity`` of views and a target whose moments are known, without a gradient."""
    return _mixture(similarity(view, target), view, target.picture)


def _mixture(alike: Tensor, view: Tensor, target: Tensor) -> Tensor:
    unlike = ((1 - alike) / 2).clamp(0, 1).mean(dim=-3, keepdim=True)
    l1 = (view - target).abs().mean(dim=-3, keepdim=True)
    return _SSIM_WEIGHT * unlike + (1 - _SSIM_WEIGHT) * l1


def smoothness(inverse: Tensor, image: Tensor) -> Tensor:
    """Mean gradient of the inverse depth (N, 1, H, W), relative to its mean, less where the image has edges.

    Args:
        image: (N, 3, H, W) in [0, 1].
    """
    relative = inverse / inverse.mean(dim=(2, 3), keepdim=True)
    total = inverse.new_zeros(())
    for dim in (2, 3):
        edges = image.diff(dim=dim).abs().mean(dim=1, keepdim=True)
        steps = relative.diff(dim=dim).abs() * torch.exp(-edges)
        total = total + steps.sum() / max(1, steps.numel())  # a map of one row has none
    return total


class Views(NamedTuple):
    """N target pictures and the pictures around them.

    Args:
        target: (N, 3, H, W) in [0, 1].
        sources: S pictures of each, (S, N, 3, H, W).
        transforms: from target to source camera, (S, N, 4, 4).
        intrinsics: (N, 4), normalised.
        unmoved: (N, 1, H, W), the least dissimilarity of a source as it is.
        picture: (N, 4), where frames have margins, see ``picture_bounds``; None where they have none.
    """

    target: Tensor
    sources: Tensor
    transforms: Tensor
    intrinsics: Tensor
    unmoved: Tensor
    picture: Tensor | None = None


def make_views(
    target: Tensor, sources: Tensor, transforms: Tensor, intrinsics: Tensor, picture: Tensor | None = None
) -> Views:
    """Measure what needs no depth, once for all scales."""
    unmoved = dissimilarity(sources, target).amin(dim=0)
    return Views(target, sources, transforms, intrinsics, unmoved, picture)


def rigid_error(depth: Tensor, views: Views) -> Tensor:
    """Dissimilarity (N, 1, H, W) of targets and what sources show of them through ``depth`` (N, 1, H, W).

    Each place has that of its best source, which forgives occlusion; one that no source sees has infinity.
    """
    return source_errors(depth, views).amin(dim=0)


def source_errors(depth: Tensor, views: Views) -> Tensor:
    """Dissimilarity (S, N, 1, H, W) of targets and what each source shows of them through ``depth``
    (N, 1, H, W), infinite where it does not see a place."""
    points = backproject(depth, views.intrinsics)
    seen = project(points, views.transforms, views.intrinsics, views.picture)
    error = dissimilarity(warp(views.sources, seen.grid), views.target)
    return torch.where(seen.inside & pixels_within(views.target, views.picture), error, torch.inf)


def synthesis_error(rigid: Tensor, views: Views, still: Tensor) -> Tensor:
    """Mean (scalar) of ``rigid_error`` (N, 1, H, W) over places that it explains better than standing still.

    The others count as unmoved, and so teach nothing: they stand still, or move with the camera, or are seen
    in no source.

    Args:
        still: (N, 1, h, w), how sure it is that a place does not move by itself, 0 … 1; it is its weight.
    """
    # Noise breaks ties between views of what has no texture.
    unmoved = views.unmoved + _TIE_BREAK * torch.randn_like(views.unmoved)
    still = F.interpolate(still, size=rigid.shape[-2:], mode="bilinear", align_corners=False)
    return (torch.minimum(rigid, unmoved) * still).sum() / still.sum().clamp(min=1e-6)
