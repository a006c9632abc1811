"""Structural similarity of pictures over 3×3 windows, with a backward pass of its own.

Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 2004.
Composed of elementary operations it is the dearest part of learning depth: slices and padding write whole
pictures of zeros when their gradients come back. The derivative is known, and costs no more than the value.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from catseye.pretrain.windows import window_share, window_sum

_C1 = 0.01**2
_C2 = 0.03**2


class Moments(NamedTuple):
    """A picture (…, C, H, W), and of the windows around its pixels the means of values and of squares; at the
    border a window is what of it lies inside, and ``share`` (H, W) what each pixel counts."""

    picture: Tensor
    mean: Tensor
    square: Tensor
    share: Tensor


def moments(picture: Tensor) -> Moments:
    """What ``similarity`` needs of a picture that many are compared with."""
    share = window_share(picture)
    return Moments(picture, window_sum(picture) * share, window_sum(picture * picture) * share, share)


def structural_similarity(view: Tensor, target: Tensor) -> Tensor:
    """SSIM (…, C, H, W) of each channel at each pixel, at most 1; only ``view`` takes a gradient.

    Args:
        view: (…, C, H, W) in [0, 1].
        target: of the same type, and of the same shape or without leading dimensions of ``view``.
    """
    similarity: Tensor = _StructuralSimilarity.apply(view, target.detach())
    return similarity


def similarity(view: Tensor, target: Moments) -> Tensor:
    """``structural_similarity`` without a gradient of its own, to a picture whose moments are known."""
    return _terms(view, target).similarity()


class _Terms(NamedTuple):
    """SSIM is n₁n₂ / d₁d₂; ``mean`` is the view's."""

    mean: Tensor
    n1: Tensor
    n2: Tensor
    d1: Tensor
    d2: Tensor

    def similarity(self) -> Tensor:
        return self.n1 * self.n2 / (self.d1 * self.d2)


def _terms(view: Tensor, target: Moments) -> _Terms:
    share = target.share
    mean = window_sum(view) * share
    product, squares = mean * target.mean, mean * mean + target.mean * target.mean
    return _Terms(
        mean,
        n1=2 * product + _C1,
        n2=2 * (window_sum(view * target.picture) * share - product) + _C2,
        d1=squares + _C1,
        d2=window_sum(view * view) * share + target.square - squares + _C2,
    )


class _StructuralSimilarity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, view: Tensor, target: Tensor) -> Tensor:
        of_target = moments(target)
        terms = _terms(view, of_target)
        ratio = terms.similarity()
        ctx.save_for_backward(view, target, of_target.share, of_target.mean, *terms, ratio)
        return ratio

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # With m and q the view's means of values and of squares, c that of products with the target, and
        # S = n₁n₂ / d₁d₂: ∂S/∂c = 2n₁ / d₁d₂, ∂S/∂q = −S / d₂, and
        # ∂S/∂m = 2 m' (n₂ − n₁) / d₁d₂ + 2 m S (1/d₂ − 1/d₁), m' the target's mean.
        # The sum over windows is its own transpose.
        view, target, share, other, mean, n1, n2, d1, d2, ratio = ctx.saved_tensors
        (gradient,) = gradients
        gradient = gradient * share
        twice = 2 * gradient / (d1 * d2)
        scaled = gradient * ratio
        by_mean = twice * other * (n2 - n1) + 2 * mean * scaled * (1 / d2 - 1 / d1)
        by_pixel = window_sum(by_mean) - 2 * view * window_sum(scaled / d2)
        return by_pixel + target * window_sum(twice * n1), None
