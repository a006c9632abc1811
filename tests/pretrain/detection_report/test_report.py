from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from detection_cases import found, image

from catseye.pretrain.detection_report.case_pictures import window
from catseye.pretrain.detection_report.report import save_detection_report
from catseye.pretrain.detection_report.summary import DetectionReport
from catseye.pretrain.labels import Labels

EVIL = "<script>alert('x')</script>"


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.full((90, 160, 3), 80, np.uint8))
    stills = (
        image((10, 10, 30, 30, 0), (60, 10, 80, 50, 1)),
        image((20, 20, 40, 40, 0), name="b.png"),
    )
    return Labels(tmp_path / "labels.json", (EVIL, "bus"), stills)


def test_figures_pictures_and_page_agree(labels: Labels, tmp_path: Path) -> None:
    each = [
        found((10, 10, 30, 30, 0.9, 0), (60, 10, 80, 50, 0.3, 0), (120, 50, 150, 80, 0.2, 1)),
        found((20, 20, 40, 40, 0.8, 0)),
    ]
    save_detection_report(each, labels, tmp_path, tmp_path)
    report = DetectionReport.load(tmp_path / "detection.json")
    assert report.threshold == pytest.approx(0.8)
    first, bus = report.classes
    assert (first.objects, first.ap50, first.precision, first.recall) == (2, 1, 1, 1)
    assert (bus.objects, bus.ap50, bus.recall) == (1, 0, 0)
    assert report.figures["ap50"] == pytest.approx(0.5)
    assert first.curve[0] == pytest.approx((0.5, 1, 0.9)) and first.curve[-1][0] == 1
    assert report.confusion == ((2, 0, 0), (0, 0, 1), (0, 0, 0))
    assert [(case.file_name, case.name, case.why) for case in report.misses] == [("a.png", "bus", "no find")]
    assert report.false_alarms == () and report.distances == ()
    page = (tmp_path / "detection.html").read_text()
    assert "<script" not in page and page.count("<img") == 1 and page.count("<svg") == 2
    assert re.search(r"By class.*bus</td><td>1</td><td>0\.000", page)
    assert "Worst misses" in page and "Worst false alarms" not in page


def test_nothing_right_and_nothing_found_still_make_a_page(labels: Labels, tmp_path: Path) -> None:
    for each in (found(), found((120, 50, 150, 80, 0.9, 0))):
        save_detection_report([each, found()], labels, tmp_path, tmp_path)
        report = DetectionReport.load(tmp_path / "detection.json")
        assert report.threshold is None and len(report.misses) == 3
        assert "nothing found is right" in (tmp_path / "detection.html").read_text()


def test_a_window_holds_its_box_and_stays_in_the_picture() -> None:
    for corners in ((0, 0, 4, 4), (150, 80, 160, 90), (40, 20, 120, 70), (0, 0, 160, 90)):
        left, top, right, bottom = window(np.array(corners, np.float32), width=160, height=90)
        assert 0 <= left <= corners[0] and corners[2] <= right <= 160
        assert 0 <= top <= corners[1] and corners[3] <= bottom <= 90
        assert right - left >= 96
