"""Teaching a detector's embedding from unlabelled clips. All else in the detector stays as it is."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from catseye.capture.dataset import Dataset
from catseye.errors import CatseyeError, InputError, UsageError
from catseye.files import sha256_of
from catseye.pretrain.appearance import contrastive_loss, map_of_boxes, nearest_is_same, read_cells
from catseye.pretrain.appearance_head import AppearanceHead
from catseye.pretrain.appearance_pictures import save_appearance_pictures
from catseye.pretrain.appearance_scenes import (
    ClipScenes,
    Scenes,
    StillScenes,
    linked_scenes,
    load_scenes,
    save_scenes,
)
from catseye.pretrain.appearance_views import ViewDraw, Views, ViewSampler
from catseye.pretrain.checkpoint import MODEL_FILE, CheckpointInfo, save_checkpoint
from catseye.pretrain.colour_shares import COLOURS
from catseye.pretrain.describing import describe
from catseye.pretrain.detection_head import NECK_CHANNELS
from catseye.pretrain.detector import EMBEDDING_DIM, Detector, load_detector
from catseye.pretrain.devices import launch
from catseye.pretrain.label_formats import images_folder
from catseye.pretrain.labels import Labels
from catseye.pretrain.prediction import predict
from catseye.pretrain.pseudo_tracks import LinkOptions
from catseye.pretrain.run_log import RunLog
from catseye.pretrain.run_options import RunOptions
from catseye.pretrain.training import Schedule, autocast_type, parameter_groups
from catseye.pretrain.training_state import RunIdentity, finished_run, load_state, save_state
from catseye.progress import Progress, silent
from catseye.version import __version__

_LOG = logging.getLogger(__name__)

TRACKS_FILE = "pseudo_tracks.npz"

_INDIFFERENT = frozenset({"encoder", "save_every"})
_LARGEST_ZOOM = 4.0


@dataclass(frozen=True, kw_only=True)
class EmbedConfig(RunOptions):
    """Every option of teaching an embedding; a batch is of pairs of views. The run brings its encoder.

    Args:
        temperature: of the contrastive loss.
        zoom: largest factor by which a view is enlarged or shrunk at random.
        every_s: seconds between the frames that are searched for vehicles, at least.
        linking: what counts as the same vehicle from frame to frame.

    Raises:
        UsageError: an option has a value that cannot be.
    """

    steps: int = 1000
    batch: int = 8
    lr: float = 2e-3
    temperature: float = 0.1
    zoom: float = 1.4
    every_s: float = 0.08
    linking: LinkOptions = field(default_factory=LinkOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("temperature", "every_s")
        if not 1 <= self.zoom <= _LARGEST_ZOOM:
            raise UsageError(f"zoom {self.zoom}: lies between 1 and {_LARGEST_ZOOM:g}")


class AppearanceTraining(nn.Module):
    """The embedding with its loss, over an encoder that stays as it is."""

    def __init__(self, detector: Detector, *, temperature: float, autocast: torch.dtype | None) -> None:
        super().__init__()
        self.encoder = detector.encoder.eval().requires_grad_(False)
        assert isinstance(detector.embedding, AppearanceHead)
        self.head = detector.embedding
        self.temperature, self.autocast = temperature, autocast

    def forward(self, rgb: Tensor, views: Views) -> dict[str, Tensor]:
        """``loss``, and learned ``descriptors`` (M, E) of the boxes, from views (B, 3, H, W) in [0, 1]."""
        with torch.autocast(rgb.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            with torch.no_grad():
                features = self.encoder(rgb)
            boxes = map_of_boxes(views.boxes, views.pictures, views.cells, like=features[0])
            maps = self.head(rgb, features, boxes)
        # By itself: beside the colours, which know most vehicles, what is learned is learned of the odd ones.
        learned = maps[:, COLOURS:]
        descriptors = read_cells(learned, views.pictures, views.cells)
        loss = contrastive_loss(descriptors, views.relations, temperature=self.temperature)
        return {"loss": loss, "descriptors": descriptors.detach()}

    def train(self, mode: bool = True) -> AppearanceTraining:
        super().train(mode)
        self.encoder.eval()
        return self


def embed(
    run: Path,
    out: Path,
    *,
    dataset: Dataset | None = None,
    labels: Labels | None = None,
    images: Path | None = None,
    config: EmbedConfig,
    progress: Progress = silent,
) -> CheckpointInfo:
    """Teach the embedding of a fine-tuning run without identity labels; leave a fine-tuning run in ``out``.

    From a dataset's usable training clips: what the run detects in them is linked into pseudo-tracks, and
    sights of one vehicle are told from those of others. From labelled stills, where there is no footage, each
    vehicle is known again only in other views of the same picture. Encoder, boxes, scores and depth are those
    of ``run`` to the bit. A call that was killed continues from its last saved state and ends as if it had
    not been; a run that has ended returns at once. Beside the checkpoint it leaves ``pseudo_tracks.npz``,
    ``metrics.jsonl``, ``tensorboard/`` and ``pictures/``. Torch's global generators are seeded anew.

    Args:
        run: folder of the fine-tuning run.
        dataset: unlabelled clips, best of the detector's own size.
        labels: stills, in place of a dataset.
        images: folder that the labels' file names are relative to; by default what
            ``images_folder`` says.

    Raises:
        UsageError: both or neither of dataset and labels are given, or an option does not fit.
        InputError: the run is none, nothing is found in the clips or stills, or ``out`` holds a run with
            other options or data.
        CatseyeError: the loss is not finite.
    """
    if dataset is not None and labels is None:
        source = dataset.fingerprint
    elif labels is not None and dataset is None:
        source = labels.digest()
    else:
        raise UsageError(
            "teaching an embedding takes a dataset of clips, or labelled stills: give one of them"
        )
    run, out = Path(run), Path(out)
    detector, start = load_detector(run)
    if config.crop_width > start.width or config.crop_height > start.height:
        crop, size = f"{config.crop_width}x{config.crop_height}", f"{start.width}x{start.height}"
        raise UsageError(f"crop {crop}: is more than the detector's {size}")
    width = start.config.get("neck_channels", NECK_CHANNELS)
    options = {name: value for name, value in asdict(config).items() if name not in _INDIFFERENT}
    identity = RunIdentity(
        dict(start.config)
        | {"appearance_width": width, "appearance": options}
        | {"detector_sha256": sha256_of(run / MODEL_FILE)},
        hashlib.sha256(f"{start.dataset_fingerprint} {source}".encode()).hexdigest(),
    )
    finished = finished_run(out, identity)
    if finished is not None:
        return finished
    fabric = launch(config.devices)
    if dataset is not None:
        scenes: Scenes = _clip_scenes(dataset, detector, start, out, identity, config, fabric, progress)
    else:
        assert labels is not None
        scenes = StillScenes(labels, images_folder(labels.path) if images is None else images)
    torch.manual_seed(config.seed)
    dim = start.config.get("embedding_dim", EMBEDDING_DIM)
    detector.embedding = AppearanceHead(detector.encoder.channels[0], dim, width)
    sampler = ViewSampler(scenes, _draw(config, start, fabric))
    figures = _train(out, identity, fabric, detector, sampler, config, progress)
    info = start.model_copy(
        update={
            "dataset_fingerprint": identity.dataset_fingerprint,
            "metrics": start.metrics | {f"appearance/{name}": value for name, value in figures.items()},
            "config": dict(identity.config),
            "code_version": __version__,
        }
    )
    if fabric.global_rank == 0:
        describing = partial(describe, detector, width=start.width, height=start.height)
        save_appearance_pictures(scenes, describing, out / "pictures", seed=config.seed)
        save_checkpoint(out, info, detector)
    fabric.barrier()
    return info


def _clip_scenes(
    dataset: Dataset,
    detector: Detector,
    start: CheckpointInfo,
    out: Path,
    identity: RunIdentity,
    config: EmbedConfig,
    fabric: Fabric,
    progress: Progress,
) -> ClipScenes:
    """Pseudo-tracks of the dataset's training clips: those of an earlier call, or new ones."""
    known = [dataset.fingerprint, identity.config["detector_sha256"], asdict(config.linking), config.every_s]
    frames, network = (dataset.info.width, dataset.info.height), (start.width, start.height)
    if frames[0] < network[0] and frames[1] < network[1]:
        _LOG.warning(
            "%s: its frames of %dx%d are smaller than the detector's %dx%d, which finds less in them",
            dataset.url,
            *frames,
            *network,
        )
    path = out / TRACKS_FILE
    scenes = load_scenes(path, identity=known)
    if scenes is None:
        detect = partial(predict, detector.to(fabric.device), width=start.width, height=start.height)
        scenes = linked_scenes(
            dataset,
            dataset.select(split="train"),
            detect,
            config.linking,
            every_s=config.every_s,
            progress=progress,
        )
        if not scenes:
            fault = f"has no training clip in which anything is detected from {config.linking.threshold:g} on"
            raise InputError(
                dataset.url, fault, "lower the threshold, or give footage like the detector's stills"
            )
        if fabric.global_rank == 0:
            save_scenes(path, scenes, identity=known)
    return ClipScenes(dataset, scenes)


def _draw(config: EmbedConfig, start: CheckpointInfo, fabric: Fabric) -> ViewDraw:
    return ViewDraw(
        width=start.width,
        height=start.height,
        pairs=config.batch,
        zoom=config.zoom,
        seed=config.seed,
        crop=(config.crop_width, config.crop_height) if config.crop_width else None,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )


def _train(
    out: Path,
    identity: RunIdentity,
    fabric: Fabric,
    detector: Detector,
    sampler: ViewSampler,
    config: EmbedConfig,
    progress: Progress,
) -> dict[str, float]:
    """Take all steps that are left; returns the last figures logged, and leaves the detector in eval mode."""
    network = AppearanceTraining(
        detector, temperature=config.temperature, autocast=autocast_type(config.precision, fabric.device)
    ).to(memory_format=torch.channels_last)
    adamw = AdamW(parameter_groups(network.head, weight_decay=config.weight_decay), lr=config.lr)
    model, optimizer = fabric.setup(network, adamw)
    position = load_state(out, identity, network.head, adamw)
    schedule = Schedule(config.lr, config.steps, config.warmup)
    first = fabric.global_rank == 0
    window: dict[str, list[float]] = defaultdict(list)
    figures: dict[str, float] = {}
    started = time.monotonic() - position.seconds
    model.train()
    with RunLog(out, step=position.step) if first else nullcontext() as log:
        for views in sampler.batches(first_step=position.step, steps=config.steps):
            for group in adamw.param_groups:
                group["lr"] = schedule.at(position.step)
            for name, value in _step(fabric, model, optimizer, fabric.to_device(views), config).items():
                window[name].append(value)
            position.step += 1
            position.seconds = time.monotonic() - started
            progress("embed", position.step, config.steps)
            if position.step % config.log_every == 0 or position.step == config.steps:
                figures = {name: float(np.nanmean(values)) for name, values in window.items()}
                figures |= {"lr": schedule.at(position.step - 1), "seconds": position.seconds}
                window.clear()
                if log is not None:
                    log.write(position.step, figures)
            if first and position.step % config.save_every == 0:
                save_state(out, identity, position, network.head, adamw)
    detector.eval()
    return figures


def _step(
    fabric: Fabric, model: nn.Module, optimizer: Optimizer, views: Views, config: EmbedConfig
) -> dict[str, float]:
    """Make one step.

    Raises:
        CatseyeError: the gradient is not finite.
    """
    rgb = (views.rgb.float() / 255).contiguous(memory_format=torch.channels_last)
    told = model(rgb, views)
    optimizer.zero_grad()
    fabric.backward(told["loss"])
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm))
    if not math.isfinite(norm):
        raise CatseyeError(
            "the gradient is not finite: lower the learning rate, or train with precision 32-true"
        )
    optimizer.step()
    return {
        "loss": float(told["loss"].detach()),
        "nearest_is_same": nearest_is_same(told["descriptors"], views.relations),
        "boxes": float(len(views.cells)),
        "gradient_norm": norm,
    }
