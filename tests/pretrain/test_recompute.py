"""Activations computed twice: the same gradients and statistics for less memory."""

from __future__ import annotations

import copy

import pytest
import torch

from catseye.pretrain.encoder import Encoder
from catseye.pretrain.recompute import recompute_blocks


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv4_conv_small_050"])  # timm calls them differently
def test_gradients_and_statistics_are_those_of_the_plain_network(name: str) -> None:
    torch.manual_seed(0)
    plain = Encoder(name).train()
    sparing = copy.deepcopy(plain)
    recompute_blocks(sparing.body)
    rgb = torch.rand(2, 3, 64, 64)
    saved = []
    for network in (plain, sparing):
        stored = 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal stored
            stored += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            sum(level.square().mean() for level in network(rgb)).backward()
        saved.append(stored)
    for (weight, ours), theirs in zip(sparing.named_parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-6), weight
    for (buffer, value), other in zip(sparing.named_buffers(), plain.buffers(), strict=True):
        if not buffer.endswith("num_batches_tracked"):
            assert torch.equal(value, other), buffer
    assert sparing.state_dict().keys() == plain.state_dict().keys()
    assert saved[1] < saved[0] / 2


def test_nothing_changes_in_evaluation() -> None:
    plain = Encoder("resnet18").eval()
    sparing = copy.deepcopy(plain)
    recompute_blocks(sparing.body)
    rgb = torch.rand(1, 3, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(plain(rgb), sparing(rgb), strict=True))
