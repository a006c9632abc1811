"""YOLO's layouts as tools write them, and what is wrong in them."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from catseye.errors import InputError
from catseye.pretrain.label_formats import images_folder, read_labels
from catseye.pretrain.picture_size import picture_size


def picture(path: Path, width: int = 100, height: int = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two pictures in two splits, and a third without objects."""
    root = tmp_path / "set"
    for name in ("train/a.jpg", "val/b.png", "val/c.png"):
        picture(root / "images" / name)
    text(root / "labels/train/a.txt", "0 0.5 0.5 0.2 0.5\n1 0.1 0.25 0.1 0.1 0.75\n\n")
    text(root / "labels/val/b.txt", "1 0.95 0.5 0.2 0.5\n")
    text(
        root / "data.yaml",
        "path: /somewhere/else\ntrain: images/train\nval: images/val\nnames:\n  0: car\n  1: bus\n",
    )
    return root


def test_ultralytics_layout(dataset: Path) -> None:
    for path in (dataset, dataset / "data.yaml"):
        labels = read_labels(path)
        assert labels.classes == ("car", "bus")
        a, b, c = labels.images
        assert [i.file_name for i in (a, b, c)] == ["train/a.jpg", "val/b.png", "val/c.png"]
        assert (a.width, a.height) == (100, 60)
        np.testing.assert_allclose(a.boxes, [[40, 15, 60, 45], [5, 12, 15, 18]], atol=1e-5)
        assert a.classes.tolist() == [0, 1] and a.scores is not None and a.scores.tolist() == [1, 0.75]
        np.testing.assert_allclose(b.boxes, [[85, 15, 100, 45]], atol=1e-5)
        assert b.scores is None and len(c.boxes) == 0
        assert images_folder(path) == dataset / "images"
    np.testing.assert_allclose(
        read_labels(dataset, clip=False).images[1].boxes, [[85, 15, 105, 45]], atol=1e-5
    )


def test_roboflow_layout(tmp_path: Path) -> None:
    for split, name in (("train", "a"), ("valid", "b")):
        picture(tmp_path / split / "images" / f"{name}.jpg")
        text(tmp_path / split / "labels" / f"{name}.txt", "0 .5 .5 .2 .2")
    text(tmp_path / "data.yaml", "train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['car']\n")
    labels = read_labels(tmp_path)
    assert [image.file_name for image in labels.images] == ["train/images/a.jpg", "valid/images/b.jpg"]
    assert [len(image.boxes) for image in labels.images] == [1, 1]
    assert len(labels.pictures(images_folder(tmp_path))) == 2


def test_names_in_a_list_of_lines_and_pictures_elsewhere(tmp_path: Path) -> None:
    text(tmp_path / "set/labels/sub/a.txt", "1 .5 .5 .2 .2")
    text(tmp_path / "set/labels/classes.txt", "car\nbig bus\n")
    picture(tmp_path / "pictures/sub/a.JPG")
    with pytest.raises(InputError, match=r"set: has no 'images' in .*--images"):
        read_labels(tmp_path / "set")
    labels = read_labels(tmp_path / "set", images=tmp_path / "pictures")
    assert labels.classes == ("car", "big bus") and labels.images[0].file_name == "sub/a.JPG"
    assert labels.images[0].classes.tolist() == [1]


def test_a_list_of_pictures(dataset: Path) -> None:
    text(dataset / "some.txt", "./images/val/b.png\nimages/train/a.jpg\n")
    text(dataset / "data.yaml", "train: some.txt\nnames: [car, bus]\n")
    assert [image.file_name for image in read_labels(dataset).images] == ["val/b.png", "train/a.jpg"]
    text(dataset / "some.txt", "./images/val/b.png\n./images/val/z.png\n")
    with pytest.raises(InputError, match=r"some.txt: 1 of 2 pictures are not there, first ./images/val/z"):
        read_labels(dataset)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0.5 0.5 0.2", "1 of 3 lines have not 5 columns"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2", "1 of 3 lines have not 5 columns"),
        ("0 0.5 wide 0.2 0.2", "1 of 3 lines have what is no number"),
        ("0 nan 0.5 0.2 0.2", "1 of 3 lines have no finite bbox"),
        ("0 1e300 0.5 0.2 0.2", "1 of 3 lines have no finite bbox"),
        ("2 0.5 0.5 0.2 0.2", "1 of 3 lines have a class that is not one of the 2 named"),
        ("0.5 0.5 0.5 0.2 0.2", "1 of 3 lines have a class that is not one of the 2 named"),
        ("nan 0.5 0.5 0.2 0.2", "1 of 3 lines have a class that is not one of the 2 named"),
        ("0 0.5 0.5 0 0.2", "1 of 3 lines have a box without area"),
        ("0 0.5 0.5 -0.1 0.2", "1 of 3 lines have a box without area"),
        ("0 50 30 20 12", "1 of 3 lines have a box outside the image"),
        ("0 0.5 0.5 0.2 0.2 1.5", "1 of 3 lines have a score outside 0 to 1"),
    ],
)
def test_a_broken_line_is_counted_and_named(dataset: Path, line: str, says: str) -> None:
    text(dataset / "labels/val/b.txt", f"{line}\n")
    with pytest.raises(InputError) as caught:
        read_labels(dataset)
    message = str(caught.value)
    assert message.startswith(f"{dataset / 'data.yaml'}: {says}") and "\n" not in message
    assert f"first line 1 of {dataset / 'labels/val/b.txt'}: '{line}'" in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("names: [a, b\n", "is not YAML"),
        ("- a\n", "has no 'names' of classes"),
        ("names: 3\n", "'names' is no list of classes"),
        ("names: {0: a, 2: b}\n", "which are not 0, 1, …"),
        ("names: [a, yes]\n", "1 of 2 class names are no text, first True"),
        ("names: [a]\ntrain: nowhere\n", "has no 'nowhere' in"),
        ("a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nnames: [*c,*c]\n", "2 of 2 class names"),
        ("names: [" + "[" * 3000, "is not YAML"),
        ("# " + "x" * (1 << 20), "has 1,048,578 bytes, more than"),
    ],
)
def test_a_broken_yaml_is_one_line(dataset: Path, content: str, says: str) -> None:
    text(dataset / "data.yaml", content)
    with pytest.raises(InputError) as caught:
        read_labels(dataset)
    message = str(caught.value)
    assert says in message and "data.yaml" in message and "\n" not in message and len(message) < 600


def test_text_without_a_picture_is_not_lost(dataset: Path) -> None:
    text(dataset / "labels/val/z.txt", "0 .5 .5 .1 .1")
    text(dataset / "labels/train/deeper/y.txt", "0 .5 .5 .1 .1")
    with pytest.raises(InputError, match=r"2 of 4 text files have no picture in .*images, first .*deeper/y"):
        read_labels(dataset)


def test_pictures_that_share_a_text_file(dataset: Path) -> None:
    picture(dataset / "images/val/b.jpg")
    with pytest.raises(InputError, match=r"text file of two pictures '.*labels/val/b.txt' occurs twice"):
        read_labels(dataset)


def test_what_is_no_picture(dataset: Path) -> None:
    (dataset / "images/val/b.png").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"b.png: is not a readable picture"):
        read_labels(dataset)


def test_a_text_file_of_another_encoding_or_of_nonsense(dataset: Path) -> None:
    broken = dataset / "labels/val/b.txt"
    broken.write_bytes("0 .5 .5 .1 .1 ä".encode("latin-1"))
    with pytest.raises(InputError, match=r"b.txt: cannot be read as text"):
        read_labels(dataset)
    os.truncate(broken, 200 << 20)
    with pytest.raises(InputError, match=r"b.txt: has 209,715,200 bytes, more than"):
        read_labels(dataset)
    broken.write_bytes("0 .5 .5 .1 .1\n".encode("utf-16"))
    assert len(read_labels(dataset).images[1].boxes) == 1


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_picture_is_as_large_as_its_decoder_says(tmp_path: Path, orientation: int) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.jpg", "a.png"):
        path = tmp_path / name
        Image.new("RGB", (40, 20)).save(path, exif=exif)
        height, width = cv2.imread(str(path), cv2.IMREAD_COLOR).shape[:2]
        assert picture_size(path) == (width, height)
