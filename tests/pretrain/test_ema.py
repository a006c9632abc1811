"""The averaged network, its buffers included."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from catseye.pretrain.ema import decay_at, frozen_copy, update_average


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_parameters_and_statistics_move_by_the_decay() -> None:
    online = network()
    average = frozen_copy(online)
    online(torch.randn(8, 3, 8, 8) * 5 + 2)
    with torch.no_grad():
        online[0].weight.add_(1.0)
    before = {name: value.clone() for name, value in average.state_dict().items()}
    update_average(average, online, decay=0.9)
    now = online.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * now[name])
        else:
            assert torch.equal(value, now[name])
    assert not torch.equal(average.state_dict()["1.running_mean"], before["1.running_mean"])


def test_the_copy_takes_no_gradient_and_shares_nothing() -> None:
    online = network()
    average = frozen_copy(online)
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert average[0].weight.data_ptr() != online[0].weight.data_ptr()
    assert not average.training


def test_decay_warms_up() -> None:
    decays = [decay_at(step, final=0.99) for step in (1, 10, 100, 10_000)]
    assert decays == sorted(decays)
    assert decays[0] == pytest.approx(0.1)
    assert decays[-1] == 0.99
