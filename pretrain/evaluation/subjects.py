"""What is evaluated: encoders, each with whatever its run has besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from catseye.capture.dataset import Dataset
from catseye.capture.geometry import Image
from catseye.errors import InputError, UsageError
from catseye.pretrain.checkpoint import INFO_FILE, CheckpointInfo
from catseye.pretrain.detector import Detector, load_detector
from catseye.pretrain.encoder import Encoder, to_rgb
from catseye.pretrain.evaluation.summary import Kind
from catseye.pretrain.model import PretextModel
from catseye.pretrain.probes import load_pretext
from catseye.pretrain.tasks.depth import Depth, canonical_depth


@dataclass(frozen=True)
class Subject:
    """An encoder in evaluation mode, on the CPU.

    Args:
        name: shortest distinct name of the run's folder, ``run``; that is None for an untrained encoder.
        width, height: network size in pixels.
        info: the run's document.
        pretext: of a pretraining run.
        detector: of a fine-tuning run.
    """

    name: str
    kind: Kind
    run: Path | None
    width: int
    height: int
    encoder: Encoder
    info: CheckpointInfo | None = None
    pretext: PretextModel | None = None
    detector: Detector | None = None

    @property
    def has_depth(self) -> bool:
        return self.info is not None and self.info.depth is not None

    @property
    def metric(self) -> bool:
        """Whether its depth and motion are in metres."""
        return self.info is not None and self.info.depth is not None and self.info.depth.metric


def load_subjects(runs: Sequence[Path], dataset: Dataset, *, seed: int) -> list[Subject]:
    """All runs, and an untrained encoder of each timm name among them.

    Raises:
        UsageError: there is no run.
        InputError: one is no finished run, or was pretrained at another size than the dataset's.
    """
    if not runs:
        raise UsageError("no run to evaluate: name folders of pretrain or finetune runs")
    subjects = [_load(run, name, dataset) for run, name in zip(runs, _short_names(runs), strict=True)]
    encoders = list(dict.fromkeys(subject.encoder.name for subject in subjects))
    for encoder in encoders:
        name = "untrained" if len(encoders) == 1 else f"untrained {encoder}"
        subjects.append(_untrained(encoder, name, dataset, seed=seed))
    return subjects


@torch.no_grad()
def depth_map(subject: Subject, frame: Image) -> NDArray[np.float32]:
    """Canonical depth (h, w) that a subject with depth sees in a network frame (H, W, 3) of the dataset."""
    rgb = cv2.resize(frame, (subject.width, subject.height), interpolation=cv2.INTER_LINEAR)
    frames = to_rgb(np.asarray(rgb, dtype=np.uint8)[None])
    if subject.detector is not None:
        return np.asarray(subject.detector(frames).depth[0].numpy(), dtype=np.float32)
    assert subject.pretext is not None
    task = subject.pretext.task("depth")
    assert isinstance(task, Depth)
    inverse = task.decoder(subject.pretext.encode(frames)).inverses[0]
    return np.asarray(canonical_depth(inverse)[0, 0].numpy(), dtype=np.float32)


def _load(run: Path, name: str, dataset: Dataset) -> Subject:
    if CheckpointInfo.load(run / INFO_FILE).kind == "finetune":
        detector, info = load_detector(run)
        return Subject(
            name,
            "finetune",
            run,
            info.width,
            info.height,
            detector.encoder,
            info=info,
            detector=detector,
        )
    pretext, info = load_pretext(run)
    if (dataset.info.width, dataset.info.height) != (info.width, info.height):
        size = f"{dataset.info.width}x{dataset.info.height}"
        fault = f"has frames of {size}, {run} learned from {info.width}x{info.height}"
        raise InputError(dataset.url, fault, f"ingest at {info.width}x{info.height}")
    return Subject(
        name, "pretrain", run, info.width, info.height, pretext.encoder, info=info, pretext=pretext
    )


def _untrained(encoder: str, name: str, dataset: Dataset, *, seed: int) -> Subject:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = Encoder(encoder).eval()
    return Subject(name, "untrained", None, dataset.info.width, dataset.info.height, fresh)


def _short_names(runs: Sequence[Path]) -> list[str]:
    """As many of the last parts of each path as tell all apart, from each other and from the untrained.

    Raises:
        UsageError: a run is named twice.
    """
    resolved = [run.resolve() for run in runs]
    if len(set(resolved)) < len(resolved):
        twice = next(run for run in runs if resolved.count(run.resolve()) > 1)
        raise UsageError(f"{twice}: is named twice; name each run once")
    parts = max(len(path.parts) for path in resolved)
    for kept in range(1, parts + 1):
        names = ["/".join(path.parts[-kept:]) for path in resolved]
        if len(set(names)) == len(names) and "untrained" not in names:
            break
    return names
