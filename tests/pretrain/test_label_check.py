"""The check from label file to page, and the verbs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Command

from catseye.capture.geometry import Image
from catseye.errors import InputError
from catseye.pretrain.label_check import SecondOpinion, check_labels
from catseye.pretrain.label_error_page import crop_around, render_page
from catseye.pretrain.label_errors import Found
from catseye.pretrain.label_formats import read_labels, write_labels
from catseye.pretrain.labels import Labels


def perfect(labels: Labels) -> SecondOpinion:
    """Finds in each picture, in order, what is labelled there."""
    images = iter(labels.images)

    def detect(rgb: Image) -> Found:
        image = next(images)
        assert rgb.shape == (image.height, image.width, 3)
        rows = ~image.crowd
        return Found(image.boxes[rows], np.full(rows.sum(), 0.9, np.float32), np.ones(rows.sum(), np.int32))

    return SecondOpinion("<oracle>", ("other", "vehicle"), detect)


def test_rendered_labels_are_clean_and_a_planted_double_and_hole_are_shown(
    road_world: Path, tmp_path: Path
) -> None:
    path = road_world / "instances_coco.json"
    good = read_labels(path)
    images = road_world / "images"
    clean = check_labels(path, opinion=perfect(good))
    assert not {"missing", "spurious", "shifted", "class"} & {each.kind for each in clean.suspicions}

    index = next(k for k, image in enumerate(good.images) if (~image.crowd).any())
    image = good.images[index]
    row = int(np.flatnonzero(~image.crowd)[0])
    hole = replace(image.kept(np.arange(len(image.boxes)) != row))
    spoilt = replace(good, images=(*good.images[:index], hole, *good.images[index + 1 :]))
    write_labels(spoilt, tmp_path / "<b>.json", form="coco")
    check = check_labels(tmp_path / "<b>.json", images=images, opinion=perfect(good))
    (found,) = [each for each in check.suspicions if each.kind == "missing"]
    assert found.image == index
    np.testing.assert_array_equal(found.box, image.boxes[row])
    assert check.counts()["missing"] == 1
    page = render_page(check)
    assert page.count("<figure>") == len(check.suspicions) and "data:image/jpeg;base64," in page
    assert "&lt;oracle&gt;" in page and "<b>" not in page.replace("<b>1</b>", "").split("<main>")[1]
    assert "<script" not in page and "src='http" not in page


def test_a_detector_of_other_classes_is_no_second_opinion(road_world: Path) -> None:
    opinion = SecondOpinion("coco", ("dog", "cat"), lambda rgb: pytest.fail("was asked"))
    with pytest.raises(InputError, match="has classes vehicle, and coco dog, cat"):
        check_labels(road_world / "instances_coco.json", opinion=opinion)


def test_pictures_of_another_size_are_counted(road_world: Path, tmp_path: Path) -> None:
    good = read_labels(road_world / "instances_coco.json")
    other = replace(good, images=(replace(good.images[0], width=320, height=192), *good.images[1:]))
    write_labels(other, tmp_path / "a.json", form="coco")
    with pytest.raises(
        InputError, match=r"1 of \d+ pictures in .* .*is 160x96, but its labels are for 320x192"
    ):
        check_labels(tmp_path / "a.json", images=road_world / "images")


def test_a_crop_stays_within_the_picture() -> None:
    rgb = np.arange(100 * 200 * 3, dtype=np.uint32).reshape(100, 200, 3).astype(np.uint8)
    part, (left, top) = crop_around(rgb, [np.float32([-30, 80, 10, 120])])
    assert (left, top) == (0, 40) and part.shape == (60, 50, 3)
    np.testing.assert_array_equal(part, rgb[40:100, 0:50])


def test_verbs(catseye: Command, road_world: Path, tmp_path: Path) -> None:
    source = road_world / "instances_coco.json"
    refused = catseye("labels", "convert", source, tmp_path / "yolo", "--format", "yolo")
    assert refused.code == 1 and "crowd boxes" in refused.line and "--without-crowd" in refused.line
    done = catseye("labels", "convert", source, tmp_path / "yolo", "--format", "yolo", "--without-crowd")
    assert done.code == 0, done.err
    back = catseye("labels", "convert", tmp_path / "yolo", tmp_path / "a.xml", "--format", "cvat")
    assert back.code == 0, back.err
    wanted, found = read_labels(source).without_crowd(), read_labels(tmp_path / "a.xml")
    assert found.classes == wanted.classes
    by_name = {image.file_name: image for image in found.images}
    for image in wanted.images:
        np.testing.assert_allclose(by_name[image.file_name].boxes, image.boxes, atol=1e-3)

    checked = catseye("labels", "check", tmp_path / "yolo", "--out", tmp_path / "page.html", "--json")
    assert checked.code == 0, checked.err
    document = json.loads(checked.out)
    assert sum(document["counts"].values()) == len(document["suspicions"])
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
