from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from standing_boxes import BOX, ERRORS, MOUNT, K, boxes, standing

from catseye.runtime.ranging.cue import Cue
from catseye.runtime.ranging.ground import Mount, by_ground, common_with_size
from catseye.runtime.ranging.known_sizes import Shape
from catseye.runtime.ranging.size import SizeTable, by_size
from catseye.runtime.ranging.visibility import cut_off


def test_the_place_on_the_road_is_the_distance() -> None:
    there = boxes(standing(9.0), standing(17.0, x=-4), standing(33.0, x=5))
    cue = by_ground(there, cut_off(there, BOX), K, MOUNT, errors=ERRORS)
    assert np.exp(cue.log_m) == pytest.approx([9.0, 17.0, 33.0])


def test_slopes_come_from_rays() -> None:
    ray = np.linalg.solve(K, [0.0, 130.0, 1.0])
    down = np.array([0, np.cos(0.04), np.sin(0.04)]) @ ray
    assert MOUNT.slope_down(np.array([130.0]), K) == pytest.approx([down])


def test_errors_are_those_of_shaken_boxes() -> None:
    rng = np.random.default_rng(0)
    shaken = np.repeat(boxes(standing(15.0)), 4000, axis=0)
    shaken[:, 3] += rng.normal(0, 0.5, 4000)
    K_shaken = MOUNT.slope_down(shaken[:, 3], K) + rng.normal(0, 0.004, 4000)
    spread = np.log(MOUNT.height_m / K_shaken).std()
    exact = boxes(standing(15.0))
    cue = by_ground(exact, cut_off(exact, BOX), K, MOUNT, errors=replace(ERRORS, ground=1e-6))
    assert np.sqrt(cue.variance[0]) == pytest.approx(spread, rel=0.05)


def test_far_boxes_are_less_certain_and_the_horizon_says_nothing() -> None:
    there = boxes(standing(10.0), standing(40.0), [150, 70, 170, 80.5])
    cue = by_ground(there, cut_off(there, BOX), K, MOUNT, errors=ERRORS)
    assert cue.variance[0] < cue.variance[1] / 4
    assert np.isnan(cue.log_m[2]) and np.isinf(cue.variance[2])


def test_an_unknown_pitch_is_level_and_little_trusted() -> None:
    there = boxes(standing(10.0))
    level = by_ground(there, cut_off(there, BOX), K, Mount(1.5, 0.0), errors=ERRORS)
    unknown = by_ground(there, cut_off(there, BOX), K, Mount(1.5, None), errors=ERRORS)
    assert unknown.log_m == pytest.approx(level.log_m)
    assert unknown.variance[0] > 10 * level.variance[0]


def test_a_bottom_that_is_cut_off_says_nothing() -> None:
    at_border = standing(12.0, x=-4)
    at_border[3] = 186.0
    behind, before = standing(30.0), standing(10.0, x=0.3, height=1.3)
    behind[3] = before[1]
    there = boxes(at_border, behind, before)
    cue = by_ground(there, cut_off(there, BOX), K, MOUNT, errors=ERRORS)
    assert np.isfinite(cue.log_m).tolist() == [False, False, True]


def test_what_it_has_in_common_with_the_size_is_that_of_shaken_bottoms() -> None:
    rng, cars = (
        np.random.default_rng(0),
        SizeTable([(Shape(height_m=1.5, spread=0.1, aspect=1.2, aspect_spread=0.3),)]),
    )
    shaken = np.repeat(boxes(standing(15.0)), 20_000, axis=0)
    shaken[:, [1, 3]] += rng.normal(0, 0.5, (20_000, 2))
    cut = cut_off(shaken[:1], BOX)
    ground = by_ground(shaken, cut, K, MOUNT, errors=ERRORS)
    size = by_size(shaken, np.zeros(20_000, int), cut, K[1, 1], cars, errors=ERRORS)
    expected = np.cov(ground.log_m, size.log_m)[0, 1]
    exact = boxes(standing(15.0))
    ground = by_ground(exact, cut_off(exact, BOX), K, MOUNT, errors=ERRORS)
    assert common_with_size(exact, ground, K, MOUNT, errors=ERRORS) == pytest.approx([expected], rel=0.05)
    assert common_with_size(exact, Cue.silent(1), K, MOUNT, errors=ERRORS) == [0.0]
