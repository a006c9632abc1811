"""Crops of clips: every frame of a clip is cut alike, so that its geometry holds.

A crop costs the encoder a part of the whole picture while small things in it keep their size in pixels, and
a size drawn anew for every clip shows the same thing near and far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.errors import UsageError
from catseye.pretrain.run_options import require_network_size


@dataclass(frozen=True)
class CropOptions:
    """How clips are cut.

    Args:
        width, height: of a crop in pixels, multiples of 32.
        shrink: largest factor by which what is cut out is reduced to that size; the factor is drawn
            log-uniformly from 1, the whole resolution, on.

    Raises:
        UsageError: an option has a value that cannot be.
    """

    width: int
    height: int
    shrink: float = 1.6

    def __post_init__(self) -> None:
        require_network_size(self.width, self.height, what="crop")
        if not 1 <= self.shrink <= 4:
            raise UsageError(f"crop_shrink {self.shrink}: lies between 1 and 4")


class CroppedClips(NamedTuple):
    """Frames (B, T, 3, h, w), and the windows (B, 4) they were cut from: left, top, width and height, in
    units of the picture's size."""

    frames: Tensor
    windows: Tensor


def crop_clips(frames: Tensor, options: CropOptions) -> CroppedClips:
    """Cut each of B clips (B, T, 3, H, W) at a place and a size of its own, the same in all of its frames.

    Draws from torch's global generators. A cut larger than the picture is the whole of it.
    """
    count, length, _, height, width = frames.shape
    device = frames.device
    shrink = torch.exp(math.log(options.shrink) * torch.rand(count, device=device))
    across = (options.width * shrink / width).clamp(max=1)
    down = (options.height * shrink / height).clamp(max=1)
    left = torch.rand(count, device=device) * (1 - across)
    top = torch.rand(count, device=device) * (1 - down)
    zero = torch.zeros_like(left)
    rows = (
        torch.stack((across, zero, 2 * left + across - 1), dim=1),
        torch.stack((zero, down, 2 * top + down - 1), dim=1),
    )
    grid = F.affine_grid(
        torch.stack(rows, dim=1), [count, 3 * length, options.height, options.width], align_corners=False
    )
    cut = F.grid_sample(
        frames.flatten(1, 2), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return CroppedClips(torch.unflatten(cut, 1, (length, 3)), torch.stack((left, top, across, down), dim=1))


def whole_clips(frames: Tensor) -> CroppedClips:
    """Clips (B, T, 3, H, W) as they are."""
    return CroppedClips(frames, frames.new_tensor([0, 0, 1, 1]).expand(len(frames), 4))


def intrinsics_within(intrinsics: Tensor, windows: Tensor) -> Tensor:
    """Intrinsics (B, 4) of pictures as those of windows (B, 4) in them, each divided by its own size."""
    fx, fy, cx, cy = intrinsics.unbind(1)
    left, top, across, down = windows.unbind(1)
    return torch.stack((fx / across, fy / down, (cx - left) / across, (cy - top) / down), dim=1)


def picture_within(picture: Tensor, windows: Tensor) -> Tensor:
    """Where windows (B, 4) of frames have the picture (B, 4): left, top, right and bottom in their units."""
    left, top, across, down = windows.unbind(1)
    shift, size = torch.stack((left, top, left, top), dim=1), torch.stack((across, down, across, down), dim=1)
    return ((picture - shift) / size).clamp(0, 1)
