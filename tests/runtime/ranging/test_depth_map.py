from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from standing_boxes import BOX, ERRORS

from catseye.runtime.ranging.depth_map import by_depth, depth_at


def test_spread_within_the_box() -> None:
    depth = np.random.default_rng(0).normal(20.0, 2.0, (48, 80)).astype(np.float32)
    middle, deviation = depth_at(depth, np.array([[40.0, 40.0, 280.0, 150.0]]), BOX)
    assert middle == pytest.approx([20.0], abs=1.0)
    assert deviation == pytest.approx([2.0], rel=0.35)


def test_the_road_and_sky_behind_a_vehicle_do_not_count() -> None:
    depth = np.full((48, 80), 80.0, np.float32)
    depth[22:30, 12:19] = 15.0
    middle, deviation = depth_at(depth, np.array([[44.0, 82.0, 80.0, 120.0]]), BOX)
    assert middle == pytest.approx([15.0]) and deviation == pytest.approx([0.0])


def test_the_middle_of_a_box_is_looked_at_below_the_windows() -> None:
    rows, cols = np.indices((48, 80), dtype=np.float32)
    box = np.array([[40.0, 40.0, 280.0, 150.0]])
    assert depth_at(cols, box, BOX)[0] == pytest.approx([160 / 4], abs=1)
    assert depth_at(rows, box, BOX)[0] == pytest.approx([(40 + 0.675 * 110) / 4], abs=1)


def test_errors_of_the_map_the_box_and_its_height_add_up() -> None:
    cue = by_depth(np.array([12.0]), np.array([0.1]), np.array([10.0]), errors=ERRORS)
    assert np.exp(cue.log_m) == pytest.approx([12.0])
    assert cue.variance == pytest.approx([0.3**2 + (2.0 / 10.0) ** 2 + 0.1**2])


def test_low_boxes_are_farther_than_the_map_says() -> None:
    biased = replace(ERRORS, depth_near_px=3.0)
    cue = by_depth(np.full(3, 12.0), np.zeros(3), np.array([2.0, 4.0, 30.0]), errors=biased)
    assert np.exp(cue.log_m) == pytest.approx(12.0 * np.exp([0.75, 0.75, 0.1]))
