"""What counts as found, missed and false, where the answer is plain."""

from __future__ import annotations

import numpy as np
import pytest

from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.evaluation.outcomes import best_threshold, detection_outcomes
from catseye.pretrain.labels import LabelledImage

CAR, FAR, LOW, CROWD = [10, 10, 30, 30], [60, 10, 80, 30], [10, 40, 30, 55], [100, 10, 140, 30]


def image() -> LabelledImage:
    """Three cars and a crowd of them."""
    boxes = np.array([CAR, FAR, LOW, CROWD], dtype=np.float32)
    crowd = np.array([False, False, False, True])
    return LabelledImage("a.jpg", 160, 60, boxes, np.zeros(4, np.int32), crowd)


def detections(*found: tuple[list[int], float, int]) -> Detections:
    return Detections(
        np.array([box for box, _, _ in found], dtype=np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in found], dtype=np.float32),
        np.array([kind for _, _, kind in found], dtype=np.int32),
    )


def test_a_second_detection_and_one_of_another_class_are_false_and_a_crowd_forgives() -> None:
    wrong = ((CAR, 0.8, 0), (FAR, 0.7, 1), (CROWD, 0.6, 0))
    found = detections((CAR, 0.9, 0), *wrong, (FAR, 0.5, 0), (LOW, 0.4, 0))
    (outcome,) = detection_outcomes([found], [image()])
    assert outcome.asked.tolist() == [True, True, True, False]
    assert outcome.found.tolist() == [True, True, True, False]
    assert outcome.false.tolist() == [CAR, FAR] and outcome.errors == 2


def test_what_scores_below_the_best_f1_does_not_count() -> None:
    low = [([120, 40, 128, 48 + k], 0.2, 0) for k in range(6)]
    (outcome,) = detection_outcomes([detections((CAR, 0.9, 0), *low, (FAR, 0.1, 0))], [image()])
    assert outcome.found.tolist() == [True, False, False, False]
    assert outcome.missed.tolist() == [False, True, True, False] and len(outcome.false) == 0


def test_the_threshold_is_where_f1_peaks() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.7])
    right = np.array([False, True, True, False])
    # F1 from the best score down: 2/3, 2/4, 4/5, 4/6 of two objects.
    assert best_threshold(scores, right, objects=2) == 0.5
    assert best_threshold(scores, right, objects=20) == 0.5
    assert best_threshold(scores, np.zeros(4, dtype=bool), objects=2) == float("inf")


@pytest.mark.parametrize("found", [detections(), detections((CAR, 0.9, 1))])
def test_nothing_right_leaves_all_missed(found: Detections) -> None:
    (outcome,) = detection_outcomes([found], [image()])
    assert outcome.missed.tolist() == [True, True, True, False] and outcome.errors == 3
