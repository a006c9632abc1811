"""Pretraining: one encoder learns frame order, future frames and depth together from unlabelled clips."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.optim import AdamW, Optimizer

from catseye.capture.dataset import Dataset
from catseye.errors import CatseyeError, InputError, UsageError
from catseye.pretrain.balance import Balance
from catseye.pretrain.checkpoint import CheckpointInfo, DepthInfo, fitting, save_checkpoint
from catseye.pretrain.clip_batch import ClipBatch
from catseye.pretrain.clip_sampler import ATTEMPTS, ClipSamples, DrawOptions, clip_loader
from catseye.pretrain.collapse import CollapseFigures, alarms
from catseye.pretrain.compilation import compile_networks
from catseye.pretrain.crops import CropOptions
from catseye.pretrain.devices import launch, share_statistics
from catseye.pretrain.model import PretextModel
from catseye.pretrain.pictures import save_depth_pictures
from catseye.pretrain.run_log import RunLog
from catseye.pretrain.run_options import SIZE_STEP, RunOptions
from catseye.pretrain.start import Start, load_start
from catseye.pretrain.tasks.order import FRAMES
from catseye.pretrain.training import (
    Schedule,
    Session,
    autocast_type,
    parameter_groups,
    train_step,
)
from catseye.pretrain.training_state import (
    STATE_FILE,
    Position,
    RunIdentity,
    finished_run,
    load_state,
    save_state,
)
from catseye.progress import Progress, silent
from catseye.version import __version__

_LOG = logging.getLogger(__name__)
_INDIFFERENT = frozenset({"workers", "save_every"})
_MOST_ROLLBACKS = 3


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunOptions):
    """Every option of a pretraining run; a batch is of clips of four frames.

    Args:
        tasks: names of pretext tasks.
        weights: of each task's loss in units of its start; a task not named weighs 1.
        shortest_s, longest_s: bounds of the time between neighbouring frames.
        flip: mirror half of the clips.
        jitter: strength of the photometric jitter, 0 … 1.
        crop_shrink: largest factor by which what is cut of a clip is reduced to the size of a crop.
        balance: how the tasks' losses become one gradient, see ``balance.Balance``.
        accumulate: batches whose mean gradient makes a step.
        recompute: save memory by computing the encoder's activations again in the backward pass.
        learn_intrinsics: have depth learn the lens of clips that have no calibration.
        shuffle_time: a control that learns from frames in any order, see ``DrawOptions``.
        compile: have the encoder and the tasks' networks compiled by torch.compile; not with ``recompute``.
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
    crop_shrink: float = 1.6
    balance: Balance = "start"
    accumulate: int = 1
    recompute: bool = False
    learn_intrinsics: bool = False
    shuffle_time: bool = False
    compile: bool = False
    workers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_not_negative("workers")
        self.require_positive("accumulate")
        if self.crop_width:
            CropOptions(self.crop_width, self.crop_height, self.crop_shrink)
        if not 0 <= self.jitter <= 1:
            raise UsageError(f"jitter {self.jitter}: lies between 0 and 1")
        if self.compile and self.recompute:
            raise UsageError(
                "compile and recompute: give one of them; "
                "a compiled network decides by itself what to compute again"
            )
        if self.balance not in get_args(Balance):
            raise UsageError(f"balance {self.balance!r}: choose {', '.join(get_args(Balance))}")

    @property
    def crop(self) -> CropOptions | None:
        """What is cut of the clips, None for nothing."""
        if not self.crop_width:
            return None
        return CropOptions(self.crop_width, self.crop_height, self.crop_shrink)

    def draw_options(self) -> DrawOptions:
        """How the clip sampler draws for this run."""
        return DrawOptions(
            frames=FRAMES,
            shortest_s=self.shortest_s,
            longest_s=self.longest_s,
            flip=self.flip,
            seed=self.seed,
            learn_intrinsics=self.learn_intrinsics,
            shuffle_time=self.shuffle_time,
        )

    def as_json(self) -> dict[str, Any]:
        """The options as JSON types."""
        return asdict(self) | {"tasks": list(self.tasks), "weights": dict(self.weights)}


def pretrain(
    dataset: Dataset,
    run: Path,
    config: PretrainConfig,
    *,
    start: Path | None = None,
    progress: Progress = silent,
) -> CheckpointInfo:
    """Train on the dataset's usable training clips, and leave a finished run in the folder ``run``.

    With ``start``, the folder of a finished run of the same encoder, it goes on from that run's encoder and
    tasks; the rate rises and falls anew, and tasks that were not there begin.

    A run that was killed continues from its last saved state and ends as if it had not been; one that has
    ended returns at once. Where the features collapse, the run goes back to its last state before that, goes
    on with other samples at half the rate, and says so. Beside the checkpoint it leaves ``metrics.jsonl``,
    ``tensorboard/`` and ``pictures/``. Torch's global generators are seeded anew.

    Raises:
        InputError: the dataset has no usable training clips, frames of an unfit size, or clips that cannot
            be read; ``start`` is no such run; or ``run`` holds a run with other options or data.
        UsageError: an encoder or a task is unknown, or crops are larger than the frames.
        CatseyeError: the gradient stays without finite values, or the features collapse again and again.
    """
    run = Path(run)
    options = {name: value for name, value in config.as_json().items() if name not in _INDIFFERENT}
    started = _started(start, config)
    options["start_sha256"] = "" if started is None else started.sha256
    identity = RunIdentity(options, dataset.fingerprint)
    info = finished_run(run, identity)
    if info is not None:
        return info
    width, height = dataset.info.width, dataset.info.height
    if width % SIZE_STEP or height % SIZE_STEP:
        raise InputError(
            dataset.url, f"has frames of {width}x{height}", f"ingest at multiples of {SIZE_STEP} both ways"
        )
    if config.crop_width > width or config.crop_height > height:
        crop = f"{config.crop_width}x{config.crop_height}"
        raise UsageError(f"crop {crop}: is more than the dataset's frames of {width}x{height}")
    samples = ClipSamples(dataset, dataset.select(split="train"), config.draw_options())
    fabric = launch(config.devices)
    with fitting(start or run, remedy="pretrain that anew"):
        session = make_session(config, fabric, start=started)
    state = _State(run, identity, session)
    state.load()
    first = fabric.global_rank == 0
    with RunLog(run, step=session.position.step) if first else nullcontext() as log:
        figures = _train(session, samples, config, url=dataset.url, log=log, state=state, progress=progress)
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
            # A copy is not compiled: four single frames are not worth graphs of their own.
            save_depth_pictures(copy.deepcopy(session.network), samples, run / "pictures")
        save_checkpoint(run, info, session.network)
    fabric.barrier()
    return info


def _started(run: Path | None, config: PretrainConfig) -> Start | None:
    """The run to start from, of the encoder that is asked for."""
    if run is None:
        return None
    start = load_start(run)
    if start.info.kind != "pretrain":
        raise InputError(run, f"is a {start.info.kind} run", "give the folder of a pretrain run")
    if start.info.encoder != config.encoder:
        raise InputError(run, f"has the encoder {start.info.encoder}, not {config.encoder}", "give the same")
    return start


def make_session(config: PretrainConfig, fabric: Fabric, *, start: Start | None = None) -> Session:
    """A run's network, optimiser and schedule, at its beginning."""
    torch.manual_seed(config.seed)
    network = PretextModel(
        config.encoder,
        config.tasks,
        jitter_strength=config.jitter,
        crop=config.crop,
        autocast=autocast_type(config.precision, fabric.device),
        recompute=config.recompute,
        start=None if start is None else start.state,
    ).to(memory_format=torch.channels_last)
    share_statistics(network, fabric)
    adamw = AdamW(parameter_groups(network, weight_decay=config.weight_decay), lr=config.lr, fused=True)
    if config.compile:
        compile_networks(network)
    model, optimizer = fabric.setup(network, adamw)
    return Session(
        fabric=fabric,
        model=model,
        network=network,
        optimizer=optimizer,
        schedule=Schedule(config.lr, config.steps, config.warmup),
        balance=config.balance,
        clip_norm=config.clip_norm,
        seed=config.seed,
        position=Position(weights={name: config.weights.get(name, 1.0) for name in config.tasks}),
    )


@dataclass(frozen=True)
class _State:
    """What a run goes on from, after a kill or a collapse: a file that all of its processes see."""

    run: Path
    identity: RunIdentity
    session: Session

    @property
    def optimizer(self) -> Optimizer:
        """The optimiser that Fabric has wrapped."""
        inner: Optimizer = getattr(self.session.optimizer, "optimizer", self.session.optimizer)
        return inner

    def load(self) -> None:
        """Go to where the file says; without one, begin it."""
        session = self.session
        if (self.run / STATE_FILE).exists():
            found = load_state(self.run, self.identity, session.network, self.optimizer)
            vars(session.position).update(vars(found))
        else:
            self.save()
        session.fabric.barrier()

    def save(self) -> None:
        session = self.session
        if session.fabric.global_rank == 0:
            save_state(self.run, self.identity, session.position, session.network, self.optimizer)


def _train(
    session: Session,
    samples: ClipSamples,
    config: PretrainConfig,
    *,
    url: str,
    log: RunLog | None,
    state: _State,
    progress: Progress,
) -> dict[str, float]:
    """Take all steps that are left; returns the last figures that were logged."""
    position = session.position
    window: dict[str, list[float]] = defaultdict(list)
    figures: dict[str, float] = {}
    session.model.train()
    started = time.monotonic() - position.seconds
    while position.step < config.steps:
        for batches in _steps_left(session, samples, config):
            for batch in batches:
                _count(batch, position, url=url)
            last = position.step + 1 == config.steps
            measured = last or (position.step + 1) % config.log_every == 0
            for name, value in train_step(session, batches, measure=measured).items():
                window[name].append(value)
            position.seconds = time.monotonic() - started
            progress("pretrain", position.step, config.steps)
            if measured:
                figures = {name: float(np.mean(values)) for name, values in window.items()}
                figures |= {f"passed_over/{name}": float(count) for name, count in position.counts.items()}
                figures |= {"rollbacks": float(position.rollbacks), "seconds": position.seconds}
                window.clear()
                if log is not None:
                    log.write(position.step, figures)
                found = _alarm(figures, session)
                if found:
                    _roll_back(session, state, log, why=found)
                    break
            if position.step % config.save_every == 0:
                state.save()
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _steps_left(
    session: Session, samples: ClipSamples, config: PretrainConfig
) -> Iterator[tuple[ClipBatch, ...]]:
    """The batches of each step that is left."""
    fabric, each = session.fabric, config.accumulate
    left = config.steps - session.position.step
    loader = clip_loader(
        samples,
        range(session.draw * each, (session.draw + left) * each),
        batch=config.batch,
        workers=config.workers,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )
    moved = (fabric.to_device(batch) for batch in loader)
    return zip(*[moved] * each, strict=True)


def _count(batch: ClipBatch, position: Position, *, url: str) -> None:
    """Add up what the sampler passed over; a sample that could not be had at all ends the run."""
    for name, counts in (("corrupt", batch.corrupt), ("still", batch.still)):
        position.counts[name] = position.counts.get(name, 0) + int(counts.sum())
    if int(batch.corrupt.max()) >= ATTEMPTS:
        raise InputError(
            url, f"is so damaged that {ATTEMPTS} clips in a row could not be read", "run the ingest again"
        )


def _alarm(figures: Mapping[str, float], session: Session) -> str:
    """What the first process sees collapse, or nothing."""
    position, found = session.position, ""
    names = [f"collapse/{name}" for name in ("spread", "rank", "variance")]
    if all(name in figures for name in names):  # else the step could not be measured
        latest = CollapseFigures(*(figures[name] for name in names))
        found = "; ".join(alarms(latest, CollapseFigures(**position.collapse) if position.collapse else None))
        position.collapse = latest.as_dict()
    # All processes must go back, or none.
    return session.fabric.broadcast(found)


def _roll_back(session: Session, state: _State, log: RunLog | None, *, why: str) -> None:
    """Put the run back to its last state, from where it draws other samples and learns more slowly."""
    position = session.position
    step, rollbacks = position.step, position.rollbacks + 1
    if rollbacks > _MOST_ROLLBACKS:
        raise CatseyeError(
            f"step {step}: the features collapse ({why}), after {_MOST_ROLLBACKS} returns to an earlier "
            "state: lower the learning rate, or give tasks other weights"
        )
    state.load()
    position.rollbacks = rollbacks
    what = f"the features collapse at step {step} ({why}): back to step {position.step}, at half the rate"
    _LOG.warning(what)
    if log is not None:
        log.rewind(position.step, why=what)
    state.save()
