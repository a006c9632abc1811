"""Dataset to encoder to detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily

if TYPE_CHECKING:
    from catseye.pretrain.finetuning import FinetuneConfig, finetune
    from catseye.pretrain.presets import PRESETS, Preset, preset
    from catseye.pretrain.pretraining import PretrainConfig, pretrain
    from catseye.pretrain.probes import evaluate_pretext

__all__ = [
    "PRESETS",
    "FinetuneConfig",
    "Preset",
    "PretrainConfig",
    "evaluate_pretext",
    "finetune",
    "preset",
    "pretrain",
]

__getattr__ = lazily(
    __name__,
    {
        "PRESETS": "presets",
        "FinetuneConfig": "finetuning",
        "Preset": "presets",
        "PretrainConfig": "pretraining",
        "evaluate_pretext": "probes",
        "finetune": "finetuning",
        "preset": "presets",
        "pretrain": "pretraining",
    },
)
