from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from catseye.pretrain.detection_head import TrainingOutputs, boxes_from_distances
from catseye.pretrain.detection_loss import (
    Target,
    depth_distillation,
    detection_losses,
    focal,
    focal_among_rivals,
)

H, W = 8, 12


def outputs(one: Tensor, many: Tensor, log_distances: Tensor) -> TrainingOutputs:
    return TrainingOutputs(one, many, boxes_from_distances(log_distances), None)


def leaves(num_classes: int = 1) -> list[Tensor]:
    """One-to-one logits, one-to-many logits and log distances of a batch of one."""
    shapes = [(1, num_classes, H, W), (1, num_classes, H, W), (1, 4, H, W)]
    values = (-4.0, -4.0, 0.5)
    return [torch.full(s, value, requires_grad=True) for s, value in zip(shapes, values, strict=True)]


def target(*corners: list[float], ignored: list[list[float]] | None = None) -> Target:
    return Target(
        boxes=torch.tensor(corners, dtype=torch.float32).view(-1, 4),
        classes=torch.zeros(len(corners), dtype=torch.int64),
        ignored=torch.tensor(ignored or [], dtype=torch.float32).view(-1, 4),
    )


def test_focal_is_what_the_papers_say() -> None:
    p = 0.3
    logit = torch.tensor(math.log(p / (1 - p)))
    assert focal(logit, torch.tensor(1.0)).item() == pytest.approx(-((1 - p) ** 2) * math.log(p), rel=1e-5)
    assert focal(logit, torch.tensor(0.0)).item() == pytest.approx(-(p**2) * math.log(1 - p), rel=1e-5)
    forgiven = -(0.5**4) * p**2 * math.log(1 - p)
    assert focal(logit, torch.tensor(0.5)).item() == pytest.approx(forgiven, rel=1e-5)


def test_a_rival_is_pushed_down_by_cross_entropy_and_others_by_focal_loss() -> None:
    logits = torch.full((1, 1, 3), 0.4)
    single = torch.tensor([[[1.0, 0.0, 0.0]]])
    found = focal_among_rivals(logits, single, torch.tensor([[True, True, False]]))[0, 0]
    p = 1 / (1 + math.exp(-0.4))
    assert found.tolist() == pytest.approx(
        [-((1 - p) ** 2) * math.log(p), -math.log(1 - p), -(p**2) * math.log(1 - p)], rel=1e-5
    )


def test_cells_around_a_centre_are_rivals() -> None:
    """At a score of 0.6 beside a vehicle's own cell, the push of cross-entropy is the score itself."""
    one, many, distances = leaves()
    with torch.no_grad():
        one[0, 0, 4, 5:7] = torch.tensor([0.9, math.log(0.6 / 0.4)])
        distances[:] = math.log(2.5)
    detection_losses(outputs(one, many, distances), [target([12, 8, 32, 28])])["one"].backward()
    assert one.grad is not None
    assert one.grad[0, 0, 4, 5] < 0
    assert one.grad[0, 0, 4, 6].item() == pytest.approx(0.6, rel=1e-5)


def test_only_one_cell_a_box_is_pulled_up_one_to_one_and_its_neighbours_are_pushed_down() -> None:
    one, many, distances = leaves()
    losses = detection_losses(outputs(one, many, distances), [target([8, 8, 32, 28], [36, 4, 46, 12])])
    torch.stack(list(losses.values())).sum().backward()
    assert one.grad is not None and many.grad is not None and distances.grad is not None
    assert (one.grad < 0).sum() == 2
    assert (one.grad > 0).sum() == H * W - 2
    assert (many.grad < 0).sum() == 2
    assert (distances.grad != 0).any(dim=1).sum() > 2


def test_nothing_is_taught_in_ignored_regions_but_objects_there_are() -> None:
    one, many, distances = leaves()
    region = [0.0, 0.0, 24.0, 16.0]
    losses = detection_losses(outputs(one, many, distances), [target([2, 2, 14, 14], ignored=[region])])
    (losses["one"] + losses["many"]).backward()
    for logits in (one, many):
        assert logits.grad is not None
        within = logits.grad[0, 0, :4, :6]
        assert (within < 0).sum() == 1 and (within > 0).sum() == 0
        assert (logits.grad[0, 0, 4:] > 0).all()


def test_gradient_steps_make_boxes_fit() -> None:
    one, many, distances = leaves()
    wanted = target([6, 6, 40, 24])
    optimizer = torch.optim.Adam([distances], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss = detection_losses(outputs(one, many, distances), [wanted])["box"]
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_a_batch_of_the_same_image_twice_has_the_loss_of_one() -> None:
    leaf, wanted = leaves(), target([8, 8, 32, 28], [36, 4, 46, 12])
    once = detection_losses(outputs(*leaf), [wanted])
    twice = detection_losses(outputs(*(torch.cat([part, part]) for part in leaf)), [wanted, wanted])
    assert {name: loss.item() for name, loss in twice.items()} == pytest.approx(
        {name: loss.item() for name, loss in once.items()}, rel=1e-5
    )


def test_each_image_of_a_batch_teaches_what_it_would_alone() -> None:
    wanted = [target([8, 8, 32, 28], [36, 4, 46, 12]), target(), weighed(target([2, 12, 20, 30]), 0.5)]
    parts = [leaves(num_classes=2) for _ in wanted]
    generator = torch.Generator().manual_seed(3)
    for leaf in parts:
        for part in leaf:
            part.data += torch.randn(part.shape, generator=generator)
    masses = [max(1.0, each.mass) for each in wanted]
    alone = [
        sum(detection_losses(outputs(*leaf), [each]).values()) * mass
        for leaf, each, mass in zip(parts, wanted, masses, strict=True)
    ]
    torch.stack(alone).sum().backward()
    expected = [torch.cat([leaf[n].grad for leaf in parts]) for n in range(3)]
    together = [torch.cat([leaf[n].detach() for leaf in parts]).requires_grad_() for n in range(3)]
    loss = sum(detection_losses(outputs(*together), wanted).values()) * sum(each.mass for each in wanted)
    torch.testing.assert_close(loss, torch.stack(alone).sum())
    loss.backward()
    for found, by_itself in zip(together, expected, strict=True):
        torch.testing.assert_close(found.grad, by_itself)


def test_images_without_boxes_teach_that_there_is_nothing() -> None:
    one, many, distances = leaves(num_classes=2)
    losses = detection_losses(outputs(one, many, distances), [target()])
    assert losses["box"].item() == 0
    (losses["one"] + losses["many"]).backward()
    assert one.grad is not None and (one.grad > 0).all()


def test_depth_distillation_is_the_mean_error_of_log_depth() -> None:
    student = torch.full((2, 1, 8, 8), 0.1, requires_grad=True)
    teacher = torch.full((2, 1, 4, 4), 0.2)
    loss = depth_distillation(student, teacher)
    assert loss.item() == pytest.approx(math.log(2), rel=1e-5)
    loss.backward()
    assert student.grad is not None and (student.grad < 0).all()


def weighed(target: Target, *weights: float) -> Target:
    return target._replace(weights=torch.tensor(weights, dtype=torch.float32))


def gradients(wanted: Target) -> list[Tensor]:
    parts = leaves()
    with torch.no_grad():
        parts[0] += torch.linspace(0, 1, H * W).view(1, 1, H, W)  # so that the choice of a cell is no tie
    torch.stack(list(detection_losses(outputs(*parts), [wanted]).values())).sum().backward()
    return [part.grad for part in parts if part.grad is not None]


def test_boxes_pull_as_much_as_they_weigh_and_surroundings_push_as_ever() -> None:
    both = target([8, 8, 24, 20], [28, 12, 44, 28])
    plain, sure, half = (gradients(t) for t in (both, weighed(both, 1, 1), weighed(both, 1, 0.5)))
    for ours, theirs in zip(plain, sure, strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(plain[:2], half[:2], strict=True):  # the sum is over 2 boxes, or over 1.5
        shares = (theirs * 1.5 / (ours * 2))[0, 0]
        pulled = shares[ours[0, 0] < 0]
        assert sorted(pulled.tolist()) == pytest.approx([0.5, 1], abs=1e-4)
        torch.testing.assert_close(shares[ours[0, 0] > 0], torch.ones(H * W - 2))
    ratio = (half[2] * 1.5 / (plain[2] * 2))[0]
    assert sorted({round(float(v), 3) for v in ratio[plain[2][0] != 0]}) == [0.5, 1.0]


def test_a_box_that_weighs_nothing_is_neither_object_nor_background_where_it_is() -> None:
    one, many, _ = gradients(weighed(target([8, 8, 24, 20]), 0))
    assert one[0, 0, 3, 4] == 0 or (one == 0).sum() == 1
    assert (many == 0).sum() == 1 and many[0, 0, 3, 4] == 0
    assert (one < 0).sum() == (many < 0).sum() == 0


def test_of_two_boxes_in_one_cell_the_surer_one_counts() -> None:
    _, many, _ = gradients(weighed(target([16, 16, 19, 19], [16, 16, 19, 19]), 0.25, 0.75))
    _, alone, _ = gradients(weighed(target([16, 16, 19, 19]), 0.75))
    assert many[0, 0, 4, 4].item() == pytest.approx(alone[0, 0, 4, 4].item())


def test_a_crowd_s_cells_are_not_background_however_small_it_is() -> None:
    speck = [7.0, 7.0, 9.0, 9.0]  # between the centres of four cells
    for tiny_px, untouched in ((0.0, 0), (8.0, 1)):
        one, many, distances = leaves()
        wanted = target([24, 16, 40, 28], ignored=[speck])
        losses = detection_losses(outputs(one, many, distances), [wanted], tiny_px=tiny_px)
        (losses["one"] + losses["many"]).backward()
        assert one.grad is not None and many.grad is not None
        assert (one.grad == 0).sum() == (many.grad == 0).sum() == untouched
