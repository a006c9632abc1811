"""How the camera moves between frames: the estimate of a network, bettered by aligning the pictures."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.pretrain.alignment import align
from catseye.pretrain.pose import (
    ROTATION_RATE,
    TRANSLATION_RATE,
    TYPICAL_SPEED,
    invert,
    rigid_transform,
    rotation_matrix,
    rotation_vector,
)


class AlignedMotion(NamedTuple):
    """A network's estimate of motion, bettered.

    Args:
        transforms: T − 1 poses (B, 4, 4) of each later camera in that of the one before.
        shortfall: by how much the network missed them, scalar.
    """

    transforms: list[Tensor]
    shortfall: Tensor


def aligned_motion(
    motion: Tensor,
    frames: Tensor,
    depth: Tensor,
    intrinsics: Tensor,
    picture: Tensor | None = None,
    *,
    times_s: Tensor,
    speed_mps: Tensor,
    settled: Tensor,
    metred: Tensor,
) -> AlignedMotion:
    """The motion (B, T − 1, 6) that a network estimates, after ``align``.

    Turns and the direction of travel are those that the pictures tell, and teach the network. The distance is
    v·Δt where the speed is known. Elsewhere it is the network's own, with its gradient, as soon as depth is
    settled, and that of a typical speed before. Where no speed was ever known, nothing says how long a metre
    is: the steps of a batch have a typical speed on the mean, without which world and steps would shrink
    together.

    Args:
        frames: (B, T, 3, h, w).
        depth: of the frames, (B · T, 1, h, w); it takes no gradient.
        intrinsics: (B, 4), normalised.
        picture: (B, 4), where frames have margins, see ``photometric.picture_bounds``.
        times_s, speed_mps: (B, T), the speed NaN where unknown.
        settled: whether depth is good enough to tell distances by, a bool ().
        metred: whether any speed was ever known, a bool ().
    """
    steps = motion.shape[1]
    length, elapsed = travelled(motion), times_s.diff(dim=1)
    own = torch.where(settled, length, TYPICAL_SPEED * elapsed)
    own = torch.where(metred, own, own * TYPICAL_SPEED / (own / elapsed).mean())
    distance = distances(times_s, speed_mps)
    distance = torch.where(distance.isfinite(), distance.nan_to_num(), own)
    start = motion.detach().clone()
    start[..., 3:] = F.normalize(start[..., 3:], dim=-1) * distance.detach()[..., None]
    found = invert(
        align(
            frames[:, :-1].flatten(0, 1),
            frames[:, 1:].flatten(0, 1),
            torch.unflatten(depth.detach(), 0, frames.shape[:2])[:, :-1].flatten(0, 1),
            invert(rigid_transform(start.flatten(0, 1))),
            intrinsics.detach().repeat_interleave(steps, dim=0),
            None if picture is None else picture.repeat_interleave(steps, dim=0),
        )
    )
    found = torch.unflatten(found, 0, motion.shape[:2])
    turned = rotation_matrix(start[..., :3].flatten(0, 1)).view_as(found[..., :3, :3])
    missed = rotation_vector(turned.transpose(-1, -2) @ found[..., :3, :3])
    direction = F.normalize(found[..., :3, 3], dim=-1)
    poses = found.clone()
    poses[..., :3, 3] = direction * distance[..., None]
    turn = motion[..., :3] - (start[..., :3] + missed)
    course = motion[..., 3:] - direction * distance.detach()[..., None]
    shortfall = (turn.abs() / ROTATION_RATE + course.abs() / TRANSLATION_RATE) / elapsed[..., None]
    return AlignedMotion(list(poses.unbind(1)), shortfall.mean())


def travelled(motion: Tensor) -> Tensor:
    """Lengths (B, T − 1) of the translations of motions (B, T − 1, 6)."""
    # The small constant keeps the gradient finite at zero.
    return (motion[..., 3:].square().sum(dim=-1) + 1e-8).sqrt()


def distances(times_s: Tensor, speed_mps: Tensor) -> Tensor:
    """v·Δt in metres of each step, (B, T − 1), NaN where the speed is unknown, from (B, T)."""
    return (speed_mps[:, 1:] + speed_mps[:, :-1]) / 2 * times_s.diff(dim=1)


def speed_error(motion: Tensor, times_s: Tensor, speed_mps: Tensor) -> Tensor:
    """Mean |‖t‖ − v·Δt| in metres over the steps whose speed is known; 0 where none is.

    Args:
        motion: (B, T − 1, 6).
        times_s, speed_mps: (B, T).
    """
    distance = distances(times_s, speed_mps)
    known = distance.isfinite()
    length = travelled(motion)
    error = torch.where(known, (length - distance.nan_to_num()).abs(), torch.zeros_like(length))
    return error.sum() / known.sum().clamp(min=1)
