"""What every training run is told, whatever it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from catseye.errors import UsageError

Precision = Literal["auto", "32-true", "bf16-mixed"]


SIZE_STEP = 32
"""Widths and heights of networks are multiples of it: the stride of the encoder's coarsest map."""


def require_network_size(width: int, height: int, *, what: str = "size") -> None:
    """Refuse a size that encoders cannot take.

    Raises:
        UsageError: it is not positive, or no multiple of ``SIZE_STEP``.
    """
    if min(width, height) <= 0 or width % SIZE_STEP or height % SIZE_STEP:
        raise UsageError(f"{what} {width}x{height}: takes multiples of {SIZE_STEP} both ways")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options that all training runs share. A subclass sets its own defaults and adds its own options.

    Args:
        encoder: timm name.
        steps: optimiser steps.
        batch: samples a step and process.
        lr: peak learning rate of AdamW; it rises linearly over the first ``warmup`` of the run and falls as a
            cosine.
        weight_decay: of weights; biases and normalisation have none.
        clip_norm: largest gradient norm.
        precision: ``auto`` is bf16-mixed where the processor multiplies bfloat16 and 32-true elsewhere.
        crop_width, crop_height: size in pixels of what is cut of each sample for learning, multiples of 32; 0
            takes all of it.
        devices: processes or GPUs of one machine.
        log_every: steps between lines of the log.
        save_every: steps between states to resume from, a multiple of ``log_every``.
        seed: of weights, samples and everything drawn.

    Raises:
        UsageError: an option has a value that cannot be.
    """

    encoder: str = "resnet18"
    steps: int = 2000
    batch: int = 4
    lr: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.05
    clip_norm: float = 5.0
    precision: Precision = "auto"
    crop_width: int = 0
    crop_height: int = 0
    devices: int = 1
    log_every: int = 20
    save_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        self.require_positive("steps", "batch", "devices", "log_every", "save_every", "lr", "clip_norm")
        self.require_not_negative("weight_decay", "seed")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"warmup {self.warmup}: lies between 0 and 1")
        if self.save_every % self.log_every:
            raise UsageError(
                f"save_every {self.save_every}: must be a multiple of log_every {self.log_every}"
            )
        if self.crop_width or self.crop_height:
            require_network_size(self.crop_width, self.crop_height, what="crop")
        if self.precision not in get_args(Precision):
            raise UsageError(f"precision {self.precision!r}: choose {' or '.join(get_args(Precision))}")

    def require_positive(self, *names: str) -> None:
        """Refuse the options named unless they are above 0."""
        self._require(names, [not getattr(self, name) > 0 for name in names], "must be above 0")

    def require_not_negative(self, *names: str) -> None:
        """Refuse the options named if they are below 0, or no number."""
        self._require(names, [not getattr(self, name) >= 0 for name in names], "must not be negative")

    def _require(self, names: Sequence[str], wrong: Sequence[bool], rule: str) -> None:
        for name, refused in zip(names, wrong, strict=True):
            if refused:
                raise UsageError(f"{name} {getattr(self, name)}: {rule}")
