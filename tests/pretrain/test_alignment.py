"""Direct alignment on pictures made from one another by a motion that is known."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.pretrain.alignment import align
from catseye.pretrain.photometric import backproject, project, warp
from catseye.pretrain.pose import rigid_transform, rotation_vector

H, W = 48, 80
INTRINSICS = torch.tensor([[0.9, 0.9 * W / H, 0.52, 0.48]])
DRIVE = torch.tensor([[0.004, -0.012, 0.003, 0.05, -0.02, -1.2]])
"""A turn of about 0.7° and 1.2 m ahead, from target to source camera."""


def texture(seed: int = 0) -> Tensor:
    noise = torch.rand(1, 3, H // 4, W // 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(H, W), mode="bicubic", align_corners=False).clamp(0, 1)


def road() -> Tensor:
    """Depth of a road 1.5 m below that ends in a wall at 30 m."""
    rows = (torch.arange(H) + 0.5) / H
    slope = (rows - INTRINSICS[0, 3]) / INTRINSICS[0, 1]
    return (1.5 / slope.clamp(min=0.05)).view(1, 1, H, 1).expand(1, 1, H, W).contiguous()


def target_of(source: Tensor, motion: Tensor) -> Tensor:
    """What the target camera sees of a source picture."""
    seen = project(backproject(road(), INTRINSICS), rigid_transform(motion), INTRINSICS)
    return warp(source, seen.grid)


def turn_missed(found: Tensor, motion: Tensor) -> float:
    """Degrees."""
    left = found[:, :3, :3].transpose(1, 2) @ rigid_transform(motion)[:, :3, :3]
    return float(torch.rad2deg(rotation_vector(left).norm()))


def test_the_motion_is_found_from_a_rough_start() -> None:
    source = texture()
    rough = rigid_transform(torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, -1.0]]))
    found = align(target_of(source, DRIVE), source, road(), rough, INTRINSICS)
    assert turn_missed(rough, DRIVE) > 0.7
    assert turn_missed(found, DRIVE) < 0.02
    torch.testing.assert_close(found[:, :3, 3], DRIVE[:, 3:], atol=0.01, rtol=0)


def test_what_moves_by_itself_and_exposure_matter_little() -> None:
    source = texture()
    target = 0.05 + target_of(source, DRIVE)
    target[..., 24:, 40:] = texture(1)[..., 24:, 40:]
    start = rigid_transform(torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, -1.2]]))
    found = align(target, source, road(), start, INTRINSICS)
    assert turn_missed(found, DRIVE) < 0.05


def test_a_start_that_cannot_be_bettered_stays() -> None:
    start = rigid_transform(DRIVE)
    flat = torch.full((1, 3, H, W), 0.5)
    torch.testing.assert_close(align(flat, flat, road(), start, INTRINSICS), start)


def test_too_small_an_overlap_is_not_believed() -> None:
    """Looking to the side by 46° leaves a quarter of the other picture; looking past it, no error at all."""
    start = rigid_transform(torch.tensor([[0.0, 0.8, 0.0, 0.0, 0.0, 0.0]]))
    assert torch.equal(align(texture(3), texture(2), road(), start, INTRINSICS), start)


def test_depth_that_is_no_number_leaves_the_start() -> None:
    start = rigid_transform(DRIVE)
    broken = torch.full((1, 1, H, W), torch.nan)
    assert torch.equal(align(texture(3), texture(2), broken, start, INTRINSICS), start)


@pytest.mark.parametrize("ahead", [1, -1])
def test_margins_that_stand_still_do_not_hold_the_motion_back(ahead: int) -> None:
    """Eight bright columns on either side of a dim scene, the same in both pictures."""
    source, motion = texture() * 0.5, ahead * DRIVE
    target = target_of(source, motion)
    for picture in (source, target):
        picture[..., :8] = picture[..., -8:] = 0.9
    start = rigid_transform(torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, -1.2 * ahead]]))
    within = torch.tensor([[8 / W, 0.0, 1 - 8 / W, 1.0]])
    aware = align(target, source, road(), start, INTRINSICS, within)
    assert turn_missed(aware, motion) < 0.02
    assert turn_missed(align(target, source, road(), start, INTRINSICS), motion) > 0.4
