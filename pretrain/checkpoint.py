"""What a training run leaves: ``checkpoint.json`` and ``model.safetensors``. No pickle is involved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from catseye.contract import Contract
from catseye.errors import InputError
from catseye.files import replacing

INFO_FILE = "checkpoint.json"
MODEL_FILE = "model.safetensors"
_UNFIT = "Error(s) in loading state_dict"

BEST_SCORE = "best_score"
"""Among the metrics of a detector, the score from which what it finds on the test stills has the best F1."""

SCORE_THRESHOLD = 0.3
"""Score from which a detection is worth showing where no test stills say better."""


class DepthInfo(BaseModel):
    """What the depth output means.

    Canonical depth is learned as if every camera's focal length were ``canonical_focal`` image widths; a
    camera's own depth is ``canonical · (fx / width) / canonical_focal``, in metres where ``metric`` is true
    and in an arbitrary unit otherwise.
    """

    model_config = ConfigDict(frozen=True)

    canonical_focal: float = Field(default=1.0, gt=0)
    metric: bool


class CheckpointInfo(Contract):
    """The contract ``checkpoint.json``.

    Args:
        kind: which stage wrote it.
        encoder: timm name.
        width, height: network size in pixels.
        classes: detection classes in the order of their indices; empty after pretraining.
        depth: None where no depth was learned.
        dataset_fingerprint: identity of the data it was trained on.
        metrics: what was measured at the end.
        config: every option of the run.
        code_version: version of the package that wrote it.
    """

    VERSION: ClassVar[str] = "1.0"
    REMEDY: ClassVar[str] = "give the folder of a finished pretrain or finetune run"

    kind: Literal["pretrain", "finetune"]
    encoder: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    classes: tuple[str, ...] = ()
    depth: DepthInfo | None = None
    dataset_fingerprint: str = ""
    metrics: dict[str, float] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)
    code_version: str = ""

    @property
    def score_threshold(self) -> float:
        """Score from which a detection is worth showing: what served F1 best on the test stills, if any."""
        return self.metrics.get(BEST_SCORE, SCORE_THRESHOLD)


def save_checkpoint(run: str | Path, info: CheckpointInfo, model: nn.Module) -> None:
    """Write weights, then the document that makes them a finished run."""
    save_tensors(Path(run) / MODEL_FILE, model.state_dict())
    info.save(Path(run) / INFO_FILE)


def load_checkpoint(run: str | Path) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    """Read a finished run.

    Raises:
        InputError: the folder is no finished run, or one of its files is damaged.
    """
    info = CheckpointInfo.load(Path(run) / INFO_FILE)
    tensors, _ = load_tensors(Path(run) / MODEL_FILE)
    return info, tensors


def submodule_state(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The entries below ``name.``, with that prefix taken off."""
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}


@contextmanager
def fitting(source: str | Path, *, remedy: str) -> Iterator[None]:
    """Within, weights that were read from ``source`` may turn out to be of another network.

    Raises:
        InputError: in place of torch's list of every tensor that does not fit.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith(_UNFIT):
            raise
        last = str(error).splitlines()[-1].strip()
        raise InputError(source, f"has weights that do not fit this network ({last})", remedy) from None


def save_tensors(path: str | Path, tensors: dict[str, Tensor], *, document: Any = None) -> None:
    """Write tensors, and a JSON document in the header, as one safetensors file."""
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as aside:
        safetensors.torch.save_file(contiguous, str(aside), metadata={"document": json.dumps(document)})


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], Any]:
    """Read what ``save_tensors`` wrote: the tensors on the CPU, and the document."""
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            tensors = {name: torch.as_tensor(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
            document = json.loads((file.metadata() or {}).get("document", "null"))
    except FileNotFoundError:
        raise InputError(path, "no such file", CheckpointInfo.REMEDY) from None
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise InputError(path, f"is damaged ({error})", "train again or restore a copy") from None
    return tensors, document
