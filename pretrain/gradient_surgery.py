"""PCGrad: where the gradients of two tasks oppose each other, each gives up the part that does.

Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn


class GradientSurgery:
    """Gradients of each task, gathered over the batches of one step.

    Args:
        encoder: the part of ``network`` that tasks may quarrel over; of the rest, gradients are summed.
    """

    def __init__(self, encoder: nn.Module, network: nn.Module) -> None:
        self._shared = [p for p in encoder.parameters() if p.requires_grad]
        known = set(map(id, self._shared))
        self._own = [p for p in network.parameters() if p.requires_grad and id(p) not in known]
        self._tasks: dict[str, Tensor] = {}
        self._rest = torch.zeros(sum(p.numel() for p in self._own))
        self._batches = 0

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add the gradients of a batch's losses; the graph behind them is freed."""
        parameters = [*self._shared, *self._own]
        split = sum(parameter.numel() for parameter in self._shared)
        for number, (name, loss) in enumerate(losses.items(), start=1):
            found = torch.autograd.grad(
                loss, parameters, retain_graph=number < len(losses), allow_unused=True
            )
            flat = torch.cat(
                [
                    (torch.zeros_like(parameter) if gradient is None else gradient).flatten()
                    for parameter, gradient in zip(parameters, found, strict=True)
                ]
            )
            self._tasks[name] = self._tasks.get(name, torch.zeros_like(flat[:split])) + flat[:split]
            self._rest = self._rest.to(flat) + flat[split:]
        self._batches += 1

    def finish(self, fabric: Fabric, generator: torch.Generator) -> None:
        """Leave in ``grad`` the mean over batches and processes, the tasks' made to agree.

        Args:
            generator: in the same state in all processes.
        """
        tasks = [_mean(fabric, gradient / self._batches) for gradient in self._tasks.values()]
        _write(self._shared, torch.stack(projected(tasks, generator)).sum(dim=0))
        _write(self._own, _mean(fabric, self._rest / self._batches))


def projected(gradients: list[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Each of (n,) gradients less what opposes the others, which are gone through in an order drawn."""
    found = []
    for number, gradient in enumerate(gradients):
        kept = gradient.clone()
        for other in torch.randperm(len(gradients), generator=generator).tolist():
            against = kept @ gradients[other]
            if other != number and against < 0:
                kept -= against / gradients[other].square().sum() * gradients[other]
        found.append(kept)
    return found


def _mean(fabric: Fabric, gradient: Tensor) -> Tensor:
    mean = fabric.all_reduce(gradient)
    assert isinstance(mean, Tensor)
    return mean


def _write(parameters: list[nn.Parameter], flat: Tensor) -> None:
    parts = torch.split(flat, [parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        # A fused optimiser goes through memory, so that the two must lie in the same order.
        parameter.grad = torch.empty_like(parameter).copy_(part.view_as(parameter))
