from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from catseye.pretrain.appearance import Relations, cells_at, contrastive_loss, nearest_is_same, read_cells


def relations_of(vehicles: list[int], frames: list[int]) -> Relations:
    """Same where the vehicle is, apart where it is not and the frame is the same."""
    vehicle, frame = torch.tensor(vehicles), torch.tensor(frames)
    same = (vehicle[:, None] == vehicle) & ~torch.eye(len(vehicles), dtype=torch.bool)
    return Relations(same, (vehicle[:, None] != vehicle) & (frame[:, None] == frame))


def plain_loss(descriptors: Tensor, relations: Relations, temperature: float) -> float:
    of_anchor = []
    for a, anchor in enumerate(descriptors):
        others = [n for n in range(len(descriptors)) if relations.apart[a, n]]
        terms = []
        for p in range(len(descriptors)):
            if relations.same[a, p]:
                gaps = [float(anchor @ (descriptors[n] - descriptors[p])) / temperature for n in others]
                terms.append(math.log(1 + sum(math.exp(gap) for gap in gaps)))
        if terms and others:
            of_anchor.append(sum(terms) / len(terms))
    return sum(of_anchor) / len(of_anchor)


def test_the_loss_is_that_of_a_plain_reference() -> None:
    torch.manual_seed(0)
    descriptors = normalize(torch.randn(9, 5), dim=1)
    relations = relations_of([0, 0, 0, 1, 1, 2, 3, 4, 4], [0, 1, 2, 0, 1, 0, 1, 7, 8])
    found = contrastive_loss(descriptors, relations, temperature=0.2)
    assert float(found) == pytest.approx(plain_loss(descriptors, relations, 0.2), rel=1e-5)


def test_the_loss_vanishes_where_vehicles_are_told_apart_and_grows_where_they_are_confused() -> None:
    relations = relations_of([0, 0, 1, 1], [0, 1, 0, 1])
    ways = torch.eye(4)
    apart = contrastive_loss(ways[[0, 0, 1, 1]], relations, temperature=0.1)
    confused = contrastive_loss(ways[[0, 1, 0, 1]], relations, temperature=0.1)
    assert float(apart) < 1e-3 and float(confused) > 5


def test_pairs_of_which_nothing_is_known_take_no_part() -> None:
    torch.manual_seed(0)
    relations = relations_of([0, 0, 1, 2], [0, 1, 0, 9])
    descriptors = normalize(torch.randn(4, 5), dim=1).requires_grad_()
    contrastive_loss(descriptors, relations, temperature=0.1).backward()
    assert descriptors.grad is not None
    assert descriptors.grad[3].abs().max() == 0 and (descriptors.grad[:3].abs().amax(dim=1) > 0).all()


@pytest.mark.parametrize(("vehicles", "frames"), [([0, 1], [0, 0]), ([0, 0], [0, 1]), ([], [])])
def test_without_a_positive_or_another_there_is_nothing_to_learn(
    vehicles: list[int], frames: list[int]
) -> None:
    descriptors = normalize(torch.randn(len(vehicles), 3), dim=1).requires_grad_()
    loss = contrastive_loss(descriptors, relations_of(vehicles, frames), temperature=0.1)
    loss.backward()
    assert float(loss.detach()) == 0 and torch.isfinite(descriptors.grad).all()  # type: ignore[arg-type]


def test_nearest_is_same_counts_those_that_can_be_wrong() -> None:
    relations = relations_of([0, 0, 1, 1, 2], [0, 1, 0, 1, 5])
    ways = torch.eye(4)
    assert nearest_is_same(ways[[0, 0, 1, 1, 2]], relations) == 1.0
    # Vehicle 1 looks like vehicle 0 in its frame 0: that of frame 0 of both are wrong, those of frame 1 not.
    assert nearest_is_same(ways[[0, 1, 0, 2, 3]], relations) == pytest.approx(0.0)
    assert math.isnan(nearest_is_same(ways[:2], relations_of([0, 1], [0, 0])))


def test_cells_are_read_where_the_pixels_are() -> None:
    maps = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).view(2, 3, 4, 5)
    points = torch.tensor([[0.0, 0.0], [7.9, 4.0], [999.0, 999.0], [-3.0, 8.0]])
    cells = cells_at(points, height=4, width=5)
    assert cells.tolist() == [0, 6, 19, 10]
    told = read_cells(maps, torch.tensor([0, 1, 1, 0]), cells)
    torch.testing.assert_close(told[1], normalize(maps[1, :, 1, 1], dim=0))
    torch.testing.assert_close(told.norm(dim=1), torch.ones(4))
