"""Fine-tuning: labelled stills teach a pretrained encoder, or a fresh one, to detect."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim import AdamW

from catseye.errors import InputError, UsageError
from catseye.pretrain.augment import Still
from catseye.pretrain.checkpoint import CheckpointInfo, save_checkpoint
from catseye.pretrain.depth_teacher import DepthTeacher
from catseye.pretrain.detection_pictures import save_detection_pictures
from catseye.pretrain.detection_training import (
    DetectionTraining,
    Trainer,
    build_detector,
    learning_groups,
)
from catseye.pretrain.detector import Detector
from catseye.pretrain.devices import launch
from catseye.pretrain.ema import decay_at, frozen_copy, update_average
from catseye.pretrain.label_formats import images_folder, read_labels
from catseye.pretrain.labels import Labels, split_labels
from catseye.pretrain.prediction import measure, predict_labelled
from catseye.pretrain.presets import neck_channels_of
from catseye.pretrain.run_log import RunLog
from catseye.pretrain.run_options import RunOptions, require_network_size
from catseye.pretrain.start import Start, load_start
from catseye.pretrain.stills import Draw, batches, load_stills
from catseye.pretrain.training import Schedule, autocast_type
from catseye.pretrain.training_state import RunIdentity, finished_run, load_state, save_state
from catseye.progress import Progress, silent
from catseye.version import __version__

_LARGEST_ZOOM = 4.0
_INDIFFERENT = frozenset({"save_every"})


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(RunOptions):
    """Every option of a fine-tuning run; a batch is of stills.

    Args:
        encoder: for training from scratch only; a pretrained run brings its own.
        width, height: network size in pixels, multiples of 32.
        embedding_dim: length of the appearance descriptor.
        neck_channels: width of neck and head; None is what goes with the encoder, see ``neck_channels_of``.
        zoom: largest factor by which a still is enlarged or shrunk at random.
        encoder_lr_scale: the pretrained encoder's and depth decoder's learning rate in units of ``lr``; from
            scratch everything learns at ``lr``.
        freeze_encoder: leave the encoder's weights as they start; its batch normalisation still measures the
            stills.
        ema: decay of the average of weights and buffers that is kept.
        depth_weight: of the loss that keeps the pretrained depth; at 0 depth is given up, as from scratch.
        depth_share: which part of each batch that loss is taken of.

    Raises:
        UsageError: an option has a value that cannot be.
    """

    width: int = 320
    height: int = 192
    embedding_dim: int = 32
    neck_channels: int | None = None
    batch: int = 8
    zoom: float = 1.3
    encoder_lr_scale: float = 1.0
    freeze_encoder: bool = False
    warmup: float = 0.05
    clip_norm: float = 10.0
    ema: float = 0.995
    depth_weight: float = 1.0
    depth_share: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("embedding_dim")
        if self.neck_channels is not None:
            self.require_positive("neck_channels")
        self.require_not_negative("encoder_lr_scale", "depth_weight")
        if not 1 <= self.zoom <= _LARGEST_ZOOM:
            raise UsageError(f"zoom {self.zoom}: lies between 1 and {_LARGEST_ZOOM:g}")
        require_network_size(self.width, self.height)
        if self.crop_width > self.width or self.crop_height > self.height:
            crop, size = f"{self.crop_width}x{self.crop_height}", f"{self.width}x{self.height}"
            raise UsageError(f"crop {crop}: is more than the network's {size}")
        if not (0 <= self.ema < 1 and 0 < self.depth_share <= 1):
            raise UsageError(f"ema {self.ema}, depth_share {self.depth_share}: both lie between 0 and 1")


def finetune(
    pretrained: Path | None,
    run: Path,
    *,
    labels: Path,
    images: Path | None = None,
    train_list: Path | None = None,
    test_list: Path | None = None,
    config: FinetuneConfig,
    progress: Progress = silent,
) -> CheckpointInfo:
    """Train a detector on labels, and leave a finished run in the folder ``run``.

    With a pretrained run, its encoder is the start, and its depth is kept by distillation. Without one, all
    weights start at random; the network is the same, but its depth output means nothing, and the checkpoint's
    ``depth`` is None. A run that was killed continues from its last saved state and ends as if it had not
    been; one that has ended returns at once. Beside the checkpoint it leaves ``metrics.jsonl``,
    ``tensorboard/`` and ``pictures/``. Torch's global generators are seeded anew.

    Args:
        labels: COCO, YOLO or CVAT, see ``read_labels``.
        images: folder that its file names are relative to; by default ``images`` beside ``labels``.
        train_list: file with the names to train on; by default all but those of ``test_list``.
        test_list: file with the names to measure average precision on; without it nothing is measured.

    Raises:
        InputError: labels, lists, pictures or the pretrained run are not what they must be, a picture is in
            both lists, or ``run`` holds a run with other options or data.
        CatseyeError: the loss is not finite.
    """
    run = Path(run)
    everything = read_labels(labels, images=images)
    images = images_folder(labels) if images is None else images
    train, test = _split(everything, train_list, test_list)
    start = load_start(pretrained) if pretrained is not None else None
    if start is not None and not config.depth_weight:
        start = start.without_depth()
    encoder = config.encoder if start is None else start.info.encoder
    neck_channels = neck_channels_of(encoder) if config.neck_channels is None else config.neck_channels
    identity = RunIdentity(
        {name: value for name, value in asdict(config).items() if name not in _INDIFFERENT}
        | {"encoder": encoder, "neck_channels": neck_channels}
        | {"pretrained_sha256": "" if start is None else start.sha256},
        _fingerprint(everything, train, test),
    )
    finished = finished_run(run, identity)
    if finished is not None:
        return finished
    test.pictures(images)
    stills = load_stills(train, images, width=config.width, height=config.height, progress=progress)

    fabric = launch(config.devices)
    torch.manual_seed(config.seed)
    detector = build_detector(
        encoder,
        train.classes,
        embedding_dim=config.embedding_dim,
        neck_channels=neck_channels,
        start=start,
    )
    detector.encoder.requires_grad_(not config.freeze_encoder)
    run_of = _Run(run, identity, config, progress)
    average, figures = _train(run_of, fabric, detector, stills, start)
    average.eval()
    if fabric.global_rank == 0:
        figures |= _measure(average, test, images, run_of)
    info = CheckpointInfo(
        kind="finetune",
        encoder=encoder,
        width=config.width,
        height=config.height,
        classes=train.classes,
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
    progress: Progress


def _train(
    run: _Run, fabric: Fabric, detector: Detector, stills: Sequence[Still], start: Start | None
) -> tuple[Detector, dict[str, float]]:
    """Take all steps that are left; returns the averaged detector and the last figures logged."""
    config = run.config
    scale = 1.0 if start is None else config.encoder_lr_scale
    network = DetectionTraining(detector, autocast=autocast_type(config.precision, fabric.device))
    network = network.to(memory_format=torch.channels_last)
    groups = learning_groups(detector, weight_decay=config.weight_decay, pretrained_scale=scale)
    adamw = AdamW(groups, lr=config.lr)
    model, optimizer = fabric.setup(network, adamw)
    average = frozen_copy(detector)
    assert isinstance(average, Detector)
    state = nn.ModuleDict({"detector": detector, "average": average})
    position = load_state(run.folder, run.identity, state, adamw)
    trainer = Trainer(
        fabric=fabric,
        model=model,
        optimizer=optimizer,
        schedule=Schedule(config.lr, config.steps, config.warmup),
        clip_norm=config.clip_norm,
        teacher=_depth_teacher(start, fabric.device),
        depth_weight=config.depth_weight,
        depth_share=config.depth_share,
    )
    draw = Draw(
        width=config.width,
        height=config.height,
        batch=config.batch,
        zoom=config.zoom,
        seed=config.seed,
        crop=(config.crop_width, config.crop_height) if config.crop_width else None,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )
    first = fabric.global_rank == 0
    window: dict[str, list[float]] = defaultdict(list)
    figures: dict[str, float] = {}
    started = time.monotonic() - position.seconds
    model.train()
    with RunLog(run.folder, step=position.step) if first else nullcontext() as log:
        for batch in batches(stills, draw, first_step=position.step, steps=config.steps):
            for name, value in trainer.step(fabric.to_device(batch), position.step).items():
                window[name].append(value)
            position.step += 1
            position.seconds = time.monotonic() - started
            update_average(average, detector, decay=decay_at(position.step, final=config.ema))
            run.progress("finetune", position.step, config.steps)
            if position.step % config.log_every == 0 or position.step == config.steps:
                figures = {name: float(np.mean(values)) for name, values in window.items()}
                figures["seconds"] = position.seconds
                window.clear()
                if log is not None:
                    log.write(position.step, figures)
            if first and position.step % config.save_every == 0:
                save_state(run.folder, run.identity, position, state, adamw)
    return average, figures


def _measure(detector: Detector, test: Labels, images: Path, run: _Run) -> dict[str, float]:
    """Average precision on the test images, with pictures of what was found; nothing without test images."""
    if not test.images:
        return {}
    size = {"width": run.config.width, "height": run.config.height}
    found = predict_labelled(detector, test, images, **size, progress=run.progress)
    save_detection_pictures(found, test, images, run.folder / "pictures")
    return measure(found, test)


def _depth_teacher(start: Start | None, device: torch.device) -> DepthTeacher | None:
    if start is None or not start.has_depth:
        return None
    info = start.info
    return DepthTeacher(info.encoder, start.state, width=info.width, height=info.height).to(device)


def _split(labels: Labels, train_list: Path | None, test_list: Path | None) -> tuple[Labels, Labels]:
    """The labels to train on, and those to measure on: none without a list of them."""
    train, test = split_labels(labels, train_list, test_list)
    if not sum(len(image.boxes) for image in train.images):
        raise InputError(
            train_list or labels.path, "leaves no labelled object to train on", "label more images"
        )
    return train, test


def _fingerprint(labels: Labels, train: Labels, test: Labels) -> str:
    """Hex SHA-256 of the labels and of the names of the images trained and measured on."""
    names = [[image.file_name for image in part.images] for part in (train, test)]
    return hashlib.sha256(f"{labels.digest()} {names}".encode()).hexdigest()
