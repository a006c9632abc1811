"""Every format gives back what was written in it, and so does one after another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from catseye.errors import InputError, UsageError
from catseye.pretrain.label_formats import Form, form_of, images_folder, read_labels, write_labels
from catseye.pretrain.labels import LabelledImage, Labels

PHASES = tuple(set(Phase) - {Phase.explain})
LEAST_SIDE = 0.01
YOLO_DIGITS_PX = 1e-3
FORMS: tuple[Form, ...] = ("coco", "yolo", "cvat")

_letters = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/\\\ufffe\uffff")
_class_names = st.text(_letters | st.sampled_from("\n\t\"'&<>:#"), min_size=1, max_size=12)
_parts = st.text(_letters, min_size=1, max_size=12).filter(lambda part: part.strip(". ") != "")
_file_names = st.builds(
    lambda folders, stem, number: "/".join([*folders, f"{stem}{number}.ppm"]),
    st.lists(_parts | st.just("images"), max_size=2),
    _parts,
    st.integers(0, 9),
)


@st.composite
def an_image(draw: st.DrawFn, name: str, classes: int, *, crowd: bool) -> LabelledImage:
    width, height = draw(st.integers(1, 8_000)), draw(st.integers(1, 8_000))
    boxes = []
    for _ in range(draw(st.integers(0, 4))):
        corners = []
        for side in (width, height):
            first = draw(st.floats(0, side - LEAST_SIDE * 2, width=64))
            corners.append((first, draw(st.floats(first + LEAST_SIDE, side))))
        boxes.append([corners[0][0], corners[1][0], corners[0][1], corners[1][1]])
    count = len(boxes)
    scores = (
        st.none()
        if not count
        else st.none() | st.lists(st.floats(0, 1, width=32), min_size=count, max_size=count)
    )
    given_scores = draw(scores)
    return LabelledImage(
        name,
        width,
        height,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([draw(st.integers(0, classes - 1)) for _ in boxes], np.int32),
        np.array([crowd and draw(st.booleans()) for _ in boxes], bool),
        None if given_scores is None else np.array(given_scores, np.float32),
    )


@st.composite
def some_labels(draw: st.DrawFn, *, crowd: bool = True) -> Labels:
    """Labels with at least one box, some classes perhaps without any."""
    classes = draw(st.lists(_class_names, min_size=1, max_size=4, unique=True))
    names = draw(st.lists(_file_names, min_size=1, max_size=4, unique=True))
    images = tuple(draw(an_image(name, len(classes), crowd=crowd)) for name in names)
    if not any(len(image.boxes) for image in images):
        box = np.array([[0, 0, images[0].width, images[0].height]], np.float32)
        one = (box, np.zeros(1, np.int32), np.zeros(1, bool))
        images = (LabelledImage(names[0], images[0].width, images[0].height, *one), *images[1:])
    return Labels(Path("drawn"), tuple(classes), images)


def header_only(path: Path, width: int, height: int) -> None:
    """A picture of which nothing but the header is there: who decodes it, fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P6 %d %d 255\n" % (width, height))


@contextmanager
def pictures_of(labels: Labels) -> Iterator[tuple[Path, Path]]:
    """A folder to work in, and one with the pictures."""
    with TemporaryDirectory() as folder:
        images = Path(folder, "pictures")
        images.mkdir()
        for image in labels.images:
            header_only(images / image.file_name, image.width, image.height)
        yield Path(folder), images


def there_and_back(labels: Labels, form: Form, folder: Path, images: Path) -> Labels:
    path = folder / {"coco": "a.json", "yolo": "set", "cvat": "a.xml"}[form]
    write_labels(labels, path, form=form, images=images)
    assert form_of(path) == form
    return read_labels(path)


def assert_same(found: Labels, wanted: Labels, *, within_px: float) -> None:
    assert found.classes == wanted.classes
    by_name = {image.file_name: image for image in found.images}
    assert set(by_name) == {image.file_name for image in wanted.images}
    for image in wanted.images:
        same = by_name[image.file_name]
        assert (same.width, same.height) == (image.width, image.height)
        assert same.boxes.dtype == np.float32 and same.boxes.shape == image.boxes.shape
        np.testing.assert_allclose(same.boxes, image.boxes, rtol=0, atol=within_px)
        np.testing.assert_array_equal(same.classes, image.classes)
        np.testing.assert_array_equal(same.crowd, image.crowd)
        if image.scores is None:
            assert same.scores is None
        else:
            assert same.scores is not None and same.scores.dtype == np.float32
            np.testing.assert_allclose(same.scores, image.scores, rtol=1e-6, atol=1e-12)


@settings(max_examples=30, deadline=None, phases=PHASES)
@given(some_labels(), st.sampled_from(["coco", "cvat"]))
def test_coco_and_cvat_give_back_everything_exactly(labels: Labels, form: Form) -> None:
    with pictures_of(labels) as (folder, images):
        found = there_and_back(labels, form, folder, images)
    assert_same(found, labels, within_px=0)
    assert found.digest() == labels.digest()


@settings(max_examples=20, deadline=None, phases=PHASES)
@given(some_labels(crowd=False))
def test_yolo_gives_back_boxes_to_within_a_thousandth_of_a_pixel(labels: Labels) -> None:
    try:
        with pictures_of(labels) as (folder, images):
            found = there_and_back(labels, "yolo", folder, images)
            assert images_folder(folder / "set") == folder / "set" / "images"
    except InputError as error:
        # Two names that differ only in where a folder is called images or labels, as in Ultralytics.
        assert "text file of two pictures" in str(error)
        return
    assert_same(found, labels, within_px=YOLO_DIGITS_PX)


@settings(max_examples=8, deadline=None, phases=PHASES)
@given(some_labels(crowd=False), st.permutations(FORMS))
def test_one_format_after_another(labels: Labels, forms: list[Form]) -> None:
    named = replace(
        labels, images=tuple(replace(i, file_name=f"{n}.ppm") for n, i in enumerate(labels.images))
    )
    found = named
    with pictures_of(named) as (folder, pictures):
        for form in forms:
            found = there_and_back(found, form, folder, pictures)
    assert_same(found, named, within_px=YOLO_DIGITS_PX)


def one_image(**changes: object) -> Labels:
    image = LabelledImage(
        "a.jpg", 64, 48, np.array([[1, 2, 30, 40]], np.float32), np.zeros(1, np.int32), np.zeros(1, bool)
    )
    return Labels(Path("x.json"), ("car",), (replace(image, **changes),))  # type: ignore[arg-type]


def test_yolo_refuses_crowd_rather_than_losing_it(tmp_path: Path) -> None:
    labels = one_image(crowd=np.ones(1, bool))
    with pytest.raises(InputError, match=r"cannot hold the 1 crowd boxes of x.json as YOLO, first in 'a.j"):
        write_labels(labels, tmp_path / "out", form="yolo")
    assert not any(tmp_path.iterdir())
    write_labels(labels.without_crowd(), tmp_path / "out", form="yolo")
    assert (tmp_path / "out/labels/a.txt").read_text() == ""


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "a.txt", "a\0.jpg", "b/../a.jpg", "./a.jpg"])
def test_yolo_writes_nowhere_but_into_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="1 of 1 file names cannot be the path of a picture below images/"):
        write_labels(one_image(file_name=name), tmp_path / "out", form="yolo")
    assert not any(tmp_path.iterdir())


def test_pictures_that_would_share_a_text_file_are_refused(tmp_path: Path) -> None:
    labels = one_image()
    both = replace(labels, images=(labels.images[0], replace(labels.images[0], file_name="a.png")))
    with pytest.raises(InputError, match=r"text file of two pictures 'labels/a.txt' occurs twice"):
        write_labels(both, tmp_path / "out", form="yolo")


def test_xml_refuses_a_name_that_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 of 2 names have a character that XML cannot hold.* 'a\\x01"):
        write_labels(one_image(file_name="a\x01.jpg"), tmp_path / "a.xml", form="cvat")
    write_labels(one_image(file_name="a\x01.jpg"), tmp_path / "a.json", form="coco")
    assert read_labels(tmp_path / "a.json").images[0].file_name == "a\x01.jpg"


def test_what_is_there_is_not_written_over_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        write_labels(one_image(), tmp_path, form="yolo")
    with pytest.raises(InputError, match="is a folder"):
        write_labels(one_image(), tmp_path, form="coco")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for form in FORMS:
        with pytest.raises(InputError, match=r"cannot be written \(Not a directory|File exists\)"):
            write_labels(one_image(), tmp_path / "file" / "out", form=form)


def test_a_format_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="label format 'voc': is one of coco, yolo, cvat"):
        write_labels(one_image(), tmp_path / "a", form="voc")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"hello", "is of no known label format"),
        ("a.zip", b"PK\x03\x04....", "is a ZIP archive; unpack it"),
        ("a.json", b"hello", "is not JSON"),
        ("a.bin", bytes(range(256)) * 100, "is of no known label format"),
        ("a.xml", b"<html></html>", "is XML of <html>"),
    ],
)
def test_what_is_no_label_file(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_labels(tmp_path / name)
    assert says in str(caught.value) and "\n" not in str(caught.value) and name in str(caught.value)
    with pytest.raises(InputError, match="is a folder without labels in it"):
        read_labels(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_labels(tmp_path / "absent")
