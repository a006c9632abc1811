"""A detector of ours names what ingest blurs."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from catseye import redactor
from catseye.errors import UsageError
from catseye.model import Detections

NAMES = ("vehicle", "person")
PICTURE = np.zeros((40, 60, 3), dtype=np.uint8)


@dataclass
class Model:
    """One person and one vehicle in every picture, and a person of too low a score."""

    names: tuple[str, ...] = NAMES

    def predict(self, rgb: np.ndarray, *, threshold: float) -> Detections:
        boxes = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 12, 12]], dtype=np.float32)
        scores = np.array([0.2, 0.9, 0.05], dtype=np.float32)
        kept = scores >= threshold
        return Detections(boxes[kept], scores[kept], np.array([1, 0, 1], dtype=np.int32)[kept], NAMES)


@pytest.fixture
def detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(redactor, "load", lambda path: Model())
    path = tmp_path / "people.catseye"
    path.write_bytes(b"content")
    return path


def test_boxes_of_the_classes_named_are_given_in_another_process_too(detector: Path) -> None:
    for redact in (made := redactor.Redactor(detector, ["person"]), pickle.loads(pickle.dumps(made))):
        np.testing.assert_array_equal(redact(PICTURE), [[1, 2, 3, 4]])
    both = redactor.Redactor(detector, ["person", "vehicle"])
    assert len(both(PICTURE)) == 2


def test_what_it_says_of_itself_follows_content_and_classes(detector: Path) -> None:
    before = redactor.Redactor(detector, ["person"]).described
    assert before == redactor.Redactor(detector, ["person", "person"]).described
    assert before != redactor.Redactor(detector, ["vehicle"]).described
    detector.write_bytes(b"other content")
    assert before != redactor.Redactor(detector, ["person"]).described


def test_classes_that_are_not_there_are_said(detector: Path) -> None:
    with pytest.raises(UsageError, match=r"'cat': .*people\.catseye has vehicle, person"):
        redactor.Redactor(detector, ["cat"])
    with pytest.raises(UsageError, match="needs --blur-classes: choose from vehicle, person"):
        redactor.Redactor(detector, [])
