"""Losses in units of their start, and gradients where the tasks meet."""

from __future__ import annotations

import math

import pytest
import torch

from catseye.pretrain.balance import InitialScale, gradient_figures, weighted


def test_the_scale_is_the_mean_of_the_first_losses_and_then_stays() -> None:
    scale = InitialScale()
    for loss in (4.0, 2.0):
        scale = scale.with_loss(loss)
    assert scale == InitialScale(3.0, 2)
    for _ in range(100):
        scale = scale.with_loss(3.0)
    assert scale.with_loss(1000.0) == scale


@pytest.mark.parametrize("loss", [math.nan, math.inf, 0.0])
def test_a_loss_that_is_no_scale_is_not_counted(loss: float) -> None:
    assert InitialScale(2.0, 1).with_loss(loss) == InitialScale(2.0, 1)


def test_every_task_starts_at_its_weight() -> None:
    losses = {"small": torch.tensor(1e-3), "large": torch.tensor(50.0)}
    scales = {name: InitialScale().with_loss(float(loss)) for name, loss in losses.items()}
    shares = weighted(losses, {"large": 0.2}, scales)
    assert float(shares["small"]) == pytest.approx(1.0)
    assert float(shares["large"]) == pytest.approx(0.2)


def test_gradients_are_measured_at_the_shared_map() -> None:
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    shared = weight * 3
    losses = {"a": shared[0] * 2, "b": (shared * torch.tensor([3.0, 4.0])).sum(), "c": (weight * 5).sum()}
    figures = gradient_figures(losses, shared)
    assert figures["norm/a"] == pytest.approx(2.0)
    assert figures["norm/b"] == pytest.approx(5.0)
    assert figures["norm/c"] == 0.0
    assert figures["cosine/a-b"] == pytest.approx(0.6)
    assert figures["cosine/a-c"] == 0.0
    torch.stack([*losses.values()]).sum().backward()  # the graph is still there
    assert weight.grad is not None
