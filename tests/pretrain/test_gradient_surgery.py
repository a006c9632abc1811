"""Gradients that oppose each other, and what is left of them."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch import nn

from catseye.pretrain.gradient_surgery import GradientSurgery, projected


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_gradients_that_agree_are_left_alone() -> None:
    gradients = [torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]), torch.zeros(2)]
    assert all(torch.equal(a, b) for a, b in zip(gradients, projected(gradients, generator()), strict=True))


def test_what_opposes_another_goes() -> None:
    one, two = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
    first, second = projected([one, two], generator())
    assert torch.allclose(first, torch.tensor([0.5, 0.5])) and torch.allclose(
        second, torch.tensor([0.0, 1.0])
    )
    assert torch.allclose(first @ two, torch.tensor(0.0)) and torch.allclose(second @ one, torch.tensor(0.0))


def test_a_step_over_two_batches_has_the_mean_of_their_gradients() -> None:
    """The shared layer's gradients are made to agree, the tasks' own are what backward gives."""
    torch.manual_seed(0)
    network = nn.ModuleDict({"encoder": nn.Linear(3, 2), "a": nn.Linear(2, 1), "b": nn.Linear(2, 1)})
    with torch.no_grad():  # two tasks that want nearly the opposite
        network["b"].weight.copy_(network["a"].weight + 0.1)
    batches = [torch.randn(4, 3), torch.randn(4, 3)]

    def losses(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        shared = network["encoder"](batch)
        return {name: sign * network[name](shared).mean() for name, sign in (("a", 1.0), ("b", -1.0))}

    surgery = GradientSurgery(network["encoder"], network)
    for batch in batches:
        surgery.add(losses(batch))
    surgery.finish(Fabric(accelerator="cpu", devices=1), generator())
    own = network["a"].weight.grad
    assert own is not None
    mean = torch.cat(batches)
    encoder = list(network["encoder"].parameters())
    by_task = [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, encoder, retain_graph=True)])
        for loss in losses(mean).values()
    ]
    expected = torch.stack(projected(by_task, generator())).sum(dim=0)
    found = torch.cat([p.grad.flatten() for p in encoder if p.grad is not None])
    assert by_task[0] @ by_task[1] < 0 and torch.allclose(found, expected, atol=1e-6)
    (plain,) = torch.autograd.grad(losses(mean)["a"], network["a"].weight)
    assert torch.allclose(own, plain, atol=1e-6)
