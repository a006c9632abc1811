from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from standing_boxes import BOX, ERRORS, MOUNT, K, boxes

from catseye.runtime.ranging.cue import Cue
from catseye.runtime.ranging.scale import Road, Scale, Told, scale_by_sizes

SHAPE = (48, 80)
NONE = boxes()


def flat_world(*, unit: float) -> np.ndarray:
    """Depth (48, 80) of a plain road in a unit of ``unit`` metres, by a ray for each pixel."""
    depth = np.full(SHAPE, 150.0)
    pitch = MOUNT.pitch_rad or 0.0
    for row in range(SHAPE[0]):
        for col in range(SHAPE[1]):
            ray = np.linalg.solve(K, [(col + 0.5) * 4, (row + 0.5) * 4, 1.0])
            down = np.array([0, np.cos(pitch), np.sin(pitch)]) @ ray
            if down > MOUNT.height_m / 150:
                depth[row, col] = MOUNT.height_m / down
    return np.asarray(depth / unit, dtype=np.float32)


def road() -> Road:
    return Road(K, MOUNT, box=BOX, shape=SHAPE, errors=ERRORS)


def test_camera_height_gives_the_scale() -> None:
    told = road().scale(flat_world(unit=7.0), NONE)
    assert told is not None
    assert np.exp(told.log) == pytest.approx(7.0, rel=1e-4)
    assert 0.0 < np.sqrt(told.variance) < 0.06


def test_a_pitch_that_is_not_known_says_less_of_the_scale() -> None:
    unsure = Road(K, replace(MOUNT, pitch_rad=None), box=BOX, shape=SHAPE, errors=ERRORS)
    told, known = unsure.scale(flat_world(unit=7.0), NONE), road().scale(flat_world(unit=7.0), NONE)
    assert told is not None and known is not None and told.variance > 20 * known.variance


def test_vehicles_on_the_road_do_not_spoil_the_scale() -> None:
    depth, before = flat_world(unit=7.0), boxes([120.0, 92.0, 200.0, 132.0])
    depth[23:33, 30:50] = 0.3
    clear = road().scale(flat_world(unit=7.0), before)
    assert clear is not None and road().scale(depth, before) == pytest.approx(clear, rel=1e-3)
    assert road().scale(depth, NONE) != pytest.approx(clear, rel=1e-3)


def test_only_the_lane_ahead_gives_the_scale() -> None:
    depth = flat_world(unit=7.0)
    depth[24:, :28] = depth[24:, 52:] = 0.3
    assert road().scale(depth, NONE) == pytest.approx(road().scale(flat_world(unit=7.0), NONE), rel=1e-3)


def test_without_road_there_is_no_scale() -> None:
    assert road().scale(flat_world(unit=7.0), boxes([0.0, 0.0, 320.0, 192.0])) is None


def test_sizes_give_the_scale_and_one_that_is_off_does_not_spoil_it() -> None:
    depth = Cue.of(np.array([2.0, 3.0, 5.0, 4.0]), np.full(4, 0.01))
    size = Cue.of(np.array([14.0, 21.5, 34.0, 90.0]), np.full(4, 0.01))
    told = scale_by_sizes(depth, size)
    assert told is not None and np.exp(told.log) == pytest.approx(7.0, rel=0.05)
    assert told.variance > 0.01, "all sizes may be off the same way"


def test_without_known_sizes_there_is_no_scale() -> None:
    assert scale_by_sizes(Cue.of(np.array([2.0]), np.array([0.1])), Cue.silent(1)) is None


def test_scale_is_smoothed_over_seconds() -> None:
    scale = Scale()
    assert np.isnan(scale.metres)
    scale.see(Told(np.log(7.0), 0.01), None, time_s=0.0)
    assert scale.metres == pytest.approx(7.0)
    scale.see(Told(np.log(3.5), 0.01), time_s=0.04)
    assert 7.0 > scale.metres > 6.8
    scale.see(None, None, time_s=0.08)
    assert 7.0 > scale.metres > 6.8
    scale.see(Told(np.log(3.5), 0.01), time_s=20.0)
    assert scale.metres == pytest.approx(3.5, rel=1e-3)


def test_the_surer_of_two_scales_counts_more() -> None:
    scale = Scale()
    scale.see(Told(0.0, 0.01), Told(1.0, 0.04), time_s=0.0)
    assert np.log(scale.metres) == pytest.approx(0.2)
    assert scale.variance == pytest.approx(0.008)
