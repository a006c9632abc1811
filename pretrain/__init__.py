"""Dataset to encoder to detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily

if TYPE_CHECKING:
    from catseye.pretrain.finetuning import FinetuneConfig, finetune
    from catseye.pretrain.pretraining import PretrainConfig, pretrain
    from catseye.pretrain.probes import evaluate_pretext

__all__ = ["FinetuneConfig", "PretrainConfig", "evaluate_pretext", "finetune", "pretrain"]

__getattr__ = lazily(
    __name__,
    {
        "FinetuneConfig": "finetuning",
        "PretrainConfig": "pretraining",
        "evaluate_pretext": "probes",
        "finetune": "finetuning",
        "pretrain": "pretraining",
    },
)
