"""What moves gets the depth of the ground beneath it."""

from __future__ import annotations

import torch
from torch import Tensor

from catseye.pretrain.standing import depth_beneath, standing_error


def column(*values: float) -> Tensor:
    """A map (1, 1, h, 1), from top to bottom."""
    return torch.tensor(values).view(1, 1, -1, 1)


def test_a_place_that_moves_has_the_depth_of_the_nearest_below_that_does_not() -> None:
    inverse = column(0.01, 0.02, 0.03, 0.1, 0.2)
    moving = column(0, 1, 1, 0, 0).bool()
    torch.testing.assert_close(depth_beneath(inverse, moving), column(0.01, 0.1, 0.1, 0.1, 0.2))


def test_with_nothing_still_below_a_place_keeps_its_own() -> None:
    inverse = column(0.01, 0.02, 0.1, 0.2)
    moving = column(1, 0, 1, 1).bool()
    torch.testing.assert_close(depth_beneath(inverse, moving), column(0.02, 0.02, 0.1, 0.2))


def test_columns_do_not_mix() -> None:
    inverse = torch.cat((column(0.01, 0.1), column(0.02, 0.2)), dim=3)
    moving = torch.cat((column(1, 0), column(0, 0)), dim=3).bool()
    beneath = depth_beneath(inverse, moving)
    torch.testing.assert_close(beneath, torch.cat((column(0.1, 0.1), column(0.02, 0.2)), dim=3))


def test_the_error_pulls_what_surely_moves_and_nothing_else() -> None:
    inverse = column(0.01, 0.02, 0.02, 0.2).requires_grad_()
    moving = column(0.1, 0.4, 0.9, 0.1)
    error = standing_error(inverse, moving)
    torch.testing.assert_close(error, torch.tensor(0.8 * torch.log(torch.tensor(10.0)).item() / 4))
    error.backward()
    assert inverse.grad is not None
    assert (inverse.grad.flatten() != 0).tolist() == [False, False, True, False]
    assert inverse.grad.flatten()[2] < 0  # nearer
