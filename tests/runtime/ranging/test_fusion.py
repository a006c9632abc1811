from __future__ import annotations

import numpy as np
import pytest

from catseye.runtime.ranging.cue import Cue
from catseye.runtime.ranging.fusion import fuse, with_common_error


def says(metres: float, error: float) -> Cue:
    return Cue.of(np.array([metres]), np.array([error**2]))


def test_agreeing_cues_weigh_by_inverse_variance() -> None:
    fused = fuse([says(10.0, 0.1), says(11.0, 0.2)])
    expected = (100 * np.log(10.0) + 25 * np.log(11.0)) / 125
    assert fused.log_m == pytest.approx([expected])
    assert fused.variance == pytest.approx([1 / 125])


def test_a_cue_that_disagrees_hardly_counts() -> None:
    good = [says(20.0, 0.05), says(20.5, 0.06)]
    agreed = fuse(good)
    misled = fuse([*good, says(60.0, 0.05)])
    assert np.exp(misled.log_m) == pytest.approx(np.exp(agreed.log_m), rel=0.05)
    assert 0.8 * agreed.variance < misled.variance < 1.5 * agreed.variance


def test_cues_that_contradict_each_other_widen_the_error() -> None:
    both = fuse([says(10.0, 0.1), says(25.0, 0.1)])
    assert np.exp(both.log_m) == pytest.approx([np.sqrt(10.0 * 25.0)])
    assert np.sqrt(both.variance[0]) > 0.2
    near = fuse([says(10.0, 0.1), says(12.0, 0.1)])
    assert near.variance == pytest.approx([0.005])


def test_what_says_nothing_is_left_out() -> None:
    silent = Cue.silent(1)
    alone = fuse([silent, says(10.0, 0.1), silent])
    assert np.exp(alone.log_m) == pytest.approx([10.0]) and alone.variance == pytest.approx([0.01])
    nothing = fuse([silent, silent])
    assert np.isnan(nothing.log_m).all() and np.isinf(nothing.variance).all()
    assert len(fuse([Cue.silent(0)]).log_m) == 0


def test_rows_do_not_mix() -> None:
    rows = Cue(np.array([2.0, np.nan, 3.0]), np.array([0.01, np.inf, 0.04]))
    other = Cue(np.array([2.1, 2.5, np.nan]), np.array([0.02, 0.01, np.inf]))
    fused = fuse([rows, other])
    assert fused.log_m == pytest.approx([(100 * 2.0 + 50 * 2.1) / 150, 2.5, 3.0])


def test_what_cannot_be_a_distance_says_nothing() -> None:
    cue = Cue.of(np.array([-1.0, 0.0, np.inf, 5.0, 5.0]), np.array([0.1, 0.1, 0.1, np.nan, 0.1]))
    assert np.isfinite(cue.log_m).tolist() == [False, False, False, False, True]
    assert np.isinf(cue.variance).tolist() == [True, True, True, True, False]


def test_a_common_error_weighs_as_generalised_least_squares_says() -> None:
    """By draws: two cues with an edge in common, and the mean of least variance of all weighted means."""
    first, second, common = 0.04, 0.09, 0.03
    covariance = np.array([[first, common], [common, second]])
    errors = np.random.default_rng(0).multivariate_normal([0, 0], covariance, 200_000)
    ground, size = (
        Cue(row, np.full(len(row), each)) for row, each in zip(errors.T, (first, second), strict=True)
    )
    apart = with_common_error(ground, size, np.full(len(errors), common))
    weights = [1 / cue.variance[0] for cue in apart]
    best = min(np.linspace(0, 1, 101), key=lambda w: (errors @ [w, 1 - w]).var())
    assert weights[0] / sum(weights) == pytest.approx(best, abs=0.02)
    assert 1 / sum(weights) == pytest.approx((errors @ [best, 1 - best]).var(), rel=0.02)


def test_without_a_common_error_nothing_changes() -> None:
    pair = (says(10.0, 0.1), says(11.0, 0.2))
    for before, after in zip(pair, with_common_error(*pair, np.zeros(1)), strict=True):
        assert after.log_m == before.log_m and after.variance == pytest.approx(before.variance)


def test_a_cue_that_adds_nothing_but_noise_counts_for_nothing() -> None:
    good, noisy = says(10.0, 0.1), says(14.0, 0.3)
    fused = fuse(with_common_error(good, noisy, np.array([0.02])))
    assert np.exp(fused.log_m) == pytest.approx([10.0], rel=0.01) and fused.variance == pytest.approx(
        [0.01], rel=0.03
    )


def test_beside_one_that_says_nothing_a_common_error_is_none() -> None:
    silent, other = Cue.silent(2), Cue.of(np.array([10.0, np.nan]), np.array([0.01, np.inf]))
    for pair in ((silent, other), (other, silent)):
        fused = fuse(with_common_error(*pair, np.zeros(2)))
        assert fused.variance == pytest.approx([0.01, np.inf]) and np.isnan(fused.log_m[1])
