"""What a pretext task is: a module that turns one shared encoding of a batch into a loss and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from catseye.pretrain.clip_batch import ClipBatch
from catseye.pretrain.encoder import Encoder


@dataclass(frozen=True)
class Encoded:
    """A batch of B clips of T frames after its one pass through the encoder.

    Args:
        batch: times, speeds and intrinsics.
        clean: (B, T, 3, H, W) float RGB in [0, 1], as decoded.
        features: of the *jittered* frames, (B, T, C, h, w) float32 at the encoder's strides.
    """

    batch: ClipBatch
    clean: Tensor
    features: list[Tensor]


class TaskOutput(NamedTuple):
    """``loss`` is a scalar with a gradient; ``metrics`` are detached scalars."""

    loss: Tensor
    metrics: dict[str, Tensor]


class Task(nn.Module):
    """Base of every pretext task. A subclass takes the encoder only to learn its channels or to copy it."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()

    def forward(self, encoded: Encoded) -> TaskOutput:
        raise NotImplementedError

    def after_step(self, encoder: Encoder, *, step: int) -> None:
        """Called when the optimiser has made step number ``step`` (from 1)."""
