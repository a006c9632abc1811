"""Pretraining: one encoder learns frame order, future frames and depth together from unlabelled clips."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.optim import AdamW
from torch.utils.data import DataLoader

from catseye.capture.dataset import Dataset
from catseye.errors import InputError, UsageError
from catseye.pretrain.checkpoint import CheckpointInfo, DepthInfo, save_checkpoint
from catseye.pretrain.clip_batch import ClipBatch
from catseye.pretrain.clip_sampler import ATTEMPTS, ClipSamples, DrawOptions, clip_loader
from catseye.pretrain.collapse import CollapseFigures, alarms
from catseye.pretrain.model import PretextModel
from catseye.pretrain.pictures import save_depth_pictures
from catseye.pretrain.run_log import RunLog
from catseye.pretrain.tasks.order import FRAMES
from catseye.pretrain.training import (
    Schedule,
    Session,
    autocast_type,
    parameter_groups,
    train_step,
)
from catseye.pretrain.training_state import Position, RunIdentity, finished_run, load_state, save_state
from catseye.progress import Progress, silent
from catseye.version import __version__

Precision = Literal["auto", "32-true", "bf16-mixed"]

_LOG = logging.getLogger(__name__)
_SIZE_STEP = 32
_INDIFFERENT = frozenset({"workers", "save_every"})


@dataclass(frozen=True)
class PretrainConfig:
    """Every option of a pretraining run.

    Args:
        encoder: timm name.
        tasks: names of pretext tasks.
        weights: of each task's loss in units of its start; a task not named weighs 1.
        steps: optimiser steps.
        batch: clips of four frames a step and process.
        lr: peak learning rate of AdamW; it rises linearly over the first ``warmup`` of the run and falls as a
            cosine.
        weight_decay: of weights; biases and normalisation have none.
        clip_norm: largest gradient norm.
        shortest_s, longest_s: bounds of the time between neighbouring frames.
        flip: mirror half of the clips.
        jitter: strength of the photometric jitter, 0 … 1.
        precision: ``auto`` is bf16-mixed where the processor multiplies bfloat16 and 32-true elsewhere.
        workers: processes that decode clips; 0 decodes between steps.
        devices: processes or GPUs of one machine.
        log_every: steps between lines of the log.
        save_every: steps between states to resume from, a multiple of ``log_every``.
        seed: of weights, clips and everything drawn.

    Raises:
        UsageError: an option has a value that cannot be.
    """

    encoder: str = "resnet18"
    tasks: tuple[str, ...] = ("order", "future", "depth")
    weights: Mapping[str, float] = field(default_factory=lambda: {"order": 0.2, "future": 1.0, "depth": 1.0})
    steps: int = 2000
    batch: int = 4
    lr: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.05
    clip_norm: float = 5.0
    shortest_s: float = 0.08
    longest_s: float = 0.3
    flip: bool = True
    jitter: float = 1.0
    precision: Precision = "auto"
    workers: int = 2
    devices: int = 1
    log_every: int = 20
    save_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "devices", "log_every", "save_every", "lr", "clip_norm"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} {getattr(self, name)}: must be above 0")
        for name in ("workers", "weight_decay", "seed"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} {getattr(self, name)}: must not be negative")
        if not (0 <= self.warmup < 1 and 0 <= self.jitter <= 1):
            raise UsageError(f"warmup {self.warmup}, jitter {self.jitter}: both lie between 0 and 1")
        if self.save_every % self.log_every:
            raise UsageError(f"save_every {self.save_every}: needs a multiple of log_every {self.log_every}")
        if self.precision not in ("auto", "32-true", "bf16-mixed"):
            raise UsageError(f"precision {self.precision!r}: choose auto, 32-true or bf16-mixed")

    def draw_options(self) -> DrawOptions:
        """How the clip sampler draws for this run."""
        return DrawOptions(
            frames=FRAMES,
            shortest_s=self.shortest_s,
            longest_s=self.longest_s,
            flip=self.flip,
            seed=self.seed,
        )

    def as_json(self) -> dict[str, Any]:
        """The options as JSON types."""
        return asdict(self) | {"tasks": list(self.tasks), "weights": dict(self.weights)}


def pretrain(
    dataset: Dataset, run: Path, config: PretrainConfig, *, progress: Progress = silent
) -> CheckpointInfo:
    """Train on the dataset's usable training clips, and leave a finished run in the folder ``run``.

    A run that was killed continues from its last saved state and ends as if it had not been; one that has
    ended returns at once. Beside the checkpoint it leaves ``metrics.jsonl``, ``tensorboard/`` and
    ``pictures/``. Torch's global generators are seeded anew.

    Raises:
        InputError: the dataset has no usable training clips, frames of an unfit size, or clips that cannot
            be read; or ``run`` holds a run with other options or data.
        UsageError: an encoder or a task is unknown.
        CatseyeError: the gradient stays without finite values.
    """
    run = Path(run)
    options = {name: value for name, value in config.as_json().items() if name not in _INDIFFERENT}
    identity = RunIdentity(options, dataset.fingerprint)
    info = finished_run(run, identity)
    if info is not None:
        return info
    width, height = dataset.info.width, dataset.info.height
    if width % _SIZE_STEP or height % _SIZE_STEP:
        raise InputError(
            dataset.url, f"has frames of {width}x{height}", f"ingest at multiples of {_SIZE_STEP} both ways"
        )
    samples = ClipSamples(dataset, dataset.select(split="train"), config.draw_options())
    # Precision is the model's own matter: see Note [Autocast inside].
    fabric = Fabric(accelerator="auto", devices=config.devices, precision="32-true")
    fabric.launch()
    torch.manual_seed(config.seed)
    network = PretextModel(
        config.encoder,
        config.tasks,
        jitter_strength=config.jitter,
        autocast=autocast_type(config.precision, fabric.device),
    ).to(memory_format=torch.channels_last)
    adamw = AdamW(parameter_groups(network, weight_decay=config.weight_decay), lr=config.lr)
    model, optimizer = fabric.setup(network, adamw)
    position = load_state(run, identity, network, adamw)
    session = Session(
        fabric=fabric,
        model=model,
        network=network,
        optimizer=optimizer,
        weights=config.weights,
        schedule=Schedule(config.lr, config.steps, config.warmup),
        clip_norm=config.clip_norm,
        seed=config.seed,
        position=position,
    )
    loader = clip_loader(
        samples,
        first_step=position.step,
        steps=config.steps,
        batch=config.batch,
        workers=config.workers,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )

    def save() -> None:
        save_state(run, identity, position, network, adamw)

    first = fabric.global_rank == 0
    log = RunLog(run, step=position.step) if first else None
    with log or nullcontext():
        figures = _train(
            session, loader, config, url=dataset.url, log=log, save=save if first else None, progress=progress
        )
    metric = any(np.isfinite(clip.speed_mps).any() for clip in samples.clips)
    info = CheckpointInfo(
        kind="pretrain",
        encoder=config.encoder,
        width=width,
        height=height,
        depth=DepthInfo(metric=metric) if "depth" in config.tasks else None,
        dataset_fingerprint=dataset.fingerprint,
        metrics=figures,
        config=options,
        code_version=__version__,
    )
    if first:
        if "depth" in config.tasks:
            save_depth_pictures(network, samples, run / "pictures")
        save_checkpoint(run, info, network)
    fabric.barrier()
    return info


def _train(
    session: Session,
    loader: DataLoader[ClipBatch],
    config: PretrainConfig,
    *,
    url: str,
    log: RunLog | None,
    save: Callable[[], None] | None,
    progress: Progress,
) -> dict[str, float]:
    """Step through the loader; returns the last figures that were logged."""
    position = session.position
    window: dict[str, list[float]] = defaultdict(list)
    figures: dict[str, float] = {}
    history: list[CollapseFigures] = []
    session.model.train()
    started = time.monotonic() - position.seconds
    for batch in loader:
        _count(batch, position, url=url)
        last = position.step + 1 == config.steps
        measured = last or (position.step + 1) % config.log_every == 0
        for name, value in train_step(session, session.fabric.to_device(batch), measure=measured).items():
            window[name].append(value)
        position.seconds = time.monotonic() - started
        progress("pretrain", position.step, config.steps)
        if measured:
            figures = {name: float(np.mean(values)) for name, values in window.items()}
            figures |= {f"passed_over/{name}": float(count) for name, count in position.counts.items()}
            figures["seconds"] = position.seconds
            window.clear()
            if log is not None:
                log.write(position.step, figures)
            _watch(figures, history, position.step)
        if save is not None and position.step % config.save_every == 0:
            save()
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _count(batch: ClipBatch, position: Position, *, url: str) -> None:
    """Add up what the sampler passed over; a sample that could not be had at all ends the run."""
    for name, counts in (("corrupt", batch.corrupt), ("still", batch.still)):
        position.counts[name] = position.counts.get(name, 0) + int(counts.sum())
    if int(batch.corrupt.max()) >= ATTEMPTS:
        raise InputError(
            url, f"is so damaged that {ATTEMPTS} clips in a row could not be read", "run the ingest again"
        )


def _watch(figures: Mapping[str, float], history: list[CollapseFigures], step: int) -> None:
    """Warn of a representation that collapses."""
    try:
        latest = CollapseFigures(*(figures[f"collapse/{name}"] for name in ("spread", "rank", "variance")))
    except KeyError:  # the step could not be measured
        return
    for alarm in alarms(latest, history):
        _LOG.warning("step %d: the features may be collapsing: %s", step, alarm)
    history.append(latest)
