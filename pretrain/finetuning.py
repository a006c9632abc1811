"""Fine-tuning: labelled stills teach a pretrained encoder, or a fresh one, to detect."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim import AdamW

from catseye.pretrain.checkpoint import BEST_SCORE, CheckpointInfo, fitting, save_checkpoint
from catseye.pretrain.depth_teacher import DepthTeacher
from catseye.pretrain.detection_pictures import save_detection_pictures
from catseye.pretrain.detection_report.report import save_detection_report
from catseye.pretrain.detection_training import (
    DetectionTraining,
    Trainer,
    build_detector,
    learning_groups,
)
from catseye.pretrain.detector import Detector
from catseye.pretrain.devices import launch
from catseye.pretrain.ema import decay_at, frozen_copy, update_average
from catseye.pretrain.encoder_stages import FrozenPart
from catseye.pretrain.finetune_config import FinetuneConfig
from catseye.pretrain.finetune_labels import LabelSource, RunLabels, read_run_labels
from catseye.pretrain.prediction import measure, predict_labelled
from catseye.pretrain.presets import neck_channels_of
from catseye.pretrain.run_log import RunLog
from catseye.pretrain.start import Start, load_start
from catseye.pretrain.stills import Draw, StillPool, batches
from catseye.pretrain.training import Schedule, autocast_type
from catseye.pretrain.training_state import RunIdentity, finished_run, load_state, save_state
from catseye.pretrain.validation_part import checked, out_of_patience
from catseye.progress import Progress, silent
from catseye.version import __version__

__all__ = ["FinetuneConfig", "finetune"]


def finetune(
    pretrained: Path | None,
    run: Path,
    *,
    labels: Path,
    images: Path | None = None,
    train_list: Path | None = None,
    test_list: Path | None = None,
    extra_labels: Path | None = None,
    extra_images: Path | None = None,
    config: FinetuneConfig,
    progress: Progress = silent,
) -> CheckpointInfo:
    """Train a detector on labels, and leave a finished run in the folder ``run``.

    With a pretrained run, its encoder is the start, and its depth is kept by distillation. Without one, all
    weights start at random; the network is the same, but its depth output means nothing, and the checkpoint's
    ``depth`` is None. A run that was killed continues from its last saved state and ends as if it had not
    been; one that has ended returns at once. Beside the checkpoint it leaves ``metrics.jsonl``,
    ``tensorboard/``, and where there is something to measure on ``pictures/``, ``detection.html`` and
    ``detection.json``. Torch's global generators are seeded anew.

    Args:
        labels: COCO, YOLO or CVAT, see ``read_labels``.
        images: folder that its file names are relative to; by default ``images`` beside ``labels``.
        train_list: file with the names to train on; by default all but those of ``test_list``.
        test_list: file with the names to measure average precision on; without it nothing is measured.
        extra_labels: others to learn from, such as what a detector proposes; a box counts as much as its
            score says, and what is marked as crowd is neither object nor background.
        extra_images: folder of their images; by default ``images`` beside ``extra_labels``.

    Raises:
        InputError: labels, lists, pictures or the pretrained run are not what they must be, a picture is
            in two lists, or ``run`` holds a run with other options or data.
        UsageError: an option does not fit the labels.
        DivergedError: the loss is not finite.
    """
    run = Path(run)
    parts = read_run_labels(
        LabelSource(labels, images),
        train_list=train_list,
        test_list=test_list,
        extra=None if extra_labels is None else LabelSource(extra_labels, extra_images),
        config=config,
    )
    start = load_start(pretrained) if pretrained is not None else None
    if start is not None and not config.depth_weight:
        start = start.without_depth()
    encoder = config.encoder if start is None else start.info.encoder
    neck_channels = neck_channels_of(encoder) if config.neck_channels is None else config.neck_channels
    identity = RunIdentity(
        config.document()
        | {"encoder": encoder, "neck_channels": neck_channels}
        | {"pretrained_sha256": "" if start is None else start.sha256},
        parts.fingerprint,
    )
    finished = finished_run(run, identity)
    if finished is not None:
        return finished
    for part in (parts.check, parts.test):
        part.pictures(parts.folder)
    pool = parts.pool(config, progress=progress)

    fabric = launch(config.devices)
    torch.manual_seed(config.seed)
    with fitting(pretrained or run, remedy="train that anew"):
        detector = build_detector(
            encoder,
            parts.classes,
            embedding_dim=config.embedding_dim,
            neck_channels=neck_channels,
            start=start,
        )
    run_of = _Run(run, identity, config, parts, progress)
    average, figures = _train(run_of, fabric, detector, pool, start)
    average.eval()
    if fabric.global_rank == 0:
        figures |= _measure(average, run_of)
    info = CheckpointInfo(
        kind="finetune",
        encoder=encoder,
        width=config.width,
        height=config.height,
        classes=parts.classes,
        depth=None if start is None else start.info.depth,
        dataset_fingerprint=identity.dataset_fingerprint,
        metrics=figures,
        config=dict(identity.config),
        code_version=__version__,
    )
    if fabric.global_rank == 0:
        save_checkpoint(run, info, average)
    fabric.barrier()
    return info


@dataclass(frozen=True)
class _Run:
    folder: Path
    identity: RunIdentity
    config: FinetuneConfig
    labels: RunLabels
    progress: Progress

    @property
    def draw(self) -> Draw:
        """How batches are drawn, but for which process draws."""
        config = self.config
        return Draw(
            width=config.width,
            height=config.height,
            batch=config.batch,
            zoom=config.zoom,
            seed=config.seed,
            crop=(config.crop_width, config.crop_height) if config.crop_width else None,
            extra=config.extra_of_a_batch() if self.labels.extra else 0,
        )


def _train(
    run: _Run, fabric: Fabric, detector: Detector, pool: StillPool, start: Start | None
) -> tuple[Detector, dict[str, float]]:
    """Take all steps that are left; returns the detector to keep and the last figures logged."""
    config = run.config
    frozen = _frozen_part(detector, config)
    network = DetectionTraining(
        detector, autocast=autocast_type(config.precision, fabric.device), tiny_px=config.tiny_px
    )
    network = network.to(memory_format=torch.channels_last)
    groups = learning_groups(
        detector,
        weight_decay=config.weight_decay,
        pretrained_scale=1.0 if start is None else config.encoder_lr_scale,
        layer_decay=1.0 if start is None else config.layer_decay,
    )
    adamw = AdamW(groups, lr=config.lr, fused=True)
    model, optimizer = fabric.setup(network, adamw)
    average = _copy(detector)
    best = _copy(detector) if config.patience else None
    state = nn.ModuleDict({"detector": detector, "average": average} | ({"best": best} if best else {}))
    position = load_state(run.folder, run.identity, state, adamw)
    trainer = Trainer(
        fabric=fabric,
        model=model,
        optimizer=optimizer,
        schedule=Schedule(config.lr, config.steps, config.warmup),
        clip_norm=config.clip_norm,
        frozen=frozen,
        teacher=_depth_teacher(start, fabric.device),
        depth_weight=config.depth_weight,
        depth_share=config.depth_share,
    )
    draw = replace(run.draw, rank=fabric.global_rank, world=fabric.world_size)
    first = fabric.global_rank == 0
    window: dict[str, list[float]] = defaultdict(list)
    figures: dict[str, float] = {}
    started = time.monotonic() - position.seconds
    model.train()
    with RunLog(run.folder, step=position.step) if first else nullcontext() as log:
        for batch in batches(pool, draw, first_step=position.step, steps=config.steps):
            if out_of_patience(position, patience=config.patience, check_every=config.check_every):
                break
            for name, value in trainer.step(fabric.to_device(batch), position.step).items():
                window[name].append(value)
            position.step += 1
            position.seconds = time.monotonic() - started
            update_average(average, detector, decay=decay_at(position.step, final=config.ema))
            run.progress("finetune", position.step, config.steps)
            last = position.step == config.steps
            if position.step % config.log_every == 0 or last:
                figures = {name: float(np.mean(values)) for name, values in window.items()}
                figures["seconds"] = position.seconds
                window.clear()
                if best is not None and (position.step % config.check_every == 0 or last):
                    figures["check/ap50"] = _check(average, run, fabric)
                    if checked(position, figures["check/ap50"]):
                        best.load_state_dict(average.state_dict())
                if log is not None:
                    log.write(position.step, figures)
            if first and position.step % config.save_every == 0:
                save_state(run.folder, run.identity, position, state, adamw)
    if best is None:
        return average, figures
    return best, figures | {"check/ap50": position.best, "check/step": float(position.best_step)}


def _copy(detector: Detector) -> Detector:
    copy = frozen_copy(detector)
    assert isinstance(copy, Detector)
    return copy


def _frozen_part(detector: Detector, config: FinetuneConfig) -> FrozenPart:
    until = math.ceil(config.unfreeze_after * config.steps) if config.unfreeze_after < 1 else None
    return FrozenPart(
        detector.encoder, weights=config.freeze_encoder, stages=config.freeze_stages, until=until
    )


def _check(average: Detector, run: _Run, fabric: Fabric) -> float:
    """AP50 of the average on the stills kept back, the same for all processes."""
    figure = 0.0
    if fabric.global_rank == 0:
        width, height = run.config.width, run.config.height
        found = predict_labelled(average, run.labels.check, run.labels.folder, width=width, height=height)
        figure = measure(found, run.labels.check).get("ap50", 0.0)
    return float(fabric.broadcast(figure))


def _measure(detector: Detector, run: _Run) -> dict[str, float]:
    """Average precision on the test images, and the score that serves F1 best there, with pictures and a
    page; nothing without test images."""
    test, folder = run.labels.test, run.labels.folder
    if not test.images:
        return {}
    size = {"width": run.config.width, "height": run.config.height}
    found = predict_labelled(detector, test, folder, **size, progress=run.progress)
    save_detection_pictures(found, test, folder, run.folder / "pictures")
    report = save_detection_report(found, test, folder, run.folder)
    best = {} if report.threshold is None else {BEST_SCORE: report.threshold}
    return measure(found, test) | best


def _depth_teacher(start: Start | None, device: torch.device) -> DepthTeacher | None:
    if start is None or not start.has_depth:
        return None
    info = start.info
    return DepthTeacher(info.encoder, start.state, width=info.width, height=info.height).to(device)
