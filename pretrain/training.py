"""One optimiser step of pretraining, and what is watched on the way."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.optim import Optimizer

from catseye.errors import CatseyeError
from catseye.pretrain.balance import Balance, InitialScale, gradient_figures, norms_at, weighted
from catseye.pretrain.clip_batch import ClipBatch
from catseye.pretrain.collapse import CollapseFigures, collapse_figures, position_vectors
from catseye.pretrain.gradient_surgery import GradientSurgery
from catseye.pretrain.gradnorm import next_weights
from catseye.pretrain.model import PretextModel, PretextOutput
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
        schedule: of the learning rate.
        balance: how the losses become one gradient.
        clip_norm: largest gradient norm.
        seed: of the run.
        position: how far the run is; every step moves it.
    """

    fabric: Fabric
    model: _FabricModule
    network: PretextModel
    optimizer: Optimizer
    schedule: Schedule
    balance: Balance
    clip_norm: float
    seed: int
    position: Position

    @property
    def draw(self) -> int:
        """Number of the step's random draws; what follows a rollback is drawn anew."""
        return self.position.step + self.position.rollbacks * self.schedule.steps


def train_step(session: Session, batches: Sequence[ClipBatch], *, measure: bool) -> dict[str, float]:
    """Make one step, or skip it where the gradient is not finite.

    Args:
        batches: whose mean gradient the step follows. N of them in one process are to it what one in each of
            N processes is.
        measure: add what costs time: gradients by task and collapse figures, of the last batch.

    Returns:
        Losses ``loss/TASK``, ``loss/total``, each task's metrics ``TASK/NAME``, ``lr``, ``gradient_norm``.

    Raises:
        CatseyeError: too many steps in a row had to be skipped.
    """
    network, position, optimizer = session.network, session.position, session.optimizer
    rate = session.schedule.at(position.step) * position.rate_scale
    for group in optimizer.param_groups:
        group["lr"] = rate
    # A bad batch would stay in the running statistics for good.
    statistics = [buffer.clone() for buffer in network.buffers()]
    if not position.scales:
        position.scales = _starts(session, batches)
        _restore(network, statistics)
    optimizer.zero_grad()
    figures = _backward(session, batches, measure=measure)
    norm = float(nn.utils.clip_grad_norm_(network.parameters(), session.clip_norm))
    figures |= {"lr": rate, "gradient_norm": norm}
    position.step += 1
    if math.isfinite(norm):
        optimizer.step()
        network.after_step(step=position.step, metrics=_task_metrics(session, figures))
        position.skipped_in_a_row = 0
        _learn(session, figures)
    else:
        _restore(network, statistics)
        _skip(session)
    return figures


def _starts(session: Session, batches: Sequence[ClipBatch]) -> dict[str, InitialScale]:
    """The losses before anything is learned, the mean over batches and processes."""
    sums: dict[str, float] = defaultdict(float)
    # With gradients, for which a compiled network has its graphs; without, it would need others for this.
    for number, batch in enumerate(batches):
        _seed(session, number, len(batches))
        for name, result in session.network(batch).tasks.items():
            sums[name] += float(result.loss.detach()) / len(batches)
    return {name: InitialScale().with_loss(loss) for name, loss in _mean(session.fabric, sums).items()}


def _backward(session: Session, batches: Sequence[ClipBatch], *, measure: bool) -> dict[str, float]:
    """Leave the mean gradient of the batches of all processes in ``grad``. Returns mean figures."""
    fabric, position = session.fabric, session.position
    surgery = (
        GradientSurgery(session.network.encoder, session.network) if session.balance == "pcgrad" else None
    )
    sums: dict[str, float] = defaultdict(float)
    measured: dict[str, float] = {}
    for number, batch in enumerate(batches):
        last = number + 1 == len(batches)
        _seed(session, number, len(batches))
        with fabric.no_backward_sync(session.model, enabled=surgery is not None or not last):
            output = session.model(batch)
            losses = {name: result.loss for name, result in output.tasks.items()}
            shares = weighted(losses, position.weights, position.scales)
            figures = _values(output, shares)
            if session.balance == "gradnorm":
                figures |= {f"pull/{name}": norm for name, norm in norms_at(output.shared, shares).items()}
            if measure and last and all(map(math.isfinite, figures.values())):
                measured = _measurements(output, shares)
            for name, value in figures.items():
                sums[name] += value / len(batches)
            if surgery is None:
                fabric.backward(torch.stack(list(shares.values())).sum() / len(batches))
            else:
                surgery.add(shares)
    if surgery is not None:
        # All processes draw alike.
        surgery.finish(fabric, torch.Generator().manual_seed(session.draw))
    return dict(sums) | measured


def _seed(session: Session, number: int, count: int) -> None:
    """Give each batch random numbers of its own, so that a resumed run needs no generator's state."""
    fabric = session.fabric
    slot = (session.draw * count + number) * fabric.world_size + fabric.global_rank
    torch.manual_seed((session.seed << 32) + slot)


def _values(output: PretextOutput, shares: Mapping[str, Tensor]) -> dict[str, float]:
    figures = {f"loss/{name}": float(result.loss.detach()) for name, result in output.tasks.items()}
    figures["loss/total"] = float(torch.stack(list(shares.values())).sum().detach())
    for name, result in output.tasks.items():
        figures |= {f"{name}/{metric}": float(value) for metric, value in result.metrics.items()}
    return figures


def _measurements(output: PretextOutput, shares: Mapping[str, Tensor]) -> dict[str, float]:
    figures = {f"gradient/{k}": v for k, v in gradient_figures(shares, output.shared).items()}
    return figures | {f"collapse/{k}": v for k, v in shared_figures(output.shared).as_dict().items()}


def _learn(session: Session, figures: dict[str, float]) -> None:
    """Move on what is known of the losses' scales and, with GradNorm, their weights."""
    position = session.position
    losses = _mean(session.fabric, {name: figures[f"loss/{name}"] for name in position.scales})
    position.scales = {name: scale.with_loss(losses[name]) for name, scale in position.scales.items()}
    if session.balance == "gradnorm":
        pulls = _mean(session.fabric, {name: figures.pop(f"pull/{name}") for name in position.scales})
        relative = {name: losses[name] / scale.mean for name, scale in position.scales.items()}
        position.weights = next_weights(position.weights, pulls, relative)
        figures |= {f"weight/{name}": weight for name, weight in position.weights.items()}


def _task_metrics(session: Session, figures: Mapping[str, float]) -> dict[str, float]:
    """The figures ``TASK/NAME``, averaged over processes, so that all of them go on alike."""
    names = [f"{task}/" for task in session.network.task_names]
    own = {name: value for name, value in figures.items() if name.startswith(tuple(names))}
    return _mean(session.fabric, own)


def _mean(fabric: Fabric, figures: Mapping[str, float]) -> dict[str, float]:
    """Figures of the same names, averaged over processes."""
    mean = fabric.all_reduce(torch.tensor(list(figures.values()), device=fabric.device))
    assert isinstance(mean, Tensor)
    return dict(zip(figures, mean.tolist(), strict=True))


def shared_figures(shared: Tensor) -> CollapseFigures:
    """Collapse figures of the map (N, C, h, w) that all tasks share."""
    return collapse_figures(position_vectors(shared))


def parameter_groups(network: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Decay weights; leave biases and normalisation as they are."""
    return decay_groups(network.parameters(), weight_decay=weight_decay)


def decay_groups(parameters: Iterable[nn.Parameter], *, weight_decay: float) -> list[dict[str, Any]]:
    """The same for parameters by themselves; those that do not learn are left out."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
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


def _restore(network: nn.Module, buffers: Iterable[Tensor]) -> None:
    for buffer, before in zip(network.buffers(), buffers, strict=True):
        buffer.copy_(before)


def _skip(session: Session) -> None:
    position = session.position
    session.optimizer.zero_grad()
    position.counts["skipped"] = position.counts.get("skipped", 0) + 1
    position.skipped_in_a_row += 1
    if position.skipped_in_a_row >= _MOST_SKIPPED:
        raise CatseyeError(
            f"no finite gradient in {_MOST_SKIPPED} steps up to step {position.step}: "
            "lower the learning rate, or train with precision 32-true"
        )
