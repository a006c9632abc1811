"""Crops of clips keep the geometry: what a camera sees through them is where their intrinsics say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from catseye.errors import UsageError
from catseye.pretrain.crops import CropOptions, crop_clips, intrinsics_within, picture_within, whole_clips

INTRINSICS = torch.tensor([[0.8, 1.4, 0.45, 0.55], [0.9, 1.5, 0.5, 0.5]])


def ramps(*, count: int = 2, frames: int = 3, height: int = 128, width: int = 192) -> Tensor:
    """Red is a pixel's place across, green its place down, both from 0 to 1; blue the frame's number."""
    x = ((torch.arange(width) + 0.5) / width).expand(height, width)
    y = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    numbers = torch.arange(count * frames).float() / (count * frames)
    pictures = [torch.stack((x, y, torch.full_like(x, float(number)))) for number in numbers]
    return torch.unflatten(torch.stack(pictures), 0, (count, frames))


def cut(options: CropOptions, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Frames, and the intrinsics that hold for them."""
    torch.manual_seed(seed)
    frames, windows = crop_clips(ramps(), options)
    return frames, intrinsics_within(INTRINSICS, windows)


def test_a_ray_through_a_crop_is_the_ray_through_the_picture() -> None:
    frames, inside = cut(CropOptions(64, 64, shrink=1.5))
    assert frames.shape == (2, 3, 3, 64, 64)
    for clip in range(2):
        fx, fy, cx, cy = INTRINSICS[clip]
        new_fx, new_fy, new_cx, new_cy = inside[clip]
        u, v = (10 + 0.5) / 64, (50 + 0.5) / 64
        x, y = frames[clip, 0, 0, 50, 10], frames[clip, 0, 1, 50, 10]
        torch.testing.assert_close((u - new_cx) / new_fx, (x - cx) / fx, atol=1e-3, rtol=0)
        torch.testing.assert_close((v - new_cy) / new_fy, (y - cy) / fy, atol=1e-3, rtol=0)


def test_all_frames_of_a_clip_are_cut_alike_and_clips_are_not() -> None:
    frames, _ = cut(CropOptions(64, 64))
    torch.testing.assert_close(frames[:, 0, :2], frames[:, 2, :2])
    assert not torch.allclose(frames[0, 0, :2], frames[1, 0, :2], atol=1e-2)
    assert frames[:, :, 2].flatten(2).std(dim=2).max() < 1e-5, "a crop mixes frames"


def test_factors_span_what_was_asked_for() -> None:
    options = CropOptions(64, 64, shrink=1.5)
    shares = [float(INTRINSICS[0, 0] / cut(options, seed=seed)[1][0, 0]) for seed in range(40)]
    assert min(shares) >= 64 / 192 - 1e-6 and max(shares) <= 96 / 192 + 1e-6
    assert min(shares) < 70 / 192 and max(shares) > 90 / 192


def test_a_crop_larger_than_the_picture_is_all_of_it() -> None:
    frames, inside = cut(CropOptions(192, 128, shrink=2.0))
    torch.testing.assert_close(frames, ramps(), atol=1e-5, rtol=0)
    torch.testing.assert_close(inside, INTRINSICS)
    frames, windows = whole_clips(ramps())
    torch.testing.assert_close(frames, ramps())
    torch.testing.assert_close(intrinsics_within(INTRINSICS, windows), INTRINSICS)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"width": 100, "height": 64}, "100x64"),
        ({"width": 64, "height": 64, "shrink": 0.5}, "crop_shrink 0.5"),
        ({"width": 64, "height": 64, "shrink": float("nan")}, "crop_shrink nan"),
    ],
)
def test_bad_options_are_named(options: dict[str, float], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        CropOptions(**options)


def test_a_window_tells_where_it_has_the_picture() -> None:
    picture = torch.tensor([[0.1, 0.0, 0.9, 1.0]] * 3)
    windows = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.2, 0.5, 0.5], [0.3, 0.0, 0.4, 1.0]])
    expected = torch.tensor([[0.1, 0.0, 0.9, 1.0], [0.2, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    torch.testing.assert_close(picture_within(picture, windows), expected)
