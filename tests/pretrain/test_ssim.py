"""Structural similarity against its definition, window by window."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from catseye.pretrain.ssim import structural_similarity


def pictures(height: int = 7, width: int = 9) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    view, target = torch.rand(2, 2, 3, height, width, generator=generator, dtype=torch.float64)
    return view, target


def defined(view: Tensor, target: Tensor, row: int, column: int) -> Tensor:
    """SSIM (N, C) of the windows around one pixel, by the formula of the paper."""
    rows, columns = slice(max(0, row - 1), row + 2), slice(max(0, column - 1), column + 2)
    a, b = view[..., rows, columns].flatten(2), target[..., rows, columns].flatten(2)
    covariance = ((a - a.mean(2, keepdim=True)) * (b - b.mean(2, keepdim=True))).mean(2)
    luminance = (2 * a.mean(2) * b.mean(2) + 1e-4) / (a.mean(2) ** 2 + b.mean(2) ** 2 + 1e-4)
    structure = (2 * covariance + 9e-4) / (a.var(2, correction=0) + b.var(2, correction=0) + 9e-4)
    return luminance * structure


@pytest.mark.parametrize(("row", "column"), [(3, 4), (0, 0), (6, 2), (5, 8)])
def test_it_is_what_the_paper_says(row: int, column: int) -> None:
    view, target = pictures()
    torch.testing.assert_close(
        structural_similarity(view, target)[..., row, column], defined(view, target, row, column)
    )


def test_the_gradient_is_that_of_the_value() -> None:
    view, target = pictures()
    assert torch.autograd.gradcheck(lambda a: structural_similarity(a, target), (view.requires_grad_(),))


def test_the_target_takes_no_gradient() -> None:
    view, target = pictures()
    structural_similarity(view.requires_grad_(), target.requires_grad_()).sum().backward()
    assert view.grad is not None
    assert target.grad is None
