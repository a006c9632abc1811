from __future__ import annotations

import numpy as np
import pytest

from catseye.runtime.ranging.cue import Cue
from catseye.runtime.ranging.fusion import fuse


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
