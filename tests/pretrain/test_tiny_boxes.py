from __future__ import annotations

import math

import pytest
import torch

from catseye.pretrain.assignment import inside, one_to_one
from catseye.pretrain.detection_head import boxes_from_distances, cell_centres
from catseye.pretrain.tiny_boxes import box_similarity, outline_loss, wasserstein_likeness

H, W = 8, 12


def boxes(*corners: list[float]) -> torch.Tensor:
    return torch.tensor(corners, dtype=torch.float32).view(-1, 4)


def test_likeness_is_that_of_the_paper() -> None:
    """Centres 3 and 4 apart, widths 4 apart: √(9 + 16 + 4) / scale."""
    ours, theirs = boxes([0, 0, 4, 4]), boxes([1, 4, 9, 8])
    assert wasserstein_likeness(ours, theirs, scale=10.0).item() == pytest.approx(math.exp(-(29**0.5) / 10))
    assert wasserstein_likeness(ours, ours, scale=10.0).item() == pytest.approx(1, abs=1e-3)


def test_of_large_boxes_only_overlap_counts_and_of_tiny_ones_distance_too() -> None:
    wanted, predicted = boxes([0, 0, 4, 4], [0, 0, 40, 40]), boxes([4, 0, 8, 4], [30, 0, 34, 4])
    plain = box_similarity(wanted, predicted, tiny_px=0)
    assert plain[0].tolist() == [0, 0]
    mixed = box_similarity(wanted, predicted, tiny_px=12)
    assert mixed[0, 0] > mixed[0, 1] > 0 and torch.equal(mixed[1], plain[1])
    assert mixed[0, 0].item() == pytest.approx(math.exp(-4 / 12) / 2, abs=1e-4)


def test_a_tiny_box_takes_the_nearer_of_two_cells_that_both_miss_it() -> None:
    target = boxes([20, 20, 23, 23])
    probabilities, predicted = torch.full((1, H, W), 0.5), torch.zeros(4, H, W)
    x, y = cell_centres(H, W)
    for row in range(H):
        for column in range(W):
            away = 30.0 if (row, column) != (5, 5) else 4.0
            centre = torch.tensor([x[0, column] + away, y[row, 0]])
            predicted[:, row, column] = torch.cat([centre - 1.5, centre + 1.5])
    classes = torch.zeros(1, dtype=torch.int64)
    near = one_to_one(target, classes, probabilities, predicted, tiny_px=12).item()
    assert near == 5 * W + 5
    assert one_to_one(target, classes, probabilities, predicted).item() != near  # all IoUs are 0


def test_outlines_of_tiny_boxes_are_learned_and_large_ones_are_left_to_overlap() -> None:
    large = boxes([0, 0, 30, 30])
    assert torch.equal(outline_loss(large + 3, large, tiny_px=12), outline_loss(large + 3, large, tiny_px=0))
    log_distances = torch.full((1, 4, H, W), 0.7, requires_grad=True)
    target = boxes([21, 21, 24, 25])
    optimizer = torch.optim.Adam([log_distances], lr=0.1)
    for _ in range(80):
        optimizer.zero_grad()
        predicted = boxes_from_distances(log_distances)[0, :, 5, 5][None]
        outline_loss(predicted, target, tiny_px=12).sum().backward()
        optimizer.step()
    torch.testing.assert_close(predicted, target, atol=0.3, rtol=0)


def test_a_speck_that_is_ignored_covers_a_cell_at_least() -> None:
    speck = boxes([7, 7, 9, 9])
    assert not inside(speck, height=H, width=W).any()
    assert inside(speck, height=H, width=W, least=4).sum() == 1
    assert torch.equal(
        inside(boxes([4, 4, 30, 20]), height=H, width=W),
        inside(boxes([4, 4, 30, 20]), height=H, width=W, least=4),
    )
