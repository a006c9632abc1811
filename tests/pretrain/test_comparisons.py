"""The methods that pretraining is compared with."""

from __future__ import annotations

import sys

import pytest
import torch

from catseye.errors import MissingExtraError
from catseye.pretrain.clip_batch import ClipBatch
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.model import PretextModel
from catseye.pretrain.tasks import TASKS
from catseye.pretrain.tasks.dense import Dense, nearest
from catseye.pretrain.tasks.views import random_crops

ENCODER = "test_byobnet"
H, W = 64, 96


def sliding_batch(count: int, *, seed: int) -> ClipBatch:
    """Clips of a texture each, which slides by four pixels a frame."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, H // 8, W // 8 + 4, 3), generator=generator, dtype=torch.uint8)
    wide = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    zeros = torch.zeros(count, dtype=torch.long)
    return ClipBatch(
        frames=torch.stack([wide[:, :, 4 * t : 4 * t + W] for t in range(4)], dim=1),
        times_s=(torch.arange(4) * 0.1).expand(count, 4).contiguous(),
        speed_mps=torch.full((count, 4), 10.0),
        intrinsics=torch.tensor([[0.9, 1.35, 0.5, 0.5]]).expand(count, 4).contiguous(),
        picture=torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(count, 4).contiguous(),
        corrupt=zeros,
        still=zeros,
    )


@pytest.mark.parametrize("task", ["simclr", "vicreg", "dense"])
def test_the_loss_falls_on_clips_that_were_not_trained_on(task: str) -> None:
    if task != "dense":
        pytest.importorskip("lightly", reason="lightly is not installed: the extra [compare] has it")
    torch.manual_seed(0)
    model = PretextModel(ENCODER, [task], jitter_strength=0.5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)

    @torch.no_grad()
    def unseen() -> float:
        torch.manual_seed(5)
        return sum(float(model(sliding_batch(8, seed=100 + k)).tasks[task].loss) for k in range(4)) / 4

    before = unseen()
    for step in range(30):
        torch.manual_seed(step)
        loss = model(sliding_batch(8, seed=step)).tasks[task].loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert unseen() < 0.95 * before


def test_views_have_a_pass_of_their_own_and_no_other_is_made() -> None:
    pytest.importorskip("lightly", reason="lightly is not installed: the extra [compare] has it")
    model = PretextModel(ENCODER, ["simclr"])
    seen: list[int] = []
    model.encoder.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    output = model(sliding_batch(3, seed=0))
    assert seen == [6] and len(output.shared) == 6


def test_a_counterpart_is_found_where_the_picture_went() -> None:
    """The map slides two places to the right: a place's counterpart is two columns on."""
    torch.manual_seed(0)
    wide = torch.randn(2, 16, 5, 12)
    found = nearest(wide[..., 2:], wide[..., :-2], reach=2)
    count, height, width = found.shape
    place = torch.arange(count * height * width).view_as(found)
    assert torch.equal(found[..., :-2], place[..., :-2] + 2)
    assert int(found.max()) < found.numel()


def test_places_are_told_apart_by_what_they_show() -> None:
    """With features that name the place, every counterpart is found; with features all alike, none is."""
    encoder = Encoder(ENCODER)
    dense = Dense(encoder)
    dense.project = torch.nn.Identity()  # type: ignore[assignment]

    class Passes:
        def __init__(self, maps: torch.Tensor) -> None:
            self.features = [maps] * 4

    torch.manual_seed(0)
    scene = torch.randn(2, 1, 64, 4, 6).expand(-1, 2, -1, -1, -1)
    told = dense(Passes(scene))  # type: ignore[arg-type]
    alike = dense(Passes(torch.ones(2, 2, 64, 4, 6)))  # type: ignore[arg-type]
    assert float(told.metrics["accuracy"]) > 0.9 and float(told.loss) < float(alike.loss)


def test_crops_lie_within_the_picture_and_differ() -> None:
    torch.manual_seed(0)
    ramp = torch.stack(torch.meshgrid(torch.linspace(0, 1, H), torch.linspace(0, 1, W), indexing="ij"))
    crops = random_crops(ramp[None].expand(64, -1, -1, -1))
    low, high = crops.amin(dim=(2, 3)), crops.amax(dim=(2, 3))
    extent = (high - low).prod(dim=1)
    assert float(low.min()) >= 0 and float(high.max()) <= 1
    assert 0.15 < float(extent.min()) < 0.4 and float(extent.max()) > 0.7
    mirrored = crops[:, 1, 0, 0] > crops[:, 1, 0, -1]
    assert 0.25 < float(mirrored.float().mean()) < 0.75


@pytest.mark.parametrize("task", ["simclr", "vicreg"])
def test_without_lightly_it_is_one_line(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightly", None)
    with pytest.raises(MissingExtraError, match=r"catseye\[compare\]"):
        TASKS[task](Encoder(ENCODER))
