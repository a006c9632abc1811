"""A pretrained run that another run starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from catseye.errors import InputError
from catseye.files import sha256_of
from catseye.pretrain.checkpoint import MODEL_FILE, CheckpointInfo, load_checkpoint


@dataclass(frozen=True)
class Start:
    """A pretrained run to start from: its document, its weights, and their SHA-256."""

    info: CheckpointInfo
    state: dict[str, Tensor]
    sha256: str

    @property
    def has_depth(self) -> bool:
        return self.info.depth is not None

    def without_depth(self) -> Start:
        """The same as if it had not learned depth."""
        return replace(self, info=self.info.model_copy(update={"depth": None}))


def load_start(pretrained: Path) -> Start:
    """Read a pretrained run.

    Raises:
        InputError: the folder is no finished pretraining run.
    """
    info, state = load_checkpoint(pretrained)
    if info.kind != "pretrain":
        raise InputError(pretrained, f"is a {info.kind} run", "give the folder of a pretrain run")
    return Start(info, state, sha256_of(Path(pretrained) / MODEL_FILE))
