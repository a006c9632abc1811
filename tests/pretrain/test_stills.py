from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from catseye.errors import InputError
from catseye.pretrain.assignment import inside
from catseye.pretrain.augment import Still
from catseye.pretrain.labels import LabelledImage, Labels
from catseye.pretrain.stills import Draw, StillPool, batches, draw_batch, load_stills, to_target

NOTHING = {"classes": np.zeros(1, dtype=np.int32), "crowd": np.zeros(1, dtype=bool)}


def labels(*names: str, width: int = 80, height: int = 48) -> Labels:
    boxes = np.array([[10, 10, 40, 30]], dtype=np.float32)
    images = tuple(LabelledImage(name, width, height, boxes=boxes, **NOTHING) for name in names)
    return Labels(Path("labels.json"), ("car",), images)


def grey_stills(count: int) -> StillPool:
    """Each has as many boxes as its number, by which it can be told in a batch."""
    stills = [
        Still(
            rgb=np.full((48, 80, 3), 100, dtype=np.uint8),
            boxes=np.tile(np.array([[30, 18, 50, 30]], dtype=np.float32), (number, 1)),
            classes=np.zeros(number, dtype=np.int32),
            ignored=np.zeros(number, dtype=bool),
        )
        for number in range(count)
    ]
    return StillPool(stills)


def test_stills_are_read_as_rgb_at_a_bounded_size(tmp_path: Path) -> None:
    bgr = np.zeros((480, 800, 3), dtype=np.uint8)
    bgr[..., 2] = 250
    cv2.imwrite(str(tmp_path / "a.png"), bgr)
    (still,) = load_stills(labels("a.png", width=800, height=480), tmp_path, width=96, height=64)
    height, width = still.rgb.shape[:2]
    assert (width, height) == (145, 87)  # half as much again as the network's 96×58
    assert still.rgb[..., 0].min() > 200 and still.rgb[..., 2].max() < 50
    np.testing.assert_allclose(still.boxes, [[1.81, 1.81, 7.25, 5.44]], atol=0.01)


def test_pictures_that_do_not_fit_their_labels_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"a.jpg: is not a readable picture"):
        load_stills(labels("a.jpg"), tmp_path, width=96, height=64)
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((40, 80, 3), dtype=np.uint8))
    with pytest.raises(
        InputError, match=r"1 of 1 pictures .* first 'b.png' is 80x40, but its labels are for 80x48"
    ):
        load_stills(labels("b.png"), tmp_path, width=96, height=64)


def test_batches_depend_on_seed_and_step_alone() -> None:
    stills = grey_stills(6)
    draw = Draw(width=64, height=64, batch=3, zoom=1.3, seed=1)
    whole = list(batches(stills, draw, first_step=0, steps=5))
    resumed = list(batches(stills, draw, first_step=3, steps=5))
    assert [len(whole), len(resumed)] == [5, 2]
    for ours, theirs in zip(whole[3:], resumed, strict=True):
        assert (ours.rgb == theirs.rgb).all()
        assert [t.boxes.tolist() for t in ours.targets] == [t.boxes.tolist() for t in theirs.targets]
    assert not (whole[0].rgb == draw_batch(stills, Draw(64, 64, 3, 1.3, seed=2), 0).rgb).all()


def test_a_batch_of_crops_has_their_size() -> None:
    batch = draw_batch(grey_stills(3), Draw(96, 64, 2, 1.3, seed=0, crop=(64, 32)), 0)
    assert batch.rgb.shape == (2, 3, 32, 64)


def test_each_round_through_the_stills_has_an_order_of_its_own() -> None:
    stills, draw = grey_stills(12), Draw(64, 64, 12, 1.0, seed=0)
    orders = [
        [len(target.boxes) + len(target.ignored) for target in draw_batch(stills, draw, step).targets]
        for step in range(2)
    ]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


def test_what_is_ignored_is_not_to_be_found() -> None:
    boxes = np.array([[1, 2, 9, 12], [20, 4, 40, 30]], dtype=np.float32)
    rgb = np.zeros((48, 80, 3), dtype=np.uint8)
    target = to_target(Still(rgb, boxes, np.array([3, 1], dtype=np.int32), np.array([True, False])))
    assert target.boxes.tolist() == [[20, 4, 40, 30]] and target.classes.tolist() == [1]
    assert target.ignored.tolist() == [[1, 2, 9, 12]]


def test_every_still_is_seen_once_before_any_is_seen_twice_whatever_the_processes() -> None:
    stills = grey_stills(12)
    seen = [
        len(target.boxes) + len(target.ignored)
        for step in range(2)
        for rank in range(2)
        for target in draw_batch(stills, Draw(64, 64, 3, 1.3, seed=0, rank=rank, world=2), step).targets
    ]
    assert sorted(seen) == list(range(12)) and seen != sorted(seen)


def test_extra_stills_are_their_part_of_each_batch_and_weigh_by_their_scores(tmp_path: Path) -> None:
    people = grey_stills(4).stills
    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 80, 3), 200, dtype=np.uint8))
    proposed = labels("a.png")
    sure = replace(proposed.images[0], scores=np.array([0.5], dtype=np.float32))
    extra = load_stills(replace(proposed, images=(sure,)), tmp_path, width=96, height=64)
    pool = StillPool(people, extra=extra)
    draw = Draw(64, 64, batch=3, zoom=1.0, seed=0, extra=1)
    drawn = [draw_batch(pool, draw, step) for step in range(4)]
    for batch in drawn:
        assert [target.weights is None for target in batch.targets] == [True, True, False]
        weights = batch.targets[2].weights
        assert weights is not None and set(weights.tolist()) <= {0.5}
        assert batch.rgb[2].float().mean() > batch.rgb[:2].float().mean()
    seen = [len(t.boxes) + len(t.ignored) for batch in drawn for t in batch.targets[:2]]
    assert sorted(seen[:4]) == sorted(seen[4:]) == [0, 1, 2, 3]


def test_rare_stills_come_more_often() -> None:
    pool = replace(grey_stills(3), factors=(1.0, 1.0, 2.0))
    draw = Draw(64, 64, batch=4, zoom=1.0, seed=0)
    seen = sorted(len(t.boxes) + len(t.ignored) for t in draw_batch(pool, draw, 0).targets)
    assert seen == [0, 1, 2, 2]


def test_of_very_many_objects_the_largest_are_asked_for_and_the_others_ignored() -> None:
    count = 100_000
    side = np.linspace(4, 8, count, dtype=np.float32)
    boxes = np.stack([np.zeros(count), np.zeros(count), side, side], axis=1).astype(np.float32)
    ignored = np.zeros(count, dtype=bool)
    ignored[-1] = True
    still = Still(np.zeros((64, 96, 3), np.uint8), boxes, np.zeros(count, np.int32), ignored)
    target = to_target(still)
    assert len(target.boxes) == len(target.classes) == 1000 and len(target.ignored) == count - 1000
    np.testing.assert_array_equal(np.sort(target.boxes[:, 2].numpy()), side[-1001:-1])
    assert ignored.sum() == 1
    covered = inside(target.ignored, height=8, width=12)
    assert covered[:2, :2].all() and covered.sum() == 4
