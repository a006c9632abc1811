from __future__ import annotations

import torch

from catseye.pretrain.assignment import inside, one_to_many, one_to_one

H, W = 12, 20  # a network frame of 80×48


def boxes(*corners: list[float]) -> torch.Tensor:
    return torch.tensor(corners, dtype=torch.float32).view(-1, 4)


def classes(*indices: int) -> torch.Tensor:
    return torch.tensor(indices, dtype=torch.int64)


def uniform(num_classes: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Every cell answers 0.1 and outlines a box of 16×16 around itself."""
    y, x = torch.meshgrid(torch.arange(H) * 4 + 2.0, torch.arange(W) * 4 + 2.0, indexing="ij")
    return torch.full((num_classes, H, W), 0.1), torch.stack([x - 8, y - 8, x + 8, y + 8])


def test_heat_is_one_at_each_centre_and_only_in_the_boxs_class() -> None:
    targets = boxes([8, 8, 24, 24], [40, 20, 70, 40], [60, 4, 65, 9])
    heat = one_to_many(targets, classes(0, 1, 1), num_classes=2, height=H, width=W).heat
    assert heat.max() == 1
    assert [(heat[c] == 1).sum().item() for c in (0, 1)] == [1, 2]
    assert heat[0, 4, 4] == 1 and heat[1, 7, 13] == 1 and heat[1, 1, 15] == 1
    assert heat[0, 7, 13] < 0.01


def test_weights_of_a_box_sum_to_one_and_lie_around_its_centre() -> None:
    targets = boxes([8, 8, 24, 24], [40, 4, 78, 44])
    spread = one_to_many(targets, classes(0, 0), num_classes=1, height=H, width=W)
    for index, box in enumerate(targets):
        rows, columns = torch.nonzero(spread.owner == index, as_tuple=True)
        torch.testing.assert_close(spread.weight[rows, columns].sum(), torch.tensor(1.0))
        assert inside(box[None], height=H, width=W)[rows, columns].all()
    assert (spread.owner == 1).sum() > (spread.owner == 0).sum()
    assert spread.weight[spread.owner < 0].sum() == 0


def test_no_boxes_give_no_targets() -> None:
    spread = one_to_many(boxes(), classes(), num_classes=2, height=H, width=W)
    assert spread.heat.sum() == 0 and (spread.owner == -1).all()
    assert one_to_one(boxes(), classes(), *uniform()).shape == (0,)


def test_each_box_gets_one_cell_and_none_twice_even_where_boxes_coincide() -> None:
    probabilities, predicted = uniform()
    same = boxes(*[[30, 20, 38, 28]] * 4)
    cells = one_to_one(same, classes(0, 0, 0, 0), probabilities, predicted)
    assert (cells >= 0).all() and len(set(cells.tolist())) == 4
    y, x = cells // W, cells % W
    assert ((x * 4 + 2 - 34).abs() <= 4).all() and ((y * 4 + 2 - 24).abs() <= 4).all()


def test_boxes_beyond_the_cells_there_are_stay_without_one() -> None:
    probabilities, predicted = uniform()
    crowded = one_to_one(boxes(*[[30, 20, 38, 28]] * 12), classes(*[0] * 12), probabilities, predicted)
    taken = crowded[crowded >= 0].tolist()
    assert len(taken) == len(set(taken)) < 12


def test_the_cell_that_answers_best_is_chosen() -> None:
    probabilities, predicted = uniform(num_classes=2)
    target = boxes([28, 12, 52, 36])
    probabilities[1, 5, 9] = 0.9  # another class
    probabilities[0, 6, 10] = 0.9
    assert one_to_one(target, classes(0), probabilities, predicted).item() == 6 * W + 10
    predicted[:, 6, 10] = torch.tensor([0.0, 0.0, 4.0, 4.0])  # confident, and beside the box
    assert one_to_one(target, classes(0), probabilities, predicted).item() != 6 * W + 10


def test_a_confident_cell_far_from_the_centre_is_not_chosen() -> None:
    probabilities, predicted = uniform()
    target = boxes([8, 8, 72, 40])
    probabilities[0, 3, 3] = 1.0
    predicted[:, 3, 3] = target[0]
    assert one_to_one(target, classes(0), probabilities, predicted).item() != 3 * W + 3


def test_inside_covers_the_cells_whose_centre_is_in_a_box() -> None:
    mask = inside(boxes([4, 4, 12, 8], [72, 40, 80, 48]), height=H, width=W)
    assert mask.sum() == 2 + 4
    assert mask[1, 1] and mask[1, 2] and mask[-1, -1]
    assert not inside(boxes(), height=H, width=W).any()
