from __future__ import annotations

import pytest
import torch
from torch import nn

from catseye.pretrain.detection_training import build_detector, learning_groups
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.encoder_stages import FrozenPart, stage_scales, stages_of


@pytest.mark.parametrize("name", ["resnet10t", "regnetx_002", "mobilenetv4_conv_small_050", "test_byobnet"])
def test_a_weight_is_of_the_first_stage_whose_map_it_moves(name: str) -> None:
    torch.manual_seed(0)
    encoder = Encoder(name).eval()
    stages = stages_of(encoder)
    assert list(stages) == [name for name, _ in encoder.named_parameters()] and set(stages.values()) == {
        0,
        1,
        2,
        3,
    }
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = encoder(picture)
        for stage in range(4):
            for parameter_name, parameter in encoder.named_parameters():
                if stages[parameter_name] == 3 - stage:
                    parameter.mul_(1.5).add_(0.01)
            same = [torch.equal(old, new) for old, new in zip(before, encoder(picture), strict=True)]
            assert same == [True] * (3 - stage) + [False] * (1 + stage)


def test_asking_for_stages_leaves_the_encoder_as_it_was() -> None:
    encoder = Encoder("resnet10t").train()
    next(iter(encoder.parameters())).requires_grad_(False)
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    stages_of(encoder)
    assert encoder.training and all(torch.equal(state[n], v) for n, v in encoder.state_dict().items())
    learning = [parameter.requires_grad for parameter in encoder.parameters()]
    assert learning == [False] + [True] * (len(learning) - 1)
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_each_stage_learns_slower_than_the_one_above() -> None:
    assert stage_scales(0.5) == [1 / 16, 1 / 8, 1 / 4, 1 / 2]
    detector = build_detector("test_byobnet", ("car",), embedding_dim=8, neck_channels=16, start=None)
    groups = learning_groups(detector, weight_decay=0.1, pretrained_scale=0.2, layer_decay=0.5)
    scale_of = {id(p): g["scale"] for g in groups for p in g["params"]}  # type: ignore[attr-defined]
    stages = stages_of(detector.encoder)
    for name, parameter in detector.encoder.named_parameters():
        assert scale_of[id(parameter)] == pytest.approx(0.2 * stage_scales(0.5)[stages[name]])
    fresh = [*detector.neck.parameters(), *detector.head.parameters()]
    assert all(scale_of[id(parameter)] == 1.0 for parameter in fresh)
    learning = [p for p in detector.parameters() if p.requires_grad]
    assert len(scale_of) == len(learning)


def test_without_decay_groups_are_what_they_were_before_there_was_one() -> None:
    detector = build_detector("test_byobnet", ("car",), embedding_dim=8, neck_channels=16, start=None)
    groups = learning_groups(detector, weight_decay=0.1, pretrained_scale=0.2)
    assert [(g["scale"], g["weight_decay"]) for g in groups] == [
        (0.2, 0.1),
        (0.2, 0.0),
        (1.0, 0.1),
        (1.0, 0.0),
    ]
    first = [id(p) for p in detector.encoder.parameters() if p.ndim > 1]
    assert [id(p) for p in groups[0]["params"]] == first  # type: ignore[attr-defined]


def test_frozen_stages_keep_weights_and_what_their_normalisation_has_measured_until_they_learn() -> None:
    torch.manual_seed(0)
    encoder = Encoder("resnet10t")
    frozen = FrozenPart(encoder, weights=False, stages=2, until=3)
    stages = stages_of(encoder)
    for step in (2, 3):
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        encoder.train()
        frozen.hold(step)
        torch.stack([features.sum() for features in encoder(torch.rand(2, 3, 64, 64))]).sum().backward()
        frozen.drop(step)
        held = {name for name, parameter in encoder.named_parameters() if parameter.grad is None}
        assert held == ({name for name, stage in stages.items() if stage < 2} if step == 2 else set())
        for name, module in encoder.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                measured = not torch.equal(before[f"{name}.running_mean"], module.running_mean)
                assert measured == (step == 3 or stages[f"{name}.weight"] >= 2), name
        encoder.zero_grad()


def test_what_never_learns_takes_no_gradient() -> None:
    encoder = Encoder("resnet10t")
    FrozenPart(encoder, weights=False, stages=1, until=None)
    stages = stages_of(encoder)
    assert all(p.requires_grad == (stages[name] >= 1) for name, p in encoder.named_parameters())
    FrozenPart(encoder, weights=True, stages=0, until=None)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
