"""The detector as a thing to be taught: its start, its losses, and one optimiser step."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from catseye.errors import CatseyeError
from catseye.pretrain.checkpoint import submodule_state
from catseye.pretrain.depth_teacher import DepthTeacher, decoder_state
from catseye.pretrain.detection_loss import depth_distillation, detection_losses
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.encoder_stages import FrozenPart, stage_scales, stages_of
from catseye.pretrain.start import Start
from catseye.pretrain.stills import Batch
from catseye.pretrain.training import Schedule, decay_groups

_LOG = logging.getLogger(__name__)


class DivergedError(CatseyeError):
    """Training has come to a loss or a gradient that is not finite."""


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
    detector: Detector, *, weight_decay: float, pretrained_scale: float, layer_decay: float = 1.0
) -> list[dict[str, object]]:
    """Parameter groups with a ``scale`` each, by which the learning rate of what was pretrained differs.

    Args:
        layer_decay: see ``stage_scales``; depth's decoder, which lies above the encoder, is not slowed.
    """
    pretrained: dict[float, list[nn.Parameter]] = defaultdict(list)
    slower, owners = stage_scales(layer_decay), stages_of(detector.encoder) if layer_decay != 1 else {}
    for name, parameter in detector.encoder.named_parameters():
        pretrained[pretrained_scale * slower[owners.get(name, 0)]].append(parameter)
    pretrained[pretrained_scale] += detector.depth.parameters()
    fresh = list(nn.ModuleList([detector.neck, detector.head]).parameters())
    return [
        group | {"scale": scale}
        for scale, parameters in (*pretrained.items(), (1.0, fresh))
        for group in decay_groups(parameters, weight_decay=weight_decay)
    ]


class DetectionTraining(nn.Module):
    """The detector with its losses.

    Args:
        detector: to be taught.
        autocast: the type for the network's matrix products, None for float32; losses are float32.
        tiny_px: see ``detection_losses``.
    """

    def __init__(self, detector: Detector, *, autocast: torch.dtype | None, tiny_px: float = 0.0) -> None:
        super().__init__()
        self.detector = detector
        self.autocast = autocast
        self.tiny_px = tiny_px

    def forward(self, rgb: Tensor, batch: Batch, teacher_depth: Tensor | None) -> dict[str, Tensor]:
        """Scalar losses by name.

        Args:
            rgb: (B, 3, H, W) float in [0, 1].
            teacher_depth: inverse canonical depth (b, 1, h, w) of the first b ≤ B pictures.
        """
        depths = 0 if teacher_depth is None else len(teacher_depth)
        with torch.autocast(rgb.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            outputs = self.detector.training_outputs(rgb, depths=depths)
        losses = detection_losses(outputs, batch.targets, tiny_px=self.tiny_px)
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
        frozen: what of the encoder does not learn.
        teacher: of depth, where there is one.
        depth_weight, depth_share: weight of its loss, and the part of a batch that it is taken of.
    """

    fabric: Fabric
    model: nn.Module
    optimizer: Optimizer
    schedule: Schedule
    clip_norm: float
    frozen: FrozenPart
    teacher: DepthTeacher | None
    depth_weight: float
    depth_share: float

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """Make step number ``step``, from 0.

        Returns:
            ``loss/NAME``, ``loss/total``, ``lr`` and ``gradient_norm``.

        Raises:
            DivergedError: the loss or its gradient is not finite.
        """
        rate = self.schedule.at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.frozen.hold(step)
        rgb = (batch.rgb.float() / 255).contiguous(memory_format=torch.channels_last)
        teacher_depth = None
        if self.teacher is not None:
            teacher_depth = self.teacher(rgb[: math.ceil(len(rgb) * self.depth_share)])
        losses = self.model(rgb, batch, teacher_depth)
        weights = {"depth": self.depth_weight}
        total = torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
        self.optimizer.zero_grad()
        self.fabric.backward(total)
        self.frozen.drop(step)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm))
        if not math.isfinite(norm):
            raise DivergedError(
                f"the gradient of step {step + 1} is not finite: "
                "lower the learning rate, or train with precision 32-true"
            )
        self.optimizer.step()
        figures = {f"loss/{name}": float(loss.detach()) for name, loss in losses.items()}
        return figures | {"loss/total": float(total.detach()), "lr": rate, "gradient_norm": norm}
