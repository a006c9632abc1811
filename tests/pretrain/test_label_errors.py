"""Wrong labels: planted in good ones, they are found, and good ones are left in peace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from catseye.pretrain.boxes import overlaps
from catseye.pretrain.label_errors import Found, Suspicion, doubled, improbable, outside, suspicions
from catseye.pretrain.labels import LabelledImage

WIDTH, HEIGHT = 640, 360


def image_of(boxes: object, classes: object = None, crowd: object = None) -> LabelledImage:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    kinds = np.zeros(len(array), np.int32) if classes is None else np.array(classes, np.int32)
    alone = np.zeros(len(array), bool) if crowd is None else np.array(crowd, bool)
    return LabelledImage("a.jpg", WIDTH, HEIGHT, array, kinds, alone)


def good_images(count: int = 40, *, seed: int = 0) -> list[LabelledImage]:
    """Four boxes an image, far from each other, of two classes."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        centres = np.array([[100, 100], [300, 250], [500, 120], [560, 300]]) + rng.uniform(-20, 20, (4, 2))
        heights = rng.uniform(14, 60, (4, 1))
        halves = np.concatenate([heights * rng.uniform(1.1, 1.6, (4, 1)), heights], axis=1) / 2
        images.append(image_of(np.concatenate([centres - halves, centres + halves], axis=1), [0, 1, 0, 1]))
    return images


def detector(images: list[LabelledImage], *, seed: int = 1) -> list[Found]:
    """Finds every box to within a pixel or so, and faint things elsewhere; surest of the first ten images."""
    rng = np.random.default_rng(seed)
    found = []
    for index, image in enumerate(images):
        count, least = len(image.boxes), 0.9 if index < 10 else 0.6
        elsewhere = np.array([[20, 300, 60, 330], [350, 20, 390, 50]], np.float32)
        boxes = np.concatenate([image.boxes + rng.normal(0, 0.5, (count, 4)).astype(np.float32), elsewhere])
        scores = np.concatenate([rng.uniform(least, 0.95, count), [0.1, 0.05]]).astype(np.float32)
        found.append(Found(boxes, scores, np.append(image.classes, [0, 1]).astype(np.int32)))
    return found


def rows_of(found: list[Suspicion], kind: str) -> list[tuple[int, int | None]]:
    return [(each.image, each.row) for each in found if each.kind == kind]


def test_good_labels_are_left_in_peace() -> None:
    images = good_images()
    assert suspicions(images, detector(images)) == []


def test_each_kind_of_planted_error_is_found_and_nothing_else() -> None:
    images = good_images()
    found = detector(images)

    def change(index: int, **changes: object) -> None:
        images[index] = replace(images[index], **changes)  # type: ignore[arg-type]

    change(0, boxes=images[0].boxes[1:], classes=images[0].classes[1:], crowd=images[0].crowd[1:])
    invented = np.array([[200, 60, 240, 90]], np.float32)
    change(
        1,
        boxes=np.concatenate([images[1].boxes, invented]),
        classes=np.append(images[1].classes, 0).astype(np.int32),
        crowd=np.append(images[1].crowd, False),
    )
    moved = images[2].boxes.copy()
    moved[2] += np.tile((moved[2, 2:] - moved[2, :2]) * 0.25, 2)
    change(2, boxes=moved)
    change(3, classes=np.array([0, 0, 0, 1], np.int32))
    again = images[4].boxes[[1]] + 1
    change(
        4,
        boxes=np.concatenate([images[4].boxes, again]),
        classes=np.append(images[4].classes, 1).astype(np.int32),
        crowd=np.append(images[4].crowd, False),
    )
    out = images[5].boxes.copy()
    out[3] = [630, 340, 660, 364]
    change(5, boxes=out)

    suspects = suspicions(images, found)
    assert {each[0] for each in rows_of(suspects, "missing")} == {0, 5}
    assert sorted(rows_of(suspects, "spurious")) == [(1, 4), (5, 3)]
    assert rows_of(suspects, "shifted") == [(2, 2)]
    assert rows_of(suspects, "class") == [(3, 1)]
    assert rows_of(suspects, "doubled") == [(4, 4)]
    assert rows_of(suspects, "outside") == [(5, 3)]
    assert len(suspects) == 8
    scores = [each.score for each in suspects]
    assert scores == sorted(scores, reverse=True) and min(scores) > 0 and max(scores) <= 1
    (wrong,) = [each for each in suspects if each.kind == "class"]
    assert wrong.other_class == 1 and wrong.other is not None
    assert overlaps(wrong.other[None], wrong.box[None])[0, 0] > 0.8


def test_crowd_is_neither_missing_nor_wrong() -> None:
    images = good_images()
    found = detector(images)
    images[0] = replace(images[0], crowd=np.array([True, False, False, False]))
    assert suspicions(images, found) == []
    assert doubled(image_of([[0, 0, 9, 9]] * 2, crowd=[False, True])) == []


def test_what_a_detector_hardly_ever_finds_is_not_called_spurious() -> None:
    images = good_images()
    found = detector(images)
    small = [np.array([[300, 60 + k, 308, 66 + k]], np.float32) for k in range(len(images))]
    for k, box in enumerate(small):
        labelled = images[k]
        images[k] = image_of(np.concatenate([labelled.boxes, box]), [*labelled.classes, 0])
    assert suspicions(images, found) == []


def test_what_is_never_labelled_is_not_called_missing() -> None:
    images = good_images()
    found = detector(images)
    for k, (boxes, scores, classes) in enumerate(found):
        far = np.array([[300, 60, 308, 66]], np.float32)
        found[k] = Found(
            np.concatenate([boxes, far]), np.append(scores, np.float32(0.7)), np.append(classes, 0)
        )
    images[7] = image_of(images[7].boxes[1:], images[7].classes[1:])
    suspects = [each for each in suspicions(images, found) if each.kind == "missing"]
    assert [each.image for each in suspects] == [7]


def test_small_boxes_are_not_called_shifted_for_a_pixel_or_two() -> None:
    images = [image_of([[10 + k, 10, 20 + k, 18]]) for k in range(30)]
    one = (np.float32([0.9]), np.zeros(1, np.int32))
    found = [Found(image.boxes + np.float32([2, 1, 2, 1]), *one) for image in images]
    assert overlaps(found[0].boxes, images[0].boxes)[0, 0] < 0.6
    assert suspicions(images, found) == []


def test_only_the_later_of_two_labels_is_the_double() -> None:
    (suspect,) = doubled(image_of([[10, 10, 50, 40], [200, 10, 240, 40], [9, 10, 50, 40]]), 6)
    assert (suspect.image, suspect.row) == (6, 2)
    assert suspect.other is not None and suspect.other.tolist() == [10, 10, 50, 40]
    assert suspect.score == pytest.approx(40 / 41)
    assert doubled(image_of([[10, 10, 50, 40], [10, 10, 50, 40]], [0, 1])) == []


@pytest.mark.parametrize("spread", [0, 3, 400])
def test_doubles_are_those_that_comparing_all_pairs_gives(spread: float) -> None:
    rng = np.random.default_rng(3)
    first = rng.uniform(0, max(spread, 1), (300, 2))
    image = image_of(np.concatenate([first, first + rng.uniform(20, 24, (300, 2))], axis=1))
    close = np.triu(overlaps(image.boxes, image.boxes) >= 0.7, 1)
    suspects = doubled(image)
    rows = {each.row for each in suspects}
    # Each has a partner before it, and what is left has no double among itself.
    assert all(close[:, row].any() for row in rows if row is not None)
    left = np.array([row not in rows for row in range(300)])
    assert not close[np.ix_(left, left)].any()


def test_an_odd_shape_stands_out_but_not_at_the_border() -> None:
    images = good_images()
    images[3] = image_of([*images[3].boxes.tolist(), [300, 20, 304, 90]], [*images[3].classes, 0])
    images[4] = image_of([*images[4].boxes.tolist(), [0, 20, 4, 90]], [*images[4].classes, 0])
    (suspect,) = improbable(images)
    assert (suspect.image, suspect.row) == (3, 4) and 0 < suspect.score < 1


def test_more_than_half_outside() -> None:
    image = image_of([[-30, 0, 10, 20], [-9, 0, 11, 20], [630, 350, 700, 400]])
    assert [(each.row, round(each.score, 3)) for each in outside(image)] == [(0, 0.75), (2, 0.971)]


def test_images_and_detections_may_be_empty() -> None:
    nothing = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
    assert suspicions([image_of([])], [nothing]) == []
    assert suspicions([], []) == []
    something = Found(np.float32([[1, 1, 9, 9]]), np.float32([0.9]), np.int32([-1]))
    assert suspicions([image_of([]), image_of([[1, 1, 9, 9]])], [something, something]) == []


def test_a_hundred_thousand_boxes_in_one_image() -> None:
    rng = np.random.default_rng(0)
    first = rng.random((100_000, 2)) * [1800, 1000]
    boxes = np.concatenate([first, first + rng.uniform(4, 12, (100_000, 2))], axis=1)
    image = replace(image_of(boxes), width=1920, height=1080)
    found = Found(image.boxes[:100], np.full(100, 0.5, np.float32), np.zeros(100, np.int32))
    suspects = suspicions([image], [found])
    assert len(rows_of(suspects, "doubled")) > 1000
    everywhere = replace(image, boxes=np.tile(np.float32([[5, 5, 25, 20]]), (100_000, 1)))
    assert len(doubled(everywhere)) == 99_999
