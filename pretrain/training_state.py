"""Where a training run stands: what ``trainer.ckpt`` holds, and whether a folder's run may be continued.

The file is one of safetensors with a JSON document, written aside and renamed, so that a run killed at any
moment leaves the last state or the one before. Random numbers need no saving: each step seeds its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from catseye.errors import InputError
from catseye.pretrain.balance import InitialScale
from catseye.pretrain.checkpoint import (
    INFO_FILE,
    CheckpointInfo,
    fitting,
    load_tensors,
    save_tensors,
    submodule_state,
)

STATE_FILE = "trainer.ckpt"

_REMEDY = "give another folder, or delete this one to begin anew"


@dataclass(frozen=True)
class RunIdentity:
    """What decides a run's result: every option that does, and the data's fingerprint."""

    config: Mapping[str, Any]
    dataset_fingerprint: str


@dataclass
class Position:
    """How far a run is.

    Args:
        step: optimiser steps done or skipped.
        seconds: training time so far.
        scales: of each task's loss, at its start.
        weights: of each task's loss in units of its start.
        counts: totals of what was passed over.
        skipped_in_a_row: steps without a finite gradient just before.
        collapse: figures last measured, see ``CollapseFigures``; empty before the first.
        rollbacks: how often the run was put back to an earlier state.
        best: what the best of the averages checked so far has reached; -1 before the first.
        best_step: steps done then.
    """

    step: int = 0
    seconds: float = 0.0
    scales: dict[str, InitialScale] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    skipped_in_a_row: int = 0
    collapse: dict[str, float] = field(default_factory=dict)
    rollbacks: int = 0
    best: float = -1.0
    best_step: int = 0

    @property
    def rate_scale(self) -> float:
        """Of the learning rate: half of it after each rollback."""
        return 0.5**self.rollbacks


def finished_run(run: Path, identity: RunIdentity) -> CheckpointInfo | None:
    """The document of a run that has ended, or None.

    Raises:
        InputError: the folder holds the end of a run with another identity.
    """
    if not (run / INFO_FILE).exists():
        return None
    info = CheckpointInfo.load(run / INFO_FILE)
    _refuse_other(run, identity, info.config, info.dataset_fingerprint)
    return info


def save_state(
    run: Path, identity: RunIdentity, position: Position, model: nn.Module, optimizer: Optimizer
) -> None:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, entries in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in entries.items()}
    document = {
        "config": dict(identity.config),
        "dataset_fingerprint": identity.dataset_fingerprint,
        "position": asdict(position),
    }
    save_tensors(run / STATE_FILE, tensors, document=document)


def load_state(run: Path, identity: RunIdentity, model: nn.Module, optimizer: Optimizer) -> Position:
    """Put model and optimiser where the run stopped; a folder without a state is at the beginning.

    Raises:
        InputError: the state is damaged or belongs to a run with another identity.
    """
    path = run / STATE_FILE
    if not path.exists():
        return Position()
    tensors, document = load_tensors(path)
    try:
        config, fingerprint = document["config"], document["dataset_fingerprint"]
        position = Position(**document["position"])
        position.scales = {
            name: InitialScale(**scale) for name, scale in document["position"]["scales"].items()
        }
    except (TypeError, KeyError, ValueError):
        raise InputError(path, "is not the state of a training run", _REMEDY) from None
    _refuse_other(run, identity, config, fingerprint)
    with fitting(path, remedy=_REMEDY):
        model.load_state_dict(submodule_state(tensors, "model"))
    _load_optimizer(optimizer, tensors)
    return position


def _load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    entries: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, entry = rest.partition(".")
            entries.setdefault(int(index), {})[entry] = value
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, found in entries.items():
        like = parameters[number]
        # A fused optimiser goes through memory, so that all must lie in the parameter's order.
        entries[number] = {
            name: torch.empty_like(like).copy_(value) if value.shape == like.shape else value
            for name, value in found.items()
        }
    optimizer.load_state_dict(optimizer.state_dict() | {"state": entries})


def _refuse_other(run: Path, identity: RunIdentity, config: Mapping[str, Any], fingerprint: str) -> None:
    for name, wanted in identity.config.items():
        if config.get(name) != wanted:
            raise InputError(run, f"holds a run with {name} {config.get(name)!r}, not {wanted!r}", _REMEDY)
    if fingerprint != identity.dataset_fingerprint:
        raise InputError(run, "holds a run on another dataset", _REMEDY)
