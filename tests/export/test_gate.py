"""What a precision may lose, and how that is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from catseye.errors import UsageError
from catseye.export.gate import Budget, ap50_loss_error, judge
from catseye.export.task_figures import TaskFigures

REFERENCE = TaskFigures(
    values={"ap": 0.40, "ap50": 0.62, "ap50_h10": 0.66, "ap50_h20": 0.7, "depth_absrel": 0.1, "rank1": 0.9},
    counts={"stills": 98, "objects": 310, "depth_frames": 64, "queries": 120},
)


def changed(**values: float) -> TaskFigures:
    return replace(REFERENCE, values={**REFERENCE.values, **values})


def test_nothing_lost_is_within() -> None:
    judgement = judge(REFERENCE, REFERENCE, Budget(ap_points=0, abs_rel=0, rank1_points=0))
    assert judgement
    assert set(judgement.losses.values()) == {0.0}
    assert judgement.reason.startswith("within budget: AP ")
    assert "98 stills with 310 objects, 64 frames' depth, 120 vehicles sought again" in judgement.reason


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"ap": 0.38}, "over budget: AP -2.0 points;"),
        ({"ap50": 0.605}, "over budget: AP50 -1.5 points;"),
        ({"ap50_h10": 0.64}, "over budget: AP50 from 10 px -2.0 points;"),
        ({"ap50_h20": 0.68}, "over budget: AP50 from 20 px -2.0 points;"),
        ({"depth_absrel": 0.13}, "over budget: AbsRel +0.030;"),
        ({"rank1": 0.88}, "over budget: rank-1 -2.0 points;"),
        ({"ap50": float("nan")}, "AP50 +nan points;"),
    ],
)
def test_each_figure_can_be_over(values: dict[str, float], said: str) -> None:
    judgement = judge(REFERENCE, changed(**values), Budget())
    assert not judgement
    assert said in judgement.reason


def test_a_gain_is_no_loss_and_the_limit_itself_is_kept() -> None:
    budget = Budget(ap_points=5, abs_rel=0.05, rank1_points=5)
    assert judge(REFERENCE, changed(ap50=0.9, ap=0.375, depth_absrel=0.125, rank1=0.875), budget)


def test_a_figure_that_vanishes_is_over() -> None:
    lost = replace(REFERENCE, values={k: v for k, v in REFERENCE.values.items() if k != "ap50_h20"})
    assert not judge(REFERENCE, lost, Budget(ap_points=99))


def test_depth_is_held_to_the_reference_only_without_a_truth() -> None:
    assert judge(REFERENCE, changed(depth_change=0.5), Budget())
    assert not judge(REFERENCE, changed(depth_change=float("nan")), Budget())
    blind = TaskFigures(values={"ap50": 0.5})
    moved = TaskFigures(values={"ap50": 0.5, "depth_change": 0.05}, counts={"compared_depth_frames": 9})
    judgement = judge(blind, moved, Budget())
    assert not judgement
    assert judgement.reason == "over budget: depth 5.0% from the reference's; measured on 9 frames' depth"
    assert judge(blind, moved, Budget(abs_rel=0.06))


def test_without_figures_nothing_is_held_against_it() -> None:
    judgement = judge(TaskFigures(), TaskFigures(), Budget())
    assert judgement
    assert judgement.reason == "no task metric was measured"


@pytest.mark.parametrize("name", ["ap_points", "abs_rel", "rank1_points"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_budgets_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        Budget(**{name: value})


def test_error_of_the_loss_is_that_of_its_mean() -> None:
    """Of a figure that is a mean over equal parts, the jackknife is the standard error of the mean."""
    rng = np.random.default_rng(0)
    before, after = rng.random(10), rng.random(10)
    left_out = [tuple((of.sum() - of) / 9) for of in (before, after)]
    figures = [replace(REFERENCE, ap50_without=values) for values in left_out]
    expected = (before - after).std(ddof=1) / np.sqrt(10)
    assert ap50_loss_error(*figures) == pytest.approx(expected)
    assert f"± {100 * expected:.1f} points" in judge(*figures, Budget()).reason
    assert ap50_loss_error(figures[0], figures[0]) == 0
    assert ap50_loss_error(figures[0], REFERENCE) is None
