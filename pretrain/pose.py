"""Ego-motion between two frames: the network that estimates it and the rigid transform it stands for."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from catseye.pretrain.clip_sampler import DEFAULT_FOCAL

ROTATION_RATE = 0.1
TRANSLATION_RATE = 10.0
TYPICAL_SPEED = 20.0
"""Speed in m/s that footage without any is taken to have at first: between towns and motorways, rather too
fast, since what lies nearer than the nearest depth cannot be learned."""
_OFFSET = 0.1


class MotionAndLens(NamedTuple):
    """What two pictures tell of the camera.

    Args:
        motion: (N, 6), axis-angle and translation: the later camera's pose in the earlier one.
        lens: (N, 3), the logarithm of the focal length over ``DEFAULT_FOCAL``, and how far the principal
            point lies from the middle, in tenths of the picture's width and height.
    """

    motion: Tensor
    lens: Tensor


class PoseNet(nn.Module):
    """Velocity of the camera between an earlier and a later frame, from the two pictures.

    A network of its own rather than a head on shared features: registration needs fine position, which a
    pooled semantic feature has lost, and the pictures are small. Predicting a velocity and multiplying by the
    real time between the frames lets one network serve every stride. An untrained network drives straight on
    at ``TYPICAL_SPEED``: from a random direction, depth settles at infinity before the true one is found.

    The same features tell the lens where no calibration does (Gordon et al., "Depth from Videos in the Wild",
    ICCV 2019), as its difference from a usual one; pixels are square, so that one focal length is all.

    Args:
        widths: channels of the layers, each of which halves the picture.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip((6, *widths[:-1]), widths, strict=True):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(widths[-1], 6, 1)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            assert self.head.bias is not None
            self.head.bias.copy_(torch.tensor([0, 0, 0, 0, 0, TYPICAL_SPEED / TRANSLATION_RATE]))
        self.lens = nn.Conv2d(widths[-1], 3, 1)
        nn.init.zeros_(self.lens.weight)
        assert self.lens.bias is not None
        nn.init.zeros_(self.lens.bias)

    def forward(self, earlier: Tensor, later: Tensor, elapsed_s: Tensor) -> MotionAndLens:
        """Between frames (N, 3, H, W) that are ``elapsed_s`` (N,) apart."""
        seen = self.body(torch.cat((earlier, later), dim=1) - 0.45)
        velocity = self.head(seen).float().mean(dim=(2, 3))
        rates = velocity.new_tensor([ROTATION_RATE] * 3 + [TRANSLATION_RATE] * 3)
        lens = self.lens(seen).float().mean(dim=(2, 3))
        return MotionAndLens(velocity * rates * elapsed_s[:, None], lens)


def lens_intrinsics(lens: Tensor, *, width: int, height: int) -> Tensor:
    """Intrinsics (N, 4), normalised by a picture's size, of lenses (N, 3)."""
    focal = DEFAULT_FOCAL * lens[:, 0].exp()
    return torch.stack(
        (focal, focal * (width / height), 0.5 + _OFFSET * lens[:, 1], 0.5 + _OFFSET * lens[:, 2]), dim=1
    )


def rigid_transform(motion: Tensor) -> Tensor:
    """(N, 4, 4) transforms of motions (N, 6): rotation by the axis-angle vector, then translation."""
    transform = torch.zeros(len(motion), 4, 4, dtype=motion.dtype, device=motion.device)
    transform[:, :3, :3] = rotation_matrix(motion[:, :3])
    transform[:, :3, 3] = motion[:, 3:]
    transform[:, 3, 3] = 1
    return transform


def rotation_matrix(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula for (N, 3) vectors in radians, (N, 3, 3); smooth at zero."""
    # The series of sin(a)/a and (1 - cos a)/a² replace the quotients where those lose their digits.
    squared = (axis_angle**2).sum(dim=1).view(-1, 1, 1)
    small = squared < 1e-6
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    first = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    second = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / angle**2)
    x, y, z = axis_angle.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=1).view(-1, 3, 3)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + first * cross + second * (cross @ cross)


def rotation_vector(rotation: Tensor) -> Tensor:
    """Axis-angle (…, 3) of rotations (…, 3, 3) by small angles, in radians; its error is of third order."""
    skew = (rotation - rotation.transpose(-1, -2)) / 2
    return torch.stack((skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]), dim=-1)


def invert(transform: Tensor) -> Tensor:
    """The inverse of rigid transforms (N, 4, 4)."""
    rotation = transform[:, :3, :3].transpose(1, 2)
    inverse = torch.zeros_like(transform)
    inverse[:, :3, :3] = rotation
    inverse[:, :3, 3:] = -rotation @ transform[:, :3, 3:]
    inverse[:, 3, 3] = 1
    return inverse
