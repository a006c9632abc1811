"""Structural similarity of pictures over 3×3 windows, with a backward pass of its own.

Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 2004.
Composed of elementary operations it is the dearest part of learning depth: slices and padding write whole
pictures of zeros when their gradients come back. The derivative is known, and costs no more than the value.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_C1 = 0.01**2
_C2 = 0.03**2


def structural_similarity(view: Tensor, target: Tensor) -> Tensor:
    """SSIM (N, C, H, W) of each channel at each pixel, at most 1; only ``view`` takes a gradient.

    At the border a window is what of it lies inside.

    Args:
        view, target: (N, C, H, W) in [0, 1], floating point of one type.
    """
    similarity: Tensor = _StructuralSimilarity.apply(view, target.detach())
    return similarity


class _StructuralSimilarity(torch.autograd.Function):
    """n₁n₂ / d₁d₂ of the windows' means m, second moments q and the mixed one c; see ``backward``."""

    @staticmethod
    def forward(ctx: Any, view: Tensor, target: Tensor) -> Tensor:
        share = 1 / _window_sum(torch.ones_like(view[:1, :1]))
        mean, other = _window_sum(view) * share, _window_sum(target) * share
        product, squares = mean * other, mean * mean + other * other
        n1 = 2 * product + _C1
        n2 = 2 * (_window_sum(view * target) * share - product) + _C2
        d1 = squares + _C1
        d2 = _window_sum(view * view + target * target) * share - squares + _C2
        similarity = n1 * n2 / (d1 * d2)
        ctx.save_for_backward(view, target, share, mean, other, n1, n2, d1, d2, similarity)
        return similarity

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # With S = n₁n₂ / d₁d₂: ∂S/∂c = 2n₁ / d₁d₂, ∂S/∂q = −S / d₂, and
        # ∂S/∂m = 2 m' (n₂ − n₁) / d₁d₂ + 2 m S (1/d₂ − 1/d₁), m' the target's mean.
        # The sum over windows is its own transpose.
        view, target, share, mean, other, n1, n2, d1, d2, similarity = ctx.saved_tensors
        (gradient,) = gradients
        gradient = gradient * share
        twice = 2 * gradient / (d1 * d2)
        scaled = gradient * similarity
        by_mean = twice * other * (n2 - n1) + 2 * mean * scaled * (1 / d2 - 1 / d1)
        by_pixel = _window_sum(by_mean) - 2 * view * _window_sum(scaled / d2)
        return by_pixel + target * _window_sum(twice * n1), None


def _window_sum(maps: Tensor) -> Tensor:
    """Sum over the 3×3 windows of (N, C, H, W), zero beyond the border; of the same shape."""
    rows = F.pad(maps, (0, 0, 1, 1))
    rows = rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]
    columns = F.pad(rows, (1, 1))
    return columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]
