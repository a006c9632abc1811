"""The pretraining network: one encoder, and every task reading its one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from catseye.errors import UsageError
from catseye.pretrain.checkpoint import submodule_state
from catseye.pretrain.clip_batch import ClipBatch
from catseye.pretrain.crops import CropOptions, crop_clips, whole_clips
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.jitter import jitter
from catseye.pretrain.recompute import recompute_blocks
from catseye.pretrain.tasks import TASKS, Encoded, Task, TaskOutput

SHARED_LEVEL = 2
"""The last feature map that all tasks on a clip's frames read: stride 16."""


class PretextOutput(NamedTuple):
    """Results by task, and ``shared``, the map (N, C, h, w) float32 at which gradients are compared."""

    tasks: dict[str, TaskOutput]
    shared: Tensor


class PretextModel(nn.Module):
    """Encoder and tasks; its state holds ``encoder.*`` and ``TASK.*`` for every task.

    Args:
        encoder: timm name.
        tasks: names in ``TASKS``.
        jitter_strength: of the photometric jitter, 0 … 1.
        crop: what is cut of the clips; None takes whole frames.
        autocast: the type for matrix products; None is float32 throughout.
        recompute: save memory by computing the encoder's activations again in the backward pass.
        start: state of another such model, whose encoder and tasks this one takes over; a task that it does
            not have begins anew.

    Raises:
        UsageError: a name is unknown, or a task comes without the one that it builds on.
    """

    def __init__(
        self,
        encoder: str,
        tasks: Sequence[str],
        *,
        jitter_strength: float = 1.0,
        crop: CropOptions | None = None,
        autocast: torch.dtype | None = None,
        recompute: bool = False,
        start: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        unknown = [name for name in tasks if name not in TASKS]
        if unknown or not tasks:
            raise UsageError(f"tasks {list(tasks)}: choose from {', '.join(TASKS)}")
        for place, name in enumerate(tasks):
            base = TASKS[name].builds_on
            if base and base not in tasks[:place]:
                raise UsageError(f"tasks {list(tasks)}: {name} builds on {base}: name that before it")
        self.encoder = Encoder(encoder)
        if start is not None:  # before a task copies it
            self.encoder.load_state_dict(submodule_state(start, "encoder"))
        self.task_names = tuple(tasks)
        self.jitter_strength, self.crop, self.autocast = jitter_strength, crop, autocast
        for name in tasks:
            self.add_module(name, TASKS[name](self.encoder))
            known = submodule_state(start or {}, name)
            if known:
                self.task(name).load_state_dict(known)
        if recompute:  # after the tasks have taken their copies
            recompute_blocks(self.encoder.body)

    def task(self, name: str) -> Task:
        module = self.get_submodule(name)
        assert isinstance(module, Task)
        return module

    def forward(self, batch: ClipBatch) -> PretextOutput:
        # Note [Autocast inside]
        # Mixed precision of the training framework would round what goes in as well: times, intrinsics and
        # pictures, which the photometric loss compares at a 255th.
        whole = batch.frames.permute(0, 1, 4, 2, 3).float() / 255
        encoded = Encoded(
            batch=batch,
            whole=whole,
            clips=crop_clips(whole, self.crop) if self.crop else whole_clips(whole),
            encoder=self.encode,
            jitter=self.jitter,
        )
        with torch.autocast(whole.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            results = {name: self.task(name)(encoded) for name in self.task_names}
        return PretextOutput(results, encoded.passes[0][SHARED_LEVEL])

    def jitter(self, rgb: Tensor) -> Tensor:
        """Frames (N, 3, H, W) with photometric jitter, in float32 whatever surrounds it."""
        with torch.autocast(rgb.device.type, enabled=False):
            return jitter(rgb, strength=self.jitter_strength)

    def encode(self, rgb: Tensor) -> list[Tensor]:
        """Maps of (N, 3, H, W) frames in [0, 1], float32 whatever they were computed in."""
        maps: list[Tensor] = self.encoder(rgb.contiguous(memory_format=torch.channels_last))
        return [level.float() for level in maps]

    def after_step(self, *, step: int, metrics: Mapping[str, float]) -> None:
        """Tell every task of the step made; ``metrics`` by ``TASK/NAME``."""
        for name in self.task_names:
            own = {
                key.removeprefix(f"{name}/"): metrics[key] for key in metrics if key.startswith(f"{name}/")
            }
            self.task(name).after_step(self.encoder, step=step, metrics=own)
