"""Ego-motion between two frames: the network that estimates it and the rigid transform it stands for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ROTATION_RATE = 0.1
_TRANSLATION_RATE = 10.0
_FORWARD = 0.8


class PoseNet(nn.Module):
    """Velocity of the camera between an earlier and a later frame, from the two pictures.

    A network of its own rather than a head on shared features: registration needs fine position, which a
    pooled semantic feature has lost, and the pictures are small. Predicting a velocity and multiplying by the
    real time between the frames lets one network serve every stride. An untrained network drives straight on
    at 8 m/s: from a random direction, depth settles at infinity before the true one is found.
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
            self.head.bias.copy_(torch.tensor([0, 0, 0, 0, 0, _FORWARD]))

    def forward(self, earlier: Tensor, later: Tensor, elapsed_s: Tensor) -> Tensor:
        """Motion (N, 6), axis-angle and translation, between frames (N, 3, H, W) ``elapsed_s`` (N,) apart."""
        velocity: Tensor = (
            self.head(self.body(torch.cat((earlier, later), dim=1) - 0.45)).float().mean(dim=(2, 3))
        )
        rates = velocity.new_tensor([_ROTATION_RATE] * 3 + [_TRANSLATION_RATE] * 3)
        return velocity * rates * elapsed_s[:, None]


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


def invert(transform: Tensor) -> Tensor:
    """The inverse of rigid transforms (N, 4, 4)."""
    rotation = transform[:, :3, :3].transpose(1, 2)
    inverse = torch.zeros_like(transform)
    inverse[:, :3, :3] = rotation
    inverse[:, :3, 3:] = -rotation @ transform[:, :3, 3:]
    inverse[:, 3, 3] = 1
    return inverse
