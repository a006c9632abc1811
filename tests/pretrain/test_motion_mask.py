"""The motion mask is taught by what the frames say; where they say nothing, things stand still."""

from __future__ import annotations

import torch
from torch import Tensor

from catseye.pretrain.motion_mask import (
    Compared,
    explained_share,
    motion_mask_loss,
    moving_probability,
    trust,
)

H, W = 8, 16


def errors(left: float, right: float) -> Tensor:
    """(1, 1, H, W) with one value in the left half and another in the right."""
    both = torch.full((1, 1, H, W), left)
    both[..., W // 2 :] = right
    return both


def gradient(rigid: Tensor, unmoved: Tensor) -> Tensor:
    logits = torch.zeros(1, 1, H // 2, W // 2, requires_grad=True)
    motion_mask_loss(logits, rigid, unmoved).backward()
    assert logits.grad is not None
    return logits.grad[0, 0]


def test_what_looks_best_unmoved_is_taught_to_move_along() -> None:
    taught = gradient(rigid=errors(0.4, 0.1), unmoved=errors(0.1, 0.4))
    assert (taught[:, : W // 4] < 0).all(), "a vehicle ahead is to be marked"
    assert (taught[:, W // 4 :] > 0).all(), "the road is not"


def test_where_both_hold_standing_still_is_assumed() -> None:
    taught = gradient(rigid=errors(0.4, 0.10), unmoved=errors(0.1, 0.11))
    assert (taught[:, : W // 4] < 0).all()
    assert (taught[:, W // 4 :] > 0).all() and (taught[:, W // 4 :] < -0.05 * taught[0, 0]).all()


def test_what_no_source_sees_says_nothing() -> None:
    rigid = errors(0.4, 0.4)
    rigid[..., W // 2 :] = torch.inf
    taught = gradient(rigid, errors(0.1, 0.1))
    assert taught.isfinite().all()
    assert (taught[:, : W // 4] < 0).all()
    assert (taught[:, W // 4 :].abs() < -0.05 * taught[0, 0]).all()


def test_a_clearer_difference_weighs_more() -> None:
    taught = gradient(rigid=errors(0.5, 0.2), unmoved=errors(0.1, 0.1))
    assert taught[0, 0] < 3 * taught[0, -1] < 0


def test_the_loss_falls_as_the_logits_agree() -> None:
    rigid, unmoved = errors(0.4, 0.1), errors(0.1, 0.4)
    right = torch.full((1, 1, H // 2, W // 2), 4.0)
    right[..., W // 4 :] = -4.0
    assert motion_mask_loss(right, rigid, unmoved) < 0.1
    assert motion_mask_loss(-right, rigid, unmoved) > 3
    assert motion_mask_loss(-8 * torch.ones_like(right), rigid, rigid) < 1e-3


def test_the_probability_weighs_what_was_foretold_with_what_is_seen() -> None:
    foretold = torch.zeros(1, 1, H // 2, W // 2)
    seen = moving_probability(foretold, errors(0.4, 0.1), errors(0.1, 0.4))
    assert seen.shape == (1, 1, H, W)
    assert seen[..., 0].min() > 0.99 and seen[..., -1].max() < 0.01
    nothing = errors(0.2, 0.2)
    told = moving_probability(torch.full_like(foretold, 2.0), nothing, nothing)
    torch.testing.assert_close(told, torch.full_like(told, 2.0).sigmoid())
    unseen = moving_probability(foretold, torch.full_like(nothing, torch.inf), nothing)
    torch.testing.assert_close(unseen, torch.full_like(unseen, 0.5))
    sure = moving_probability(torch.full_like(foretold, 50.0), errors(0.1, 0.1), errors(0.4, 0.4))
    assert sure.max() < 0.01, "no forecast is beyond being refuted"


def test_a_frame_is_understood_by_the_share_of_its_changes_that_are_explained() -> None:
    logits = torch.zeros(4, 1, H // 2, W // 2)
    understood = (errors(0.1, 0.1), errors(0.4, 0.4))
    half = (errors(0.4, 0.1), errors(0.1, 0.4))
    half[1][..., : W // 2] = 0.3
    calm = (errors(0.0, 0.0), errors(0.05, 0.05))
    one_place = (errors(0.0, 0.0), errors(0.05, 0.05))
    one_place[1][0, 0, 0, 0] = 0.4
    rigid, unmoved = (torch.cat(maps) for maps in zip(understood, half, calm, one_place, strict=True))
    assert explained_share(Compared(logits, rigid, unmoved)).tolist() == [1, 0.5, 0, 0]


def test_what_no_source_sees_does_not_count_as_unexplained() -> None:
    rigid, unmoved = errors(0.1, torch.inf), errors(0.4, 0.4)
    assert explained_share(Compared(rigid, rigid, unmoved)).tolist() == [1]


def test_a_mask_is_believed_the_more_of_its_frame_is_explained() -> None:
    believed = trust(torch.tensor([0.5, 0.8, 0.85, 0.9, 1.0]))
    torch.testing.assert_close(believed, torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))
