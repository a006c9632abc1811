"""What runs are worth, side by side: figures for machines, and a page for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily

if TYPE_CHECKING:
    from catseye.pretrain.evaluation.evaluating import FewLabelOptions, StillsOptions, evaluate
    from catseye.pretrain.evaluation.summary import Evaluation

__all__ = ["Evaluation", "FewLabelOptions", "StillsOptions", "evaluate"]

__getattr__ = lazily(
    __name__,
    {
        "Evaluation": "summary",
        "FewLabelOptions": "evaluating",
        "StillsOptions": "evaluating",
        "evaluate": "evaluating",
    },
)
