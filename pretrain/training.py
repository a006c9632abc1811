"""One optimiser step of pretraining, and what is watched on the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from catseye.errors import CatseyeError
from catseye.pretrain.balance import InitialScale, gradient_figures, weighted
from catseye.pretrain.clip_batch import ClipBatch
from catseye.pretrain.collapse import CollapseFigures, collapse_figures, position_vectors
from catseye.pretrain.model import PretextModel
from catseye.pretrain.training_state import Position

_MOST_SKIPPED = 20
_FINAL_LR = 0.01


@dataclass(frozen=True)
class Schedule:
    """Learning rate by step: up linearly over ``warmup`` of the run, down as a cosine to a hundredth."""

    peak: float
    steps: int
    warmup: float

    def at(self, step: int) -> float:
        """The rate of step ``step``, from 0."""
        rising = math.ceil(self.warmup * self.steps)
        if step < rising:
            return self.peak * (step + 1) / rising
        share = (step - rising) / max(1, self.steps - rising)
        return self.peak * (_FINAL_LR + (1 - _FINAL_LR) * (1 + math.cos(math.pi * share)) / 2)


@dataclass(frozen=True)
class Session:
    """What a run trains with.

    Args:
        fabric: devices and processes.
        model: ``network`` as Fabric has wrapped it.
        network: the model itself.
        optimizer: over the network's parameters.
        weights: of each task's loss.
        schedule: of the learning rate.
        clip_norm: largest gradient norm.
        seed: of the run.
        position: how far the run is; every step moves it.
    """

    fabric: Fabric
    model: nn.Module
    network: PretextModel
    optimizer: Optimizer
    weights: Mapping[str, float]
    schedule: Schedule
    clip_norm: float
    seed: int
    position: Position


def train_step(session: Session, batch: ClipBatch, *, measure: bool) -> dict[str, float]:
    """Make one step, or skip it where the gradient is not finite.

    Args:
        measure: add what costs time: gradients by task and collapse figures.

    Returns:
        Losses ``loss/TASK``, ``loss/total``, each task's metrics ``TASK/NAME``, ``lr``, ``gradient_norm``.

    Raises:
        CatseyeError: too many steps in a row had to be skipped.
    """
    fabric, network, position = session.fabric, session.network, session.position
    # Each step has random numbers of its own, so that a resumed run needs no generator's state.
    torch.manual_seed((session.seed << 32) + position.step * fabric.world_size + fabric.global_rank)
    rate = session.schedule.at(position.step)
    for group in session.optimizer.param_groups:
        group["lr"] = rate
    # A bad batch would stay in the running statistics for good.
    statistics = [buffer.clone() for buffer in network.buffers()]
    output = session.model(batch)
    losses = {name: result.loss for name, result in output.tasks.items()}
    own = torch.stack([loss.detach() for loss in losses.values()])
    mean = fabric.all_reduce(own)
    assert isinstance(mean, Tensor)
    values: dict[str, float] = dict(zip(losses, mean.tolist(), strict=True))
    scales = {}
    for name, value in values.items():
        scales[name] = InitialScale(*position.scales.get(name, (1.0, 0))).with_loss(value)
        position.scales[name] = (scales[name].mean, scales[name].count)
    shares = weighted(losses, session.weights, scales)
    total = torch.stack(list(shares.values())).sum()
    figures = {f"loss/{name}": value for name, value in values.items()}
    figures |= {"loss/total": float(total.detach()), "lr": rate}
    for name, result in output.tasks.items():
        figures |= {f"{name}/{metric}": float(value) for metric, value in result.metrics.items()}
    if measure and all(map(math.isfinite, values.values())):
        figures |= {f"gradient/{k}": v for k, v in gradient_figures(shares, output.shared).items()}
        figures |= {f"collapse/{k}": v for k, v in shared_figures(output.shared).as_dict().items()}
    session.optimizer.zero_grad()
    fabric.backward(total)
    norm = nn.utils.clip_grad_norm_(network.parameters(), session.clip_norm)
    figures["gradient_norm"] = float(norm)
    position.step += 1
    if math.isfinite(figures["gradient_norm"]):
        session.optimizer.step()
        network.after_step(step=position.step)
        position.skipped_in_a_row = 0
    else:
        _skip(session, statistics)
    return figures


def shared_figures(shared: Tensor) -> CollapseFigures:
    """Collapse figures of the map (N, C, h, w) that all tasks share."""
    return collapse_figures(position_vectors(shared))


def parameter_groups(network: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Decay weights; leave biases and normalisation as they are."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def autocast_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The type for matrix products under ``auto``, ``32-true`` or ``bf16-mixed``; None is float32."""
    if precision == "auto":
        if device.type == "cuda":
            fast = torch.cuda.is_bf16_supported()
        else:
            fast = device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
        return torch.bfloat16 if fast else None
    return torch.bfloat16 if precision == "bf16-mixed" else None


def _skip(session: Session, statistics: Iterable[Tensor]) -> None:
    for buffer, before in zip(session.network.buffers(), statistics, strict=True):
        buffer.copy_(before)
    session.optimizer.zero_grad()
    session.position.counts["skipped"] = session.position.counts.get("skipped", 0) + 1
    session.position.skipped_in_a_row += 1
    if session.position.skipped_in_a_row >= _MOST_SKIPPED:
        raise CatseyeError(
            f"no finite gradient in {_MOST_SKIPPED} steps up to step {session.position.step}: "
            "lower the learning rate, or train with precision 32-true"
        )
