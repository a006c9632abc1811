"""The jitter disturbs every frame by itself, and only its colours."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from catseye.pretrain.jitter import jitter


def picture() -> torch.Tensor:
    coarse = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, size=(64, 96), mode="bicubic", align_corners=False).clamp(0.1, 0.9)


def test_same_frames_come_out_different_but_alike() -> None:
    torch.manual_seed(0)
    frames = picture().expand(6, 3, 64, 96)
    result = jitter(frames)
    assert result.shape == frames.shape
    assert result.min() >= 0 and result.max() <= 1
    for a in range(6):
        for b in range(a):
            assert (result[a] - result[b]).abs().mean() > 0.005
    # What is where does not change: frames stay correlated place by place.
    centred = (result - result.mean(dim=(2, 3), keepdim=True)).flatten(1)
    assert (
        F.cosine_similarity(centred, (frames - frames.mean(dim=(2, 3), keepdim=True)).flatten(1)) > 0.9
    ).all()


def test_strength_zero_changes_nothing_and_the_seed_decides() -> None:
    frames = picture()
    assert torch.equal(jitter(frames, strength=0.0), frames)
    torch.manual_seed(3)
    first = jitter(frames)
    torch.manual_seed(3)
    assert torch.equal(jitter(frames), first)
    assert not torch.equal(jitter(frames), first)


def test_exposures_go_far_and_keep_what_is_brighter_than_what() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0.1, 0.8, 96).expand(40, 3, 64, 96)
    result = jitter(ramp).mean(dim=(1, 2))
    assert result[:, 48].min() < 0.35 and result[:, 48].max() > 0.6
    assert (result[:, 80:].mean(dim=1) > result[:, :16].mean(dim=1) + 0.1).all()
