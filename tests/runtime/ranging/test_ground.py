from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from standing_boxes import BOX, ERRORS, MOUNT, K, boxes, standing

from catseye.runtime.ranging.cue import Cue
from catseye.runtime.ranging.errors import BoxErrors, CueErrors
from catseye.runtime.ranging.ground import Mount, Pitch, Stand, by_ground
from catseye.runtime.ranging.known_sizes import Shape
from catseye.runtime.ranging.size import SizeTable, by_size
from catseye.runtime.ranging.visibility import cut_off

SHARP = BoxErrors(px=1e-6, share=0.0)


def placed(
    there: np.ndarray, mount: Mount = MOUNT, pitch: Pitch | None = None, errors: CueErrors = ERRORS
) -> tuple[Cue, np.ndarray]:
    pitch = mount.unseen(errors) if pitch is None else pitch
    stand = Stand.of(there, K, mount, errors=errors)
    # Of thousands of draws of one box, none hides another.
    cut = cut_off(there if len(there) < 100 else there[:1], BOX)
    return by_ground(stand, cut, mount, pitch, focal_px=K[1, 1], errors=errors)


def test_the_place_on_the_road_is_the_distance() -> None:
    there = boxes(standing(9.0), standing(17.0, x=-4), standing(33.0, x=5))
    cue, _ = placed(there)
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
    cue, _ = placed(exact, errors=replace(ERRORS, ground=1e-6))
    assert np.sqrt(cue.variance[0]) == pytest.approx(spread, rel=0.05)


def test_far_boxes_are_less_certain_and_the_horizon_says_nothing() -> None:
    there = boxes(standing(10.0), standing(40.0), [150, 70, 170, 80.5])
    cue, _ = placed(there)
    assert cue.variance[0] < cue.variance[1] / 4
    assert np.isnan(cue.log_m[2]) and np.isinf(cue.variance[2])


def test_an_unknown_pitch_is_level_and_little_trusted() -> None:
    there = boxes(standing(10.0))
    level, unknown = (placed(there, Mount(1.5, pitch))[0] for pitch in (0.0, None))
    assert unknown.log_m == pytest.approx(level.log_m)
    assert unknown.variance[0] > 10 * level.variance[0]


def test_a_bottom_that_is_cut_off_says_nothing() -> None:
    at_border = standing(12.0, x=-4)
    at_border[3] = 186.0
    behind, before = standing(30.0), standing(10.0, x=0.3, height=1.3)
    behind[3] = before[1]
    there = boxes(at_border, behind, before)
    cue, _ = placed(there)
    assert np.isfinite(cue.log_m).tolist() == [False, False, True]


def test_what_it_has_in_common_with_the_size_is_that_of_shaken_bottoms() -> None:
    cars = SizeTable([(Shape(height_m=1.5, spread=0.1, aspect=1.2, aspect_spread=0.3),)])
    shaken = np.repeat(boxes(standing(15.0)), 20_000, axis=0)
    shaken[:, [1, 3]] += np.random.default_rng(0).normal(0, 0.5, (20_000, 2))
    ground, _ = placed(shaken)
    cut, classes = cut_off(shaken[:1], BOX), np.zeros(len(shaken), int)
    size = by_size(shaken, classes, cut, K[1, 1], cars, errors=ERRORS)
    _, common = placed(boxes(standing(15.0)))
    assert common == pytest.approx([np.cov(ground.log_m, size.log_m)[0, 1]], rel=0.07)
    assert placed(boxes([150, 70, 170, 80.5]))[1] == [0.0]


def test_a_road_that_bends_and_leans_is_less_certain_far_ahead_and_to_the_side() -> None:
    """By draws: roads of random curvature that fall to the side by a random part."""
    rng, errors = np.random.default_rng(0), replace(ERRORS, bend=2e-4, tilt=0.02, ground=1e-6)
    for z, x in ((12.0, 0.0), (25.0, 0.0), (12.0, 6.0)):
        exact = boxes(standing(z, x=x))
        cue, _ = placed(exact, pitch=Pitch(0.0, 0.0), errors=replace(errors, edges=SHARP))
        down = (
            MOUNT.slope_down(exact[:, 3], K)
            + rng.normal(0, 2e-4, 8000) * z
            + rng.normal(0, 0.02, 8000) * x / z
        )
        assert np.sqrt(cue.variance[0]) == pytest.approx(np.log(MOUNT.height_m / down).std(), rel=0.1)


def test_what_is_known_of_the_pitch_moves_the_place() -> None:
    there = boxes(standing(20.0))
    turned = Mount(MOUNT.height_m, 0.03)
    cue, _ = placed(there, turned, Pitch(0.01, 1e-6))
    assert np.exp(cue.log_m) == pytest.approx([20.0], rel=1e-3)
    assert cue.variance < placed(there, turned)[0].variance
