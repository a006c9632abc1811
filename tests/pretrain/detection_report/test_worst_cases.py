from __future__ import annotations

import pytest
from detection_cases import found, image

from catseye.pretrain.detection_report.worst_cases import worst_false_alarms, worst_misses


def test_the_largest_misses_come_first_with_what_became_of_them() -> None:
    stills = [
        image((10, 10, 30, 30, 0), (50, 10, 90, 50, 0), (100, 10, 110, 20, 1), (120, 10, 130, 20, 0)),
        image((0, 0, 100, 90, 0), crowd=(0,)),
    ]
    each = [
        found((10, 10, 30, 30, 0.2, 0), (100, 10, 110, 20, 0.9, 0), (120, 10, 130, 20, 0.8, 0)),
        found(),
    ]
    cases = worst_misses(each, stills, threshold=0.5, most=10)
    assert [(case.area, case.why) for case in cases] == [
        (1600, "no find"),
        (400, "too low a score"),
        (100, "another class"),
    ]
    assert [case.score for case in cases] == pytest.approx([0, 0.2, 0])
    assert [case.area for case in worst_misses(each, stills, threshold=0.5, most=1)] == [1600]


def test_the_surest_false_alarms_come_first_with_what_they_are() -> None:
    still = image((10, 10, 30, 30, 0), (60, 10, 80, 30, 1))
    each = found(
        (10, 10, 30, 30, 0.95, 0),
        (10, 10, 30, 28, 0.9, 0),
        (60, 10, 80, 30, 0.8, 0),
        (20, 10, 40, 30, 0.7, 0),
        (100, 50, 120, 70, 0.6, 0),
        (130, 50, 140, 70, 0.4, 0),
    )
    cases = worst_false_alarms([each], [still], threshold=0.5, most=10)
    assert [case.why for case in cases] == [
        "found twice",
        "another class",
        "beside an object",
        "nothing there",
    ]
    assert [case.score for case in cases] == pytest.approx([0.9, 0.8, 0.7, 0.6])
