from __future__ import annotations

import numpy as np
import pytest

from catseye.pretrain.detection_report.precision_recall import precision_recall


def test_the_curve_of_a_case_by_hand() -> None:
    scores = np.array([0.2, 0.9, 0.6, 0.4])
    curve = precision_recall(scores, np.array([True, True, False, True]), objects=4)
    assert curve.scores.tolist() == [0.9, 0.6, 0.4, 0.2]
    assert curve.precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4])
    assert curve.recall.tolist() == [0.25, 0.25, 0.5, 0.75]


def test_equal_scores_are_one_point() -> None:
    curve = precision_recall(np.array([0.5, 0.5, 0.1]), np.array([False, True, True]), objects=2)
    assert (curve.recall.tolist(), curve.precision.tolist()) == ([0.5, 1.0], pytest.approx([0.5, 2 / 3]))
    nothing = precision_recall(np.zeros(0), np.zeros(0, bool), objects=3)
    assert len(nothing.recall) == len(nothing.thinned().recall) == 0


def test_a_long_curve_is_thinned_evenly_and_keeps_its_end() -> None:
    rng = np.random.default_rng(0)
    curve = precision_recall(rng.random(5000), rng.random(5000) < 0.5, objects=2600)
    thin = curve.thinned()
    assert len(thin.recall) <= 102 and np.diff(thin.recall).max() < 0.02
    assert thin.recall[-1] == curve.recall[-1] and thin.precision[-1] == curve.precision[-1]
    assert set(zip(thin.recall, thin.precision, strict=True)) <= set(
        zip(curve.recall, curve.precision, strict=True)
    )
