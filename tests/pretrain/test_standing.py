"""What moves gets the depth of the ground at its foot."""

from __future__ import annotations

import torch
from torch import Tensor

from catseye.pretrain.standing import depth_of_foot, standing_error

HORIZON = torch.tensor([2.0])


def column(*values: float) -> Tensor:
    """A map (1, 1, h, 1), from top to bottom."""
    return torch.tensor(values).view(1, 1, -1, 1)


def road(height: int = 8) -> Tensor:
    """Inverse depth of a plane below the horizon, and little above it."""
    return column(*(max(0.005, 0.02 * (row + 0.5 - 2)) for row in range(height)))


def test_what_moves_is_as_far_as_the_ground_it_touches() -> None:
    moving = column(0, 0, 0, 1, 1, 0, 0, 0).bool()
    found = depth_of_foot(road(), moving, HORIZON)
    touched = 0.02 * (5 - 2)  # the border between the fifth row and the sixth
    torch.testing.assert_close(found[moving], torch.full((2,), touched))
    torch.testing.assert_close(found[~moving], road()[~moving])


def test_without_ground_below_a_place_keeps_its_own() -> None:
    moving = column(0, 0, 0, 0, 0, 1, 1, 1).bool()
    torch.testing.assert_close(depth_of_foot(road(), moving, HORIZON), road())


def test_nothing_stands_at_the_horizon_or_above_it() -> None:
    moving = column(1, 1, 0, 0, 0, 0, 0, 0).bool()
    torch.testing.assert_close(depth_of_foot(road(), moving, HORIZON), road())


def test_nothing_is_much_taller_than_the_camera_is_high() -> None:
    moving = column(1, 1, 1, 0, 0, 0, 0, 0).bool()
    found = depth_of_foot(road(), moving, HORIZON)
    assert (found != road()).flatten().tolist() == [True, True, True, *[False] * 5]
    lower = depth_of_foot(road(), moving, HORIZON + 0.4)
    assert (lower != road()).flatten().tolist() == [False, False, True, *[False] * 5]


def test_columns_and_pictures_do_not_mix() -> None:
    moving = torch.cat((column(0, 0, 0, 1, 1, 0, 0, 0), column(*[0] * 8)), dim=3).bool()
    maps = torch.cat((road(), road()), dim=3)
    found = depth_of_foot(
        torch.cat((maps, maps)), torch.cat((moving, moving.flip(3))), HORIZON.expand(2).clone()
    )
    torch.testing.assert_close(found[1], found[0].flip(2))
    torch.testing.assert_close(found[0, 0, :, 1], road()[0, 0, :, 0])


def test_the_error_pulls_what_surely_moves_and_nothing_else() -> None:
    inverse = road().requires_grad_()
    moving = column(0.1, 0.1, 0.4, 0.4, 0.9, 0.1, 0.1, 0.1)
    error = standing_error(inverse, moving, HORIZON)
    torch.testing.assert_close(error, 0.8 * torch.log(torch.tensor(3 / 2.5)) / 8)
    error.backward()
    assert inverse.grad is not None
    assert (inverse.grad.flatten() != 0).tolist() == [False] * 4 + [True] + [False] * 3
    assert inverse.grad.flatten()[4] < 0, "nearer"
