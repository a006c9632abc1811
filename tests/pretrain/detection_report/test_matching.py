from __future__ import annotations

import numpy as np
from detection_cases import found, image

from catseye.pretrain.boxes import covered_shares
from catseye.pretrain.detection_report.matching import FALSE, IGNORED, match_detections


def test_the_best_score_chooses_first_and_a_second_find_is_false() -> None:
    label = image((10, 10, 30, 30, 0), (50, 10, 70, 30, 0))
    each = found(
        (10, 10, 30, 28, 0.5, 0), (10, 10, 30, 30, 0.9, 0), (50, 12, 70, 30, 0.3, 0), (0, 0, 9, 9, 0.8, 0)
    )
    assert match_detections(each, label).tolist() == [FALSE, 0, 1, FALSE]


def test_what_lies_over_a_crowd_is_ignored_however_large_the_crowd() -> None:
    label = image((0, 0, 100, 90, 0), (120, 10, 140, 30, 0), crowd=(0,))
    each = found((10, 10, 20, 20, 0.9, 0), (95, 10, 115, 20, 0.8, 0), (120, 10, 140, 30, 0.7, 0))
    assert match_detections(each, label).tolist() == [IGNORED, FALSE, 1]


def test_only_a_detection_of_its_class_finds_an_object_unless_asked_otherwise() -> None:
    label = image((10, 10, 30, 30, 1))
    each = found((10, 10, 30, 30, 0.9, 0))
    assert match_detections(each, label).tolist() == [FALSE]
    assert match_detections(each, label, within_class=False).tolist() == [0]
    assert match_detections(found(), image()).shape == (0,)


def test_a_share_is_of_the_first_box() -> None:
    boxes, others = (
        np.array(rows, np.float32) for rows in ([[0, 0, 10, 10]], [[5, 0, 50, 50], [20, 0, 30, 9]])
    )
    assert covered_shares(boxes, others).tolist() == [[0.5, 0.0]]
