from __future__ import annotations

import math

import numpy as np
import pytest

from catseye.pretrain import detection_metrics as metrics
from catseye.runtime.benchmark.average_precision import IOUS, Found, Truth, average_precision


def picture(draw: np.random.Generator) -> tuple[Found, Truth]:
    """Objects of three classes, some of them crowds, and detections: near, doubled, of another class, of
    nothing."""
    count = int(draw.integers(0, 9))
    corner = draw.uniform(0, 300, (count, 2))
    boxes = np.concatenate([corner, corner + draw.uniform(40, 90, (count, 2))], axis=1)
    classes = draw.integers(0, 3, count)
    crowd = draw.random(count) < 0.2
    seen = np.repeat(boxes, 2, axis=0) + draw.normal(0, 5, (2 * count, 4))
    noise = draw.uniform(0, 300, (4, 2))
    seen = np.concatenate([seen, np.concatenate([noise, noise + 40], axis=1)])
    guess = np.concatenate([np.repeat(classes, 2), draw.integers(0, 3, 4)])
    guess = np.where(draw.random(len(guess)) < 0.1, (guess + 1) % 3, guess)
    scores = draw.random(len(seen))
    return (
        Found(seen.astype(np.float32), scores.astype(np.float32), guess.astype(np.int32)),
        Truth(boxes.astype(np.float32), classes.astype(np.int32), crowd),
    )


def test_the_same_as_training_measures_by_faster_coco_eval() -> None:
    draw = np.random.default_rng(29)
    pairs = [picture(draw) for _ in range(30)]
    found, truths = [f for f, _ in pairs], [t for _, t in pairs]
    # torchmetrics rounds the recalls at which it reads to float32: none may be reached exactly.
    for index in range(3):
        objects = sum(int(((t.classes == index) & ~t.crowd).sum()) for t in truths)
        assert math.gcd(objects, 100) == 1
    theirs = metrics.average_precision(
        [metrics.Detections(f.boxes, f.scores, f.classes) for f in found],
        [metrics.Truth(t.boxes, t.classes, t.crowd) for t in truths],
    )
    ours = [average_precision(found, truths, iou=iou) for iou in IOUS]
    assert ours[0] == pytest.approx(theirs["ap50"], abs=1e-6)
    assert np.mean(ours) == pytest.approx(theirs["ap"], abs=1e-6)
    assert 0.2 < ours[0] < 0.9


def test_small_cases_by_hand() -> None:
    box = np.array([[0, 0, 10, 10]], np.float32)
    away = box + 50
    one = Truth(box, np.zeros(1, np.int32), np.zeros(1, bool))
    crowd = Truth(box, np.zeros(1, np.int32), np.ones(1, bool))

    def found(*boxes: np.ndarray) -> Found:
        """Best score first."""
        scores = np.linspace(0.9, 0.5, len(boxes)).astype(np.float32)
        return Found(np.concatenate(boxes), scores, np.zeros(len(boxes), np.int32))

    assert average_precision([found(box)], [one], iou=0.5) == pytest.approx(1.0)
    assert average_precision([found(away, box)], [one], iou=0.5) == pytest.approx(0.5)
    assert average_precision([found(box, box)], [one], iou=0.5) == pytest.approx(1.0)
    assert average_precision([found(away)], [one], iou=0.5) == 0.0
    assert average_precision([found(box), found(box, box)], [one, crowd], iou=0.5) == pytest.approx(1.0)
    assert average_precision([found(box)], [crowd], iou=0.5) is None
