"""Whether a representation still tells things apart."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_LEAST_SPREAD = 0.1
_LEAST_RANK = 4.0
_SUDDEN_FALL = 0.5


@dataclass(frozen=True)
class CollapseFigures:
    """Figures of N vectors of d channels.

    Args:
        spread: standard deviation of the L2-normalised vectors, the mean over channels, times √d: 1 when
            directions are spread evenly, 0 when all vectors are one (Chen and He, "Exploring Simple Siamese
            Representation Learning", CVPR 2021).
        rank: RankMe, the exponential of the entropy of the singular values (Garrido et al., ICML 2023).
        variance: mean variance of a channel.
    """

    spread: float
    rank: float
    variance: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@torch.no_grad()
def collapse_figures(vectors: Tensor) -> CollapseFigures:
    """Measure (N, d) vectors, N > d for a full rank to be possible."""
    vectors = vectors.float()
    directions = F.normalize(vectors, dim=1)
    singular = torch.linalg.svdvals(vectors - vectors.mean(dim=0))
    share = singular / singular.sum().clamp(min=1e-12) + 1e-7
    return CollapseFigures(
        spread=float(directions.std(dim=0).mean()) * math.sqrt(vectors.shape[1]),
        rank=float(torch.exp(-(share * share.log()).sum())),
        variance=float(vectors.var(dim=0).mean()),
    )


@torch.no_grad()
def position_vectors(maps: Tensor, *, most: int = 1024) -> Tensor:
    """At most ``most`` of the vectors (n, C) of maps (..., C, h, w), evenly picked."""
    vectors = maps.flatten(0, -4).permute(0, 2, 3, 1).reshape(-1, maps.shape[-3])
    return vectors[:: max(1, -(-len(vectors) // most))]


def alarms(figures: CollapseFigures, before: CollapseFigures | None) -> list[str]:
    """What is wrong with figures, and with their change since those measured before, in words."""
    found = []
    if figures.spread < _LEAST_SPREAD:
        found.append(f"feature spread {figures.spread:.3f} of a healthy 1")
    if figures.rank < _LEAST_RANK:
        found.append(f"effective rank {figures.rank:.1f}")
    if before is not None and figures.variance < _SUDDEN_FALL * before.variance:
        found.append(f"feature variance fell from {before.variance:.3g} to {figures.variance:.3g}")
    return found
