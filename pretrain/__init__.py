"""Dataset to encoder to detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily

if TYPE_CHECKING:
    from catseye.pretrain.finetuning import FinetuneConfig, finetune
    from catseye.pretrain.prelabelling import prelabel
    from catseye.pretrain.presets import PRESETS, Preset, preset
    from catseye.pretrain.pretraining import PretrainConfig, pretrain
    from catseye.pretrain.probes import evaluate_pretext
    from catseye.pretrain.selection import SelectOptions, select

__all__ = [
    "PRESETS",
    "FinetuneConfig",
    "Preset",
    "PretrainConfig",
    "SelectOptions",
    "evaluate_pretext",
    "finetune",
    "prelabel",
    "preset",
    "pretrain",
    "select",
]

__getattr__ = lazily(
    __name__,
    {
        "PRESETS": "presets",
        "FinetuneConfig": "finetuning",
        "Preset": "presets",
        "PretrainConfig": "pretraining",
        "SelectOptions": "selection",
        "evaluate_pretext": "probes",
        "finetune": "finetuning",
        "prelabel": "prelabelling",
        "preset": "presets",
        "pretrain": "pretraining",
        "select": "selection",
    },
)
