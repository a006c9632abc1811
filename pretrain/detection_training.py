"""The detector as a thing to be taught: its start, its losses, and one optimiser step."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from catseye.errors import CatseyeError
from catseye.files import sha256_of
from catseye.pretrain.checkpoint import MODEL_FILE, CheckpointInfo, load_checkpoint, submodule_state
from catseye.pretrain.depth_teacher import DepthTeacher, decoder_state
from catseye.pretrain.detection_loss import depth_distillation, detection_losses
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.stills import Batch
from catseye.pretrain.training import Schedule, parameter_groups

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """A run to start from: its document, its weights by a pretrained run's names, and their SHA-256."""

    info: CheckpointInfo
    state: dict[str, Tensor]
    sha256: str

    @property
    def has_depth(self) -> bool:
        return self.info.depth is not None

    def without_depth(self) -> Start:
        """The same as if it had not learned depth."""
        return replace(self, info=self.info.model_copy(update={"depth": None}))


def as_pretrained(detector: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A detector's weights by the names that they would have after pretraining."""
    names = {"neck": "objects.neck", "head": "objects.head", "depth": "depth.decoder", "encoder": "encoder"}
    return {
        f"{later}.{name}": tensor
        for part, later in names.items()
        for name, tensor in submodule_state(dict(detector), part).items()
    }


def load_start(pretrained: Path) -> Start:
    """Read a pretrained run, or a fine-tuned one to go on from.

    Raises:
        InputError: the folder is no finished run.
    """
    info, state = load_checkpoint(pretrained)
    if info.kind == "finetune":
        state = as_pretrained(state)
    return Start(info, state, sha256_of(Path(pretrained) / MODEL_FILE))


def build_detector(
    encoder: str, classes: Sequence[str], *, embedding_dim: int, neck_channels: int, start: Start | None
) -> Detector:
    """A detector with the weights of ``start`` where there are any, and random ones elsewhere.

    A start that learned objects, or was fine-tuned, has a neck and a head too; they serve where they are of
    the width asked for. A class that it knows begins as that, another as the mean of those it knows. Only
    what will be taught takes gradients: depth's coarser outputs never, depth itself only where the start has
    it.
    """
    detector = Detector(
        Encoder(encoder), classes=classes, embedding_dim=embedding_dim, neck_channels=neck_channels
    )
    if start is not None:
        detector.encoder.load_state_dict(submodule_state(start.state, "encoder"))
        _take_objects(detector, start, neck_channels=neck_channels)
    if start is not None and start.has_depth:
        detector.depth.load_state_dict(decoder_state(start.state))
        detector.depth.heads[1:].requires_grad_(False)
    else:
        detector.depth.requires_grad_(False)
    return detector


def _take_objects(detector: Detector, start: Start, *, neck_channels: int) -> None:
    """Start neck and head from those of the task ``objects``, if there are any of that width."""
    neck, head = (submodule_state(dict(start.state), f"objects.{part}") for part in ("neck", "head"))
    if not neck:
        return
    if neck["laterals.0.weight"].shape[0] != neck_channels:
        _LOG.warning(
            "the pretrained neck has %d channels, not %d: neck and head begin anew",
            neck["laterals.0.weight"].shape[0],
            neck_channels,
        )
        return
    row = {name: number for number, name in enumerate(start.info.classes)}
    for layer in ("many", "one"):
        for part in ("weight", "bias"):
            known = head[f"{layer}.{part}"]
            head[f"{layer}.{part}"] = torch.stack(
                [known[row[name]] if name in row else known.mean(dim=0) for name in detector.classes]
            )
    detector.neck.load_state_dict(neck)
    detector.head.load_state_dict(head)


def learning_groups(
    detector: Detector, *, weight_decay: float, pretrained_scale: float
) -> list[dict[str, object]]:
    """Parameter groups with a ``scale`` each, by which the learning rate of what was pretrained differs."""
    pretrained = nn.ModuleList([detector.encoder, detector.depth])
    fresh = nn.ModuleList([detector.neck, detector.head])
    return [
        group | {"scale": scale}
        for part, scale in ((pretrained, pretrained_scale), (fresh, 1.0))
        for group in parameter_groups(part, weight_decay=weight_decay)
    ]


class DetectionTraining(nn.Module):
    """The detector with its losses.

    Args:
        detector: to be taught.
        autocast: the type for the network's matrix products, None for float32; losses are float32.
    """

    def __init__(self, detector: Detector, *, autocast: torch.dtype | None) -> None:
        super().__init__()
        self.detector = detector
        self.autocast = autocast

    def forward(self, rgb: Tensor, batch: Batch, teacher_depth: Tensor | None) -> dict[str, Tensor]:
        """Scalar losses by name.

        Args:
            rgb: (B, 3, H, W) float in [0, 1].
            teacher_depth: inverse canonical depth (b, 1, h, w) of the first b ≤ B pictures.
        """
        depths = 0 if teacher_depth is None else len(teacher_depth)
        with torch.autocast(rgb.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            outputs = self.detector.training_outputs(rgb, depths=depths)
        losses = detection_losses(outputs, batch.targets)
        if teacher_depth is not None and outputs.inverse_depth is not None:
            losses["depth"] = depth_distillation(outputs.inverse_depth, teacher_depth)
        return losses


@dataclass(frozen=True)
class Trainer:
    """What steps are made with.

    Args:
        fabric: devices and processes.
        model: a ``DetectionTraining`` as Fabric has wrapped it.
        optimizer: over ``learning_groups``.
        schedule: of the learning rate.
        clip_norm: largest gradient norm.
        teacher: of depth, where there is one.
        depth_weight, depth_share: weight of its loss, and the part of a batch that it is taken of.
    """

    fabric: Fabric
    model: nn.Module
    optimizer: Optimizer
    schedule: Schedule
    clip_norm: float
    teacher: DepthTeacher | None
    depth_weight: float
    depth_share: float

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """Make step number ``step``, from 0.

        Returns:
            ``loss/NAME``, ``loss/total``, ``lr`` and ``gradient_norm``.

        Raises:
            CatseyeError: the loss or its gradient is not finite.
        """
        rate = self.schedule.at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        rgb = (batch.rgb.float() / 255).contiguous(memory_format=torch.channels_last)
        teacher_depth = None
        if self.teacher is not None:
            teacher_depth = self.teacher(rgb[: math.ceil(len(rgb) * self.depth_share)])
        losses = self.model(rgb, batch, teacher_depth)
        weights = {"depth": self.depth_weight}
        total = torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
        self.optimizer.zero_grad()
        self.fabric.backward(total)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm))
        if not math.isfinite(norm):
            raise CatseyeError(
                f"the gradient of step {step + 1} is not finite: "
                "lower the learning rate, or train with precision 32-true"
            )
        self.optimizer.step()
        figures = {f"loss/{name}": float(loss.detach()) for name, loss in losses.items()}
        return figures | {"loss/total": float(total.detach()), "lr": rate, "gradient_norm": norm}
