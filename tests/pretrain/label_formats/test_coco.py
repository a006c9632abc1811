from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catseye.errors import InputError
from catseye.pretrain.label_formats.coco import read_coco


def coco(*boxes: list[Any], **changes: Any) -> dict[str, Any]:
    """A document with one image of 100×60 and the boxes given."""
    document: dict[str, Any] = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 60}],
        "categories": [{"id": 3, "name": "car"}, {"id": 1, "name": "truck"}],
        "annotations": [
            {"id": i, "image_id": 7, "category_id": 3, "bbox": box} for i, box in enumerate(boxes)
        ],
    }
    return document | changes


def write(folder: Path, document: Any) -> Path:
    path = folder / "labels.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_boxes_become_corners_and_are_clipped_to_the_image(tmp_path: Path) -> None:
    labels = read_coco(write(tmp_path, coco([10, 20, 30, 10], [90, -5, 30, 20])))
    assert labels.classes == ("car", "truck")
    (image,) = labels.images
    assert (image.file_name, image.width, image.height) == ("a.jpg", 100, 60)
    np.testing.assert_array_equal(image.boxes, [[10, 20, 40, 30], [90, 0, 100, 15]])
    assert image.boxes.dtype == np.float32 and image.classes.tolist() == [0, 0]


def test_class_indices_follow_the_order_of_the_categories_not_their_ids(tmp_path: Path) -> None:
    document = coco([1, 1, 5, 5], [2, 2, 5, 5])
    document["annotations"][1]["category_id"] = 1
    document["annotations"][1]["iscrowd"] = 1
    (image,) = read_coco(write(tmp_path, document)).images
    assert image.classes.tolist() == [0, 1]
    assert image.crowd.tolist() == [False, True]


def test_images_without_boxes_are_kept(tmp_path: Path) -> None:
    document = coco([1, 1, 5, 5])
    document["images"].append({"id": 8, "file_name": "b.jpg", "width": 10, "height": 10})
    labels = read_coco(write(tmp_path, document))
    assert [image.boxes.shape for image in labels.images] == [(1, 4), (0, 4)]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("not json", "is not JSON"),
        ([], "no list of objects 'images'"),
        (coco([1, 1, 5, 5], categories=None), "no list of objects 'categories'"),
        (coco(), "has no annotation"),
        (coco([float("nan"), 1, 5, 5], [1, 1, 5, 5]), "1 of 2 annotations have no finite bbox"),
        (coco([1, 1, 5]), "have no finite bbox"),
        (coco([1, 1, "wide", 5]), "have no finite bbox"),
        (coco([1, 1, 0, 5]), "have a box without area"),
        (
            coco([100, 1, 5, 5], [1, 1, 5, 5], [-9, 1, 8, 5]),
            "2 of 3 annotations have a box outside the image",
        ),
        (coco([1, 1, 5, 5], categories=[{"id": 9, "name": "car"}]), "have a category not listed"),
        (coco([1, 1, 5, 5], categories=[{"id": 3, "name": "a"}] * 2), "category id 3 occurs twice"),
        (coco([1, 1, 5, 5], images=[{"id": [], "file_name": "a.jpg"}]), "field 'id'"),
        (
            coco([1, 1, 5, 5], images=[{"id": 1, "file_name": "a.jpg", "width": 1, "height": 1}]),
            "refer to an image not listed",
        ),
        (
            coco([1, 1, 5, 5], images=[{"id": 7, "file_name": "a.jpg", "width": 0, "height": 1}]),
            "field 'width' of image 'a.jpg' is 0",
        ),
        (
            coco([1, 1, 5, 5], annotations=[{"image_id": [7], "category_id": 3, "bbox": [1, 1, 5, 5]}]),
            "refer to an image not listed",
        ),
    ],
)
def test_broken_labels_get_one_line_that_names_file_and_fault(
    tmp_path: Path, document: Any, says: str
) -> None:
    path = write(tmp_path, document)
    with pytest.raises(InputError) as caught:
        read_coco(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and says in message and "\n" not in message


def test_the_first_wrong_annotation_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"first annotation 1 with bbox \[200, 1, 5, 5\]"):
        read_coco(write(tmp_path, coco([1, 1, 5, 5], [200, 1, 5, 5])))


def test_absent_label_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_coco(tmp_path / "absent.json")


def test_twenty_thousand_boxes_in_one_image_are_read(tmp_path: Path) -> None:
    labels = read_coco(write(tmp_path, coco(*[[1, 1, 5, 5]] * 20_000)))
    assert labels.images[0].boxes.shape == (20_000, 4)
