"""Cost, against what can be counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from catseye.pretrain.encoder import Encoder
from catseye.pretrain.evaluation.cost import encoder_cost, this_machine


class OneLayer(Encoder):
    """A convolution of 3 × 3 from 3 to 8 channels, without bias, at stride 2."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.layer = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)

    def forward(self, rgb: Tensor) -> list[Tensor]:
        return [self.layer(rgb)]


def test_a_multiply_add_is_two_flops() -> None:
    cost = encoder_cost(OneLayer(), width=64, height=32, repeats=3)
    weights = 3 * 3 * 3 * 8
    assert cost["encoder_parameters"] == pytest.approx(weights / 1e6)
    assert cost["encoder_gflops"] == pytest.approx(2 * weights * 32 * 16 / 1e9)
    assert cost["encoder_latency_ms"] > 0


def test_the_machine_is_named() -> None:
    assert "logical cores" in this_machine().processor and this_machine().threads == torch.get_num_threads()
