from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from standing_boxes import BOX, ERRORS, MOUNT, K, standing

from catseye.capture.calibration import Calibration
from catseye.capture.lens import distorted
from catseye.runtime.distance import Ranger
from catseye.runtime.manifest import DepthOutput
from catseye.runtime.ranging.known_sizes import Shape

CAR = (Shape(height_m=1.5, spread=0.1, aspect=1.2, aspect_spread=0.3),)
KIND = np.array([0])


def meaning(*, metric: bool) -> DepthOutput:
    return DepthOutput(width=80, height=48, canonical_focal_px=320.0, metric=metric)


def camera(**known: Any) -> Calibration:
    """The camera of ``standing``, in pixels of its 640x360."""
    fx, cx, cy = K[0, 0] * 2, K[0, 2] * 2, (K[1, 2] - BOX.top) * 2
    return Calibration(width=640, height=360, K=((fx, 0, cx), (0, fx, cy), (0, 0, 1)), **known)


MOUNTED = camera(height_m=MOUNT.height_m, pitch_rad=MOUNT.pitch_rad)


def ranger(*, metric: bool | None = None, calibration: Calibration | None, **options: Any) -> Ranger:
    depth = None if metric is None else meaning(metric=metric)
    return Ranger(depth=depth, calibration=calibration, box=BOX, errors=ERRORS, **options)


def seen(*metres: float) -> np.ndarray:
    return np.array([standing(z) for z in metres], dtype=np.float32)


def flat(canonical: float) -> np.ndarray:
    return np.full((48, 80), canonical, np.float32)


def test_metric_depth_is_scaled_by_the_focal_length() -> None:
    found = ranger(metric=True, calibration=camera()).measure(flat(20.0), seen(20.0), time_s=0)
    assert found.relative == pytest.approx([20.0])
    assert found.metres == pytest.approx([20.0 * K[0, 0] / 320.0])
    assert found.sigma_m / found.metres == pytest.approx([np.hypot(ERRORS.depth, ERRORS.depth_px / 18.75)])


@pytest.mark.parametrize(("metric", "calibration"), [(True, None), (False, None), (False, camera())])
def test_without_a_scale_only_relative_distance_is_known(
    metric: bool, calibration: Calibration | None
) -> None:
    found = ranger(metric=metric, calibration=calibration).measure(flat(20.0), seen(20.0), time_s=0)
    assert found.relative == pytest.approx([20.0])
    assert np.isnan(found.metres).all() and np.isnan(found.sigma_m).all()


@pytest.mark.parametrize("depth", [None, flat(20.0)])
def test_without_depth_the_road_and_sizes_give_metres(depth: np.ndarray | None) -> None:
    by_both = ranger(calibration=MOUNTED, shapes=[CAR]).measure(depth, seen(20.0), KIND, time_s=0)
    assert by_both.metres == pytest.approx([20.0], rel=1e-3) and np.isnan(by_both.relative).all()
    by_size = ranger(calibration=camera(), shapes=[CAR]).measure(depth, seen(20.0), KIND, time_s=0)
    assert by_size.metres == pytest.approx([20.0], rel=1e-3)
    assert by_size.sigma_m > by_both.sigma_m > 0


def test_only_the_cues_allowed_are_used() -> None:
    near = seen(20.0)
    for cue, expected in (("ground", 20.0), ("depth", 40.0 * K[0, 0] / 320.0)):
        one = ranger(metric=True, calibration=MOUNTED, shapes=[CAR], cues=(cue,))
        assert one.measure(flat(40.0), near, KIND, time_s=0).metres == pytest.approx([expected], rel=1e-3)
    none = ranger(calibration=MOUNTED, shapes=[CAR], cues=("depth",))
    assert np.isnan(none.measure(None, near, KIND, time_s=0).metres).all()


def test_relative_depth_takes_its_scale_from_sizes_where_no_height_is_known() -> None:
    depth = flat(3.0)
    boxes = np.concatenate([seen(21.0), np.array([[40, 50, 41.5, 51.5]], np.float32)])
    depth[12:13, 10:11] = 6.0
    only = ranger(metric=False, calibration=camera(), shapes=[CAR, ()], cues=("depth",))
    found = only.measure(depth, boxes, np.array([0, 1]), time_s=0)
    assert found.metres == pytest.approx([21.0, 42.0], rel=1e-3)


def test_a_cue_that_is_misled_hardly_matters() -> None:
    right = ranger(metric=True, calibration=MOUNTED, shapes=[CAR])
    agreed = right.measure(flat(20.0 * 320 / K[0, 0]), seen(20.0), KIND, time_s=0)
    misled = right.measure(flat(199.0), seen(20.0), KIND, time_s=0)
    assert agreed.metres == pytest.approx([20.0], rel=1e-3)
    assert misled.metres == pytest.approx([20.0], rel=0.05) and misled.sigma_m > agreed.sigma_m


def test_a_vehicle_half_hidden_is_not_taken_for_a_far_one() -> None:
    behind, before = seen(18.0)[0], np.array(standing(10.0, height=0.9), np.float32)
    behind[3] = before[1] + 2.0  # what is seen of it ends at the roof of the nearer one
    boxes = np.stack([behind, before])
    naive = ranger(calibration=MOUNTED, shapes=[CAR])
    alone = naive.measure(None, boxes[:1], KIND, time_s=0)
    found = naive.measure(None, boxes, np.array([0, 0]), time_s=0)
    assert abs(np.log(alone.metres[0] / 18.0)) > 3 * alone.sigma_m[0] / alone.metres[0]
    assert abs(np.log(found.metres[0] / 18.0)) < 2 * found.sigma_m[0] / found.metres[0]


def test_no_boxes() -> None:
    none = np.zeros((0, 4), np.float32)
    for metric in (True, False, None):
        found = ranger(metric=metric, calibration=MOUNTED, shapes=[CAR]).measure(
            flat(1.0), none, np.zeros(0, np.int32), time_s=0
        )
        assert len(found.metres) == len(found.sigma_m) == len(found.relative) == 0


def test_along_a_track_speed_and_time_to_contact_are_told() -> None:
    for calibration in (MOUNTED, None):
        along = ranger(calibration=calibration, shapes=[CAR])
        for k in range(20):
            metres = 30.0 - 10.0 * 0.1 * k
            found = along.measure(None, seen(metres), KIND, time_s=0.1 * k, ids=np.array([4]))
        assert found.contact_s == pytest.approx([metres / 10.0], rel=0.25)
        assert found.contact_sigma_s is not None and 0 < found.contact_sigma_s[0] < 1.0
        if calibration is None:
            assert np.isnan(found.metres).all() and np.isnan(found.closing_mps).all()
        else:
            assert found.metres == pytest.approx([metres], rel=0.05)
            assert found.closing_mps == pytest.approx([10.0], abs=2.0)
    alone = ranger(calibration=MOUNTED, shapes=[CAR]).measure(None, seen(20.0), KIND, time_s=0)
    assert alone.closing_mps is None and alone.contact_s is None


@pytest.mark.parametrize("cut_off", [False, True])
def test_growth_tells_a_time_to_contact_unless_the_box_is_cut_off(cut_off: bool) -> None:
    """One that the picture's border cuts off grows since more of it comes into the picture."""
    along, low = ranger(calibration=None), BOX.top + BOX.scaled_height - (0.0 if cut_off else 8.0)
    for k in range(20):
        tall = 15.0 * np.exp(0.06 * k)
        box = np.array([[60.0, low - tall, 100.0, low]], np.float32)
        found = along.measure(None, box, KIND, time_s=0.1 * k, ids=np.array([1]))
    assert found.contact_s is not None
    assert np.isnan(found.contact_s[0]) if cut_off else found.contact_s[0] < 3.0


def test_a_lens_is_undone_for_the_road_and_for_sizes() -> None:
    """A fisheye shows a vehicle at the picture's side lower and smaller than a pinhole camera."""
    K_net, z = MOUNTED.network_matrix(BOX), 9.0
    whole = np.array(standing(z, x=4.5))
    middles = np.array([[whole[[0, 2]].mean(), whole[1]], [whole[[0, 2]].mean(), whole[3]]])
    focal, centre = K_net[[0, 1], [0, 1]], K_net[:2, 2]
    shown = distorted((middles - centre) / focal, "equidistant", (0.0,) * 4) * focal + centre
    seen = np.array([[*(whole[0], shown[0, 1]), *(whole[2], shown[1, 1])]], np.float32)
    seen[:, [0, 2]] += shown[1, 0] - middles[1, 0]
    lens = {"distortion_model": "equidistant", "distortion": (0.0,) * 4, "rectified": False}
    for cue in ("ground", "size"):
        options: dict[str, Any] = {"shapes": [CAR], "cues": (cue,)}
        straight = ranger(calibration=MOUNTED.model_copy(update=lens), **options)
        ignored = ranger(calibration=MOUNTED, **options)
        off, left = (
            abs(each.measure(None, seen, KIND, time_s=0).metres[0] - z) for each in (straight, ignored)
        )
        assert off < 0.15 and left > 0.4
