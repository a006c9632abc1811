"""Depthwise convolutions on a processor: as exact as float32 under autocast, and otherwise torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from catseye.pretrain.depthwise import DepthwiseConv2d, quicken_depthwise
from catseye.pretrain.encoder import Encoder


def depthwise() -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8, bias=False)


def quickened(network: nn.Module) -> nn.Module:
    copied = copy.deepcopy(network)
    quicken_depthwise(nn.ModuleList([copied]))
    return copied


def weight_gradient(network: nn.Module, x: Tensor, *, autocast: bool) -> Tensor:
    weight = network.get_parameter("weight")
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        y = network(x)
    (gradient,) = torch.autograd.grad(y.float().square().sum(), weight)
    return gradient


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 8, 16, 16, generator=torch.Generator().manual_seed(1))


def test_without_autocast_it_is_the_same(x: Tensor) -> None:
    plain = depthwise()
    quick = quickened(plain)
    assert type(quick) is DepthwiseConv2d
    assert torch.equal(quick(x), plain(x))
    assert torch.equal(weight_gradient(quick, x, autocast=False), weight_gradient(plain, x, autocast=False))


def test_autocast_does_not_round_its_weights(x: Tensor) -> None:
    plain = depthwise()
    exact = plain(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(quickened(plain)(x), exact)
        assert not torch.equal(plain(x).float(), exact)


def test_what_comes_in_as_bfloat16_goes_out_as_that(x: Tensor) -> None:
    quick = quickened(depthwise())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert quick(x.bfloat16()).dtype == torch.bfloat16
    assert weight_gradient(quick, x, autocast=True).dtype == torch.float32


@pytest.mark.parametrize(
    "other",
    [nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(1, 8, 3), nn.Conv1d(8, 8, 3, groups=8)],
)
def test_other_convolutions_are_left_alone(other: nn.Module) -> None:
    assert type(quickened(other)) is type(other)


def test_an_encoders_are_all_of_them() -> None:
    layers = [m for m in Encoder("mobilenetv4_conv_small_050").modules() if isinstance(m, nn.Conv2d)]
    of_channels = [layer for layer in layers if layer.groups > 1]
    assert len(of_channels) > 10
    assert all(type(layer) is DepthwiseConv2d for layer in of_channels)
    assert not any(type(layer) is DepthwiseConv2d for layer in layers if layer.groups == 1)
