"""From what was found on each clip to the figures of any set of clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catseye.capture.manifest import Clip
from catseye.pretrain.collapse import collapse_figures
from catseye.pretrain.depth_metrics import DepthPair, depth_figures
from catseye.pretrain.pose_metrics import Snippet, pose_figures
from catseye.pretrain.tasks.order import PATHS

_VECTORS = 4096
_HORIZONS = (("under_150ms", 0.0, 0.15), ("150_to_300ms", 0.15, 0.3), ("over_300ms", 0.3, np.inf))


@dataclass(frozen=True)
class FutureProbe:
    """Of n sequences with F future frames each, (n, F) where not said otherwise.

    Args:
        predicted, copied: mean absolute error of the latents predicted, and of a copy of the last ones seen.
        ahead_s: seconds from the last frame seen.
        pixels: (n, 2), mean absolute error of the pictures painted, and of a copy of the last one seen; None
            where no pictures were learned.
    """

    predicted: Tensor
    copied: Tensor
    ahead_s: Tensor
    pixels: Tensor | None = None


@dataclass(frozen=True)
class ClipProbe:
    """What was found on one clip. Of a task that was not trained, or has no truth there, it has nothing.

    Args:
        vectors: (N, C), places of the layer-normalised map at stride 16.
        hits: (n,), which of the shuffled sequences were put in order.
        future: of the same sequences.
        depth: a pair a frame compared.
        motion: estimated and true.
    """

    clip: Clip
    vectors: Tensor
    hits: NDArray[np.bool_] | None
    future: FutureProbe | None
    depth: tuple[DepthPair, ...]
    motion: tuple[Snippet, ...]


def pretext_figures(probes: Sequence[ClipProbe], *, metric: bool) -> dict[str, float]:
    """Figures over one or more clips, see ``evaluate_pretext``.

    Args:
        metric: whether depth and motion are in metres.
    """
    vectors = torch.cat([probe.vectors for probe in probes])
    collapse = collapse_figures(vectors[:: max(1, -(-len(vectors) // _VECTORS))])
    figures = {"feature_spread": collapse.spread, "feature_rank": collapse.rank}
    figures |= _order_figures([probe.hits for probe in probes if probe.hits is not None])
    figures |= _future_figures([probe.future for probe in probes if probe.future is not None])
    figures |= depth_figures([pair for probe in probes for pair in probe.depth], metric=metric)
    return figures | pose_figures([snippet for probe in probes for snippet in probe.motion], metric=metric)


def _order_figures(hits: Sequence[NDArray[np.bool_]]) -> dict[str, float]:
    if not hits:
        return {}
    together = np.concatenate(hits)
    accuracy = float(together.mean())
    by_sequences = float(np.sqrt(accuracy * (1 - accuracy) / len(together)))
    return {
        "order_accuracy": accuracy,
        "order_accuracy_se": max(by_sequences, _error_by_group(hits)),
        "order_chance": 1 / len(PATHS),
    }


def _future_figures(errors: Sequence[FutureProbe]) -> dict[str, float]:
    if not errors:
        return {}
    predicted, copied, ahead_s = (
        torch.cat([part.flatten() for part in parts])
        for parts in zip(*((each.predicted, each.copied, each.ahead_s) for each in errors), strict=True)
    )
    figures = {"future_skill": float(1 - predicted.sum() / copied.sum())}
    for name, low, high in _HORIZONS:
        within = (ahead_s >= low) & (ahead_s < high)
        if within.any():
            figures[f"future_skill_{name}"] = float(1 - predicted[within].sum() / copied[within].sum())
    painted = [each.pixels for each in errors if each.pixels is not None]
    if painted:
        off, off_by_copying = torch.cat(painted).sum(dim=0)
        figures["pixel_skill"] = float(1 - off / off_by_copying)
    return figures


def _error_by_group(groups: Sequence[NDArray[np.bool_]]) -> float:
    """Standard error of the overall mean when sequences of a clip are alike; 0 for a single clip."""
    if len(groups) < 2:
        return 0.0
    means = np.array([group.mean() for group in groups])
    return float(means.std(ddof=1) / np.sqrt(len(means)))
