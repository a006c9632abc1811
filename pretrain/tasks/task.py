"""What a pretext task is: a module that turns one shared encoding of a batch into a loss and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from catseye.pretrain.clip_batch import ClipBatch
from catseye.pretrain.crops import CroppedClips
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.motion_mask import Compared


class Foreseen(NamedTuple):
    """Normalised features at two strides: ``last`` (B, C, h, w) of the last frame seen, and what is predicted
    of the n frames to come, ``coming`` (B, n, C, h, w)."""

    last: list[Tensor]
    coming: list[Tensor]


@dataclass(frozen=True)
class Encoded:
    """A batch of B clips of T frames, and its passes through the encoder.

    Args:
        batch: times, speeds and intrinsics.
        whole: (B, T, 3, H', W') float RGB in [0, 1], the frames as decoded.
        clips: what the tasks learn from: the same, or crops of them.
        encoder: gives the maps (N, C, h, w) float32, at its strides, of (N, 3, H, W) frames in [0, 1].
        jitter: photometric jitter of (N, 3, H, W) frames.
        foreseen: what the task ``future`` predicts, for tasks that build on it.
        compared: what the task ``depth`` found to move, for tasks that build on it.
    """

    batch: ClipBatch
    whole: Tensor
    clips: CroppedClips
    encoder: Callable[[Tensor], list[Tensor]]
    jitter: Callable[[Tensor], Tensor]
    passes: list[list[Tensor]] = field(default_factory=list)
    foreseen: list[Foreseen] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)

    @property
    def clean(self) -> Tensor:
        """Frames (B, T, 3, H, W) to learn from, without jitter."""
        return self.clips.frames

    def encode(self, rgb: Tensor) -> list[Tensor]:
        """Maps of a task's own views (N, 3, H, W); the tasks that share frames share ``features``."""
        self.passes.append(self.encoder(rgb))
        return self.passes[-1]

    @cached_property
    def features(self) -> list[Tensor]:
        """Maps of the *jittered* frames, (B, T, C, h, w), encoded once for all tasks."""
        maps = self.encode(self.jitter(self.clean.flatten(0, 1)))
        return [torch.unflatten(level, 0, self.clean.shape[:2]) for level in maps]


class TaskOutput(NamedTuple):
    """``loss`` is a scalar with a gradient; ``metrics`` are detached scalars."""

    loss: Tensor
    metrics: dict[str, Tensor]


class Task(nn.Module):
    """Base of every pretext task. A subclass takes the encoder only to learn its channels or to copy it."""

    builds_on: ClassVar[str] = ""
    """Name of a task without which this one can do nothing; it comes first."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()

    def forward(self, encoded: Encoded) -> TaskOutput:
        raise NotImplementedError

    def after_step(self, encoder: Encoder, *, step: int, metrics: Mapping[str, float]) -> None:
        """Called when the optimiser has made step number ``step`` (from 1).

        Args:
            metrics: the task's own, the mean over the batches and processes of the step.
        """
