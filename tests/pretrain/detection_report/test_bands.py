from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detection_cases import found, image

from catseye.pretrain.detection_metrics import Truth
from catseye.pretrain.detection_report.bands import by_distance, by_height
from catseye.pretrain.detection_report.distances import read_distances
from catseye.pretrain.labels import Labels

LOW, MIDDLE, TALL = (10, 10, 20, 18), (40, 10, 60, 25), (80, 10, 120, 60)


def truth(*rows: tuple[float, ...], crowd: tuple[int, ...] = ()) -> Truth:
    label = image(*rows, crowd=crowd)
    return Truth(label.boxes, label.classes, np.asarray(label.crowd))


def test_each_height_has_its_own_precision() -> None:
    stills = [truth((*LOW, 0), (*MIDDLE, 0), (*TALL, 0))]
    each = [found((*TALL, 0.9, 0), (130, 10, 140, 25, 0.85, 0), (*MIDDLE, 0.8, 0))]
    bands = by_height(each, stills)
    assert [(band.name, band.objects) for band in bands] == [
        ("under 10 px", 1),
        ("10 to 20 px", 1),
        ("40 px and over", 1),
    ]
    # The false alarm is 15 px tall: it counts against the middle one alone.
    assert [band.ap50 for band in bands] == pytest.approx([0, 0.5, 1], abs=1e-6)


def test_by_distance_a_false_alarm_counts_where_an_object_of_its_height_could_be() -> None:
    stills = [truth((*LOW, 0), (*MIDDLE, 0), (*TALL, 0), (0, 70, 9, 80, 0))]
    metres = [np.array([80, 31, 10, np.nan], np.float32)]
    each = [found((130, 10, 140, 25, 0.95, 0), (*TALL, 0.9, 0), (*MIDDLE, 0.8, 0), (*LOW, 0.7, 0))]
    bands = {band.name: band for band in by_distance(each, stills, metres)}
    assert list(bands) == ["under 15 m", "30 to 60 m", "60 m and over"]
    assert [band.ap50 for band in bands.values()] == pytest.approx([1, 0.5, 1], abs=1e-6)


def test_distances_are_those_of_the_annotations_at_the_same_place(tmp_path: Path) -> None:
    document = {
        "images": [{"id": 3, "file_name": "a.png"}, {"id": 4, "file_name": "b.png"}],
        "annotations": [
            {"image_id": 3, "bbox": [150, 10, 30, 10], "distance_m": 7.5},
            {"image_id": 3, "bbox": [10, 10, 10, 8], "distance_m": 42},
            {"image_id": 4, "bbox": [10, 10, 10, 8]},
        ],
    }
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(document))
    label = image((*LOW, 0), (*TALL, 0), (150, 10, 160, 20, 0))  # the last one is cut by the border
    labels = Labels(path, ("car",), (label, replace(image((*LOW, 0)), file_name="b.png")))
    metres = read_distances(labels)
    assert metres is not None
    np.testing.assert_array_equal(metres[0], np.array([42, np.nan, 7.5], np.float32))
    assert np.isnan(metres[1]).all()
    for text in (json.dumps(document).replace("distance_m", "area"), "no json"):
        path.write_text(text)
        assert read_distances(labels) is None
