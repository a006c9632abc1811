"""What the clip sampler hands to the tasks."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ClipBatch(NamedTuple):
    """B sequences of T frames.

    Args:
        frames: (B, T, H, W, 3) uint8 RGB at network size.
        times_s: (B, T) float32 seconds from each sequence's first frame.
        speed_mps: (B, T) float32, NaN where unknown.
        intrinsics: (B, 4) float32 as fx/W, fy/H, cx/W, cy/H of the network frame, NaN where to be learned.
        picture: (B, 4) float32, left, top, right and bottom of the picture in the network frame, which may
            have margins, in units of the frame's size.
        corrupt, still: (B,) int64, how many draws were passed over for being unreadable or without motion.
    """

    frames: Tensor
    times_s: Tensor
    speed_mps: Tensor
    intrinsics: Tensor
    picture: Tensor
    corrupt: Tensor
    still: Tensor
