"""Looking into features: their first three principal components as colours, and what is near what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from catseye.capture.geometry import Image

_COLOURS = 3
_TAILS = (0.02, 0.98)
_MOST_SORTED = 1_000_000


@torch.no_grad()
def component_colours(maps: Tensor) -> Image:
    """The first three principal components of maps (N, C, h, w), as RGB (N, h, w, 3).

    One basis serves all maps, so that a colour means the same in each. Channels are standardised first, and
    each component fills its colour from its 2nd to its 98th percentile.
    """
    count, channels, height, width = maps.shape
    vectors = maps.permute(0, 2, 3, 1).reshape(-1, channels).double()
    vectors = (vectors - vectors.mean(dim=0)) / vectors.std(dim=0).clamp(min=1e-6)
    _, axes = torch.linalg.eigh(vectors.T @ vectors)
    axes = axes.flip(1)[:, :_COLOURS]
    # An axis has no sign of its own: let it point to where its largest loading is positive.
    axes = axes * torch.sign(axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)))
    parts = vectors @ axes
    some = parts[:: max(1, len(parts) // _MOST_SORTED)]
    low, high = torch.quantile(some, torch.tensor(_TAILS, dtype=some.dtype), dim=0)
    levels = ((parts - low) / (high - low).clamp(min=1e-9)).clamp(0, 1) * 255
    return np.asarray(levels.reshape(count, height, width, -1).numpy().round(), dtype=np.uint8)


@torch.no_grad()
def nearest(
    pooled: Tensor, owners: Sequence[str], queries: Sequence[int], *, count: int = 4
) -> list[list[int]]:
    """The ``count`` nearest of vectors (N, C) to each query by cosine about the mean, of other owners only.

    At most one of each owner, as far as there are enough owners.
    """
    directions = F.normalize(pooled - pooled.mean(dim=0), dim=1)
    found = []
    for query in queries:
        ranked = (directions @ directions[query]).argsort(descending=True, stable=True).tolist()
        others = [index for index in ranked if owners[index] != owners[query]]
        first_of_each = list({owners[index]: index for index in reversed(others)}.values())
        rest = [index for index in others if index not in first_of_each]
        ranks = {index: rank for rank, index in enumerate(ranked)}
        chosen = sorted(first_of_each, key=ranks.__getitem__)[:count]
        found.append(chosen + rest[: count - len(chosen)])
    return found
