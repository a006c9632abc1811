"""A run that another run starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from catseye.files import sha256_of
from catseye.pretrain.checkpoint import MODEL_FILE, CheckpointInfo, load_checkpoint, submodule_state


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


def load_start(run: Path) -> Start:
    """Read a pretrained run, or a fine-tuned one to go on from.

    Raises:
        InputError: the folder is no finished run.
    """
    info, state = load_checkpoint(run)
    if info.kind == "finetune":
        state = as_pretrained(state)
    return Start(info, state, sha256_of(Path(run) / MODEL_FILE))
