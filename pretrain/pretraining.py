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
from typing import Any

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
from catseye.pretrain.run_options import RunOptions
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

_LOG = logging.getLogger(__name__)
_SIZE_STEP = 32
_INDIFFERENT = frozenset({"workers", "save_every"})


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunOptions):
    """Every option of a pretraining run; a batch is of clips of four frames.

    Args:
        tasks: names of pretext tasks.
        weights: of each task's loss in units of its start; a task not named weighs 1.
        shortest_s, longest_s: bounds of the time between neighbouring frames.
        flip: mirror half of the clips.
        jitter: strength of the photometric jitter, 0 … 1.
        workers: processes that decode clips; 0 decodes between steps.

    Raises:
        UsageError: an option has a value that cannot be.
    """

    tasks: tuple[str, ...] = ("order", "future", "depth")
    weights: Mapping[str, float] = field(default_factory=lambda: {"order": 0.2, "future": 1.0, "depth": 1.0})
    shortest_s: float = 0.08
    longest_s: float = 0.3
    flip: bool = True
    jitter: float = 1.0
    workers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_not_negative("workers")
        if not 0 <= self.jitter <= 1:
            raise UsageError(f"jitter {self.jitter}: lies between 0 and 1")

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
