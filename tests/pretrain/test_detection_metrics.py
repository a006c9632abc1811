from __future__ import annotations

import numpy as np
import pytest

from catseye.pretrain.detection_metrics import Detections, Truth, average_precision


def detections(*rows: tuple[float, ...]) -> Detections:
    """Rows of x1, y1, x2, y2, score, class."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int32))


def truth(*rows: tuple[float, ...], ignored: tuple[int, ...] = ()) -> Truth:
    """Rows of x1, y1, x2, y2, class."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 5)
    flags = np.isin(np.arange(len(table)), ignored)
    return Truth(table[:, :4], table[:, 4].astype(np.int32), flags)


LARGE, MIDDLE, SMALL = (10, 10, 60, 40), (80, 10, 100, 25), (120, 10, 130, 18)


def test_perfect_detections_score_one_everywhere() -> None:
    found = detections((*LARGE, 0.9, 0), (*MIDDLE, 0.8, 0), (*SMALL, 0.7, 0))
    figures = average_precision([found], [truth((*LARGE, 0), (*MIDDLE, 0), (*SMALL, 0))])
    assert figures == pytest.approx({"ap": 1, "ap50": 1, "ap50_h10": 1, "ap50_h20": 1})


def test_a_false_alarm_above_the_hit_halves_precision() -> None:
    found = detections((200, 0, 240, 40, 0.9, 0), (*LARGE, 0.8, 0))
    assert average_precision([found], [truth((*LARGE, 0))])["ap50"] == pytest.approx(0.5, abs=1e-6)


def test_small_objects_neither_help_nor_hurt_where_they_are_not_asked_for() -> None:
    everything = truth((*LARGE, 0), (*MIDDLE, 0), (*SMALL, 0))
    only_large = detections((*LARGE, 0.9, 0))
    figures = average_precision([only_large], [everything])
    assert figures["ap50"] == pytest.approx(34 / 101, abs=1e-6)
    assert figures["ap50_h10"] == pytest.approx(51 / 101, abs=1e-6)
    assert figures["ap50_h20"] == 1
    small_first = detections((*SMALL, 0.95, 0), (*MIDDLE, 0.93, 0), (*LARGE, 0.9, 0))
    assert average_precision([small_first], [everything])["ap50_h20"] == 1


def test_false_alarms_count_by_their_own_height() -> None:
    hit, low, tall = (*LARGE, 0.8, 0), (200, 0, 215, 12, 0.9, 0), (200, 0, 240, 30, 0.9, 0)
    figures = average_precision([detections(low, hit)], [truth((*LARGE, 0))])
    assert figures["ap50_h20"] == 1 and figures["ap50_h10"] == pytest.approx(0.5, abs=1e-6)
    figures = average_precision([detections(tall, hit)], [truth((*LARGE, 0))])
    assert figures["ap50_h20"] == pytest.approx(0.5, abs=1e-6)


def test_a_low_detection_of_a_tall_object_still_counts() -> None:
    shrunk = (10, 10, 60, 29)
    figures = average_precision([detections((*shrunk, 0.9, 0))], [truth((*LARGE, 0))])
    assert figures["ap50_h20"] == 1


def test_ignored_objects_do_not_count_and_classes_are_averaged() -> None:
    found = detections((*LARGE, 0.9, 0), (*MIDDLE, 0.95, 0))
    figures = average_precision([found], [truth((*LARGE, 0), (*MIDDLE, 0), ignored=(1,))])
    assert figures["ap50"] == 1
    wrong_class = detections((*LARGE, 0.9, 0), (*MIDDLE, 0.9, 0))
    figures = average_precision([wrong_class], [truth((*LARGE, 0), (*MIDDLE, 1))])
    assert figures["ap50"] == pytest.approx(0.5, abs=1e-6)


def test_images_with_nothing_found_or_nothing_there() -> None:
    figures = average_precision([detections(), detections()], [truth((*SMALL, 0)), truth()])
    assert figures == {"ap": 0, "ap50": 0}
