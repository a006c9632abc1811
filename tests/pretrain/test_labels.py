"""Labels in memory: choosing images of them, and their identity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catseye.errors import InputError
from catseye.pretrain.labels import LabelledImage, Labels, read_image_list


def labels_of(*names: str) -> Labels:
    """One box and one crowd box an image."""
    boxes = np.array([[1, 1, 6, 6], [2, 2, 9, 9]], np.float32)
    rows = (boxes, np.array([0, 1], np.int32), np.array([False, True]))
    images = tuple(LabelledImage(name, 100, 60, *rows) for name in names)
    return Labels(Path("labels.json"), ("car", "truck"), images)


def test_images_that_are_not_there_are_counted_and_named(tmp_path: Path) -> None:
    labels = labels_of("a.jpg", "b.jpg")
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InputError, match=r"1 of 2 labelled images are not in .*, first 'b.jpg'"):
        labels.pictures(tmp_path)
    assert labels.without(["b.jpg"]).pictures(tmp_path) == (tmp_path / "a.jpg",)


def test_lists_choose_images_in_their_order(tmp_path: Path) -> None:
    labels = labels_of("a.jpg", "b.jpg")
    chosen = tmp_path / "train.txt"
    chosen.write_text("b.jpg\n\na.jpg\n")
    names = read_image_list(chosen)
    assert [i.file_name for i in labels.only(names, source=chosen).images] == ["b.jpg", "a.jpg"]
    with pytest.raises(InputError, match=r"train.txt: 1 of 2 images have no entry in .*, first 'c.jpg'"):
        labels.only(["a.jpg", "c.jpg"], source=chosen)


@pytest.mark.parametrize(("text", "says"), [(" \n", "names no image"), ("a.jpg\na.jpg\n", "occurs twice")])
def test_useless_lists_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_image_list(path)


def test_crowd_boxes_are_left_out_with_all_that_belongs_to_them() -> None:
    labels = labels_of("a.jpg")
    scored = replace(labels, images=(replace(labels.images[0], scores=np.array([0.5, 0.9], np.float32)),))
    (image,) = scored.without_crowd().images
    assert image.boxes.tolist() == [[1, 1, 6, 6]] and image.classes.tolist() == [0]
    assert image.crowd.tolist() == [False] and image.scores is not None and image.scores.tolist() == [0.5]


def test_the_digest_is_of_what_the_labels_say_and_not_of_their_file() -> None:
    labels = labels_of("a.jpg", "b.jpg")
    assert replace(labels, path=Path("other")).digest() == labels.digest()
    first = labels.images[0]
    others = [
        replace(labels, classes=("car", "van")),
        replace(labels, images=labels.images[::-1]),
        replace(labels, images=(replace(first, boxes=first.boxes + 1), labels.images[1])),
        replace(labels, images=(replace(first, crowd=~first.crowd), labels.images[1])),
        replace(labels, images=(replace(first, scores=np.ones(2, np.float32)), labels.images[1])),
    ]
    assert len({each.digest() for each in [labels, *others]}) == len(others) + 1
