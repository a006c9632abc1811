from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import letterbox
from catseye.runtime.bundle import DepthOutput
from catseye.runtime.distance import Ranger, depth_at

WIDE = letterbox(640, 360, 320, 192)  # 320x180 with 6 rows of border above and below
FX, CX, CY = 500.0, 320.0, 180.0


def meaning(*, metric: bool) -> DepthOutput:
    return DepthOutput(width=80, height=48, canonical_focal_px=320.0, metric=metric)


def camera(**known: Any) -> Calibration:
    return Calibration(width=640, height=360, K=((FX, 0, CX), (0, FX, CY), (0, 0, 1)), **known)


def vehicle(depth: np.ndarray, value: float) -> np.ndarray:
    """Put a vehicle of this depth into a map (48, 80) and return its box in network pixels."""
    depth[20:30, 10:20] = value
    return np.array([[40.0, 80.0, 80.0, 120.0]], np.float32)


def test_metric_depth_is_scaled_by_the_focal_length() -> None:
    depth = np.full((48, 80), 99.0, np.float32)
    boxes = vehicle(depth, 20.0)
    found = Ranger(depth=meaning(metric=True), calibration=camera(), box=WIDE).measure(depth, boxes, time_s=0)
    assert found.relative == pytest.approx([20.0])
    assert found.metres == pytest.approx([20.0 * (FX / 2) / 320.0])
    assert found.sigma_m == pytest.approx([0.0])


@pytest.mark.parametrize(("metric", "calibration"), [(True, None), (False, None), (False, camera())])
def test_without_a_scale_only_relative_distance_is_known(
    metric: bool, calibration: Calibration | None
) -> None:
    depth = np.full((48, 80), 99.0, np.float32)
    boxes = vehicle(depth, 20.0)
    found = Ranger(depth=meaning(metric=metric), calibration=calibration, box=WIDE).measure(
        depth, boxes, time_s=0
    )
    assert found.relative == pytest.approx([20.0])
    assert np.isnan(found.metres).all() and np.isnan(found.sigma_m).all()


def test_without_depth_nothing_is_known() -> None:
    found = Ranger(depth=None, calibration=camera(), box=WIDE).measure(
        np.zeros((48, 80), np.float32), np.array([[0, 0, 9, 9]], np.float32), time_s=0
    )
    assert all(np.isnan(values).all() for values in (found.relative, found.metres, found.sigma_m))


def flat_world(*, height_m: float, pitch_rad: float, unit: float) -> np.ndarray:
    """Canonical depth (48, 80) of a plain road, in a unit of ``unit`` metres, by a ray for each pixel."""
    K = camera().network_matrix(WIDE)
    depth = np.full((48, 80), 150.0)
    for row in range(48):
        for col in range(80):
            u, v = (col + 0.5) * 4, (row + 0.5) * 4
            ray = np.linalg.solve(K, [u, v, 1.0])
            down = np.array([0, np.cos(pitch_rad), np.sin(pitch_rad)]) @ ray
            if down > height_m / 150:
                depth[row, col] = height_m / down
    return np.asarray(depth / unit / (K[0, 0] / 320.0), dtype=np.float32)


@pytest.mark.parametrize("pitch_rad", [0.0, 0.05])
def test_camera_height_gives_the_scale(pitch_rad: float) -> None:
    depth = flat_world(height_m=1.5, pitch_rad=pitch_rad, unit=7.0)
    K = camera().network_matrix(WIDE)
    boxes = vehicle(depth, 30.0 / 7.0 / (K[0, 0] / 320.0))
    ranger = Ranger(
        depth=meaning(metric=False), calibration=camera(height_m=1.5, pitch_rad=pitch_rad), box=WIDE
    )
    found = ranger.measure(depth, boxes, time_s=0)
    assert found.metres == pytest.approx([30.0], rel=0.01)
    assert found.relative == pytest.approx([30.0 / 7.0 / (K[0, 0] / 320.0)])


def test_vehicles_on_the_road_do_not_spoil_the_scale() -> None:
    depth = flat_world(height_m=1.5, pitch_rad=0.0, unit=7.0)
    clear = Ranger(depth=meaning(metric=False), calibration=camera(height_m=1.5), box=WIDE)
    ahead = np.array([[120.0, 96.0, 200.0, 148.0]], np.float32)
    far = np.array([[40.0, 80.0, 80.0, 120.0]], np.float32)
    expected = clear.measure(depth, far, time_s=0).metres
    depth[24:37, 30:50] = 0.3
    blocked = Ranger(depth=meaning(metric=False), calibration=camera(height_m=1.5), box=WIDE)
    found = blocked.measure(depth, np.concatenate([far, ahead]), time_s=0).metres
    assert found[:1] == pytest.approx(expected, rel=0.02)


def test_only_the_lane_ahead_gives_the_scale() -> None:
    depth = flat_world(height_m=1.5, pitch_rad=0.0, unit=7.0)
    far = np.array([[40.0, 80.0, 80.0, 120.0]], np.float32)
    depth[20:30, 10:20] = 2.0
    ranger = Ranger(depth=meaning(metric=False), calibration=camera(height_m=1.5), box=WIDE)
    expected = ranger.measure(depth, far, time_s=0).metres
    depth[24:, :28] = depth[24:, 52:] = 0.3
    depth[20:30, 10:20] = 2.0
    walled = Ranger(depth=meaning(metric=False), calibration=camera(height_m=1.5), box=WIDE)
    assert walled.measure(depth, far, time_s=0).metres == pytest.approx(expected, rel=0.02)


def test_scale_is_smoothed_over_seconds() -> None:
    ranger = Ranger(depth=meaning(metric=False), calibration=camera(height_m=1.5), box=WIDE)
    first, second = (flat_world(height_m=1.5, pitch_rad=0.0, unit=unit) for unit in (7.0, 3.5))
    boxes = vehicle(first, 2.0)
    vehicle(second, 2.0)
    before = ranger.measure(first, boxes, time_s=0.0).metres[0]
    soon = ranger.measure(second, boxes, time_s=0.04).metres[0]
    late = ranger.measure(second, boxes, time_s=20.0).metres[0]
    assert before > soon > 0.97 * before
    assert late == pytest.approx(before / 2, rel=0.02)


def test_spread_within_the_box_is_the_uncertainty() -> None:
    depth = np.random.default_rng(0).normal(20.0, 2.0, (48, 80)).astype(np.float32)
    boxes = np.array([[40.0, 40.0, 280.0, 150.0]], np.float32)
    middle, deviation = depth_at(depth, boxes, WIDE)
    assert middle == pytest.approx([20.0], abs=1.0)
    assert deviation == pytest.approx([2.0], rel=0.35)


def test_the_road_and_sky_behind_a_vehicle_do_not_count() -> None:
    depth = np.full((48, 80), 80.0, np.float32)
    depth[22:30, 12:19] = 15.0
    middle, deviation = depth_at(depth, np.array([[44.0, 82.0, 80.0, 120.0]], np.float32), WIDE)
    assert middle == pytest.approx([15.0]) and deviation == pytest.approx([0.0])


def test_no_boxes() -> None:
    ranger = Ranger(depth=meaning(metric=True), calibration=camera(), box=WIDE)
    assert (
        len(ranger.measure(np.ones((48, 80), np.float32), np.zeros((0, 4), np.float32), time_s=0).metres) == 0
    )
