from __future__ import annotations

import numpy as np
import pytest

from catseye.runtime.ranging.approach import Approach, Course, Motion
from catseye.runtime.ranging.cue import Cue

COURSE = Course(acceleration=1.0, speed_mps=12.0, turning=0.02, lasting=0.5, drift_s=0.1)
FOCAL_PX, HEIGHT_M = 400.0, 1.5
STEPS = [0.04, 0.1, 0.02, 0.2]


def told(metres: np.ndarray, error: float) -> Cue:
    return Cue.of(np.asarray(metres, float), np.full(len(metres), error**2))


def tall(metres: np.ndarray, error: float = 0.01) -> Cue:
    return told(FOCAL_PX * HEIGHT_M / np.asarray(metres, float), error)


def drive(
    start_m: list[float], closing_mps: list[float], *, metric: bool = True, seconds: float = 1.5
) -> tuple[Motion, np.ndarray]:
    """Tracks at constant speed, measured exactly at uneven steps; what is told last, and the truth."""
    approach, ids = Approach(COURSE), np.arange(1, len(start_m) + 1)
    start, speed, time_s, k = np.array(start_m), np.array(closing_mps), 0.0, 0
    while True:
        metres = start - speed * time_s
        distance = told(metres, 0.05) if metric else Cue.silent(len(ids))
        motion = approach.see(ids, distance, tall(metres), time_s=time_s)
        if time_s >= seconds:
            return motion, metres
        time_s, k = time_s + STEPS[k % len(STEPS)], k + 1


def test_constant_speed_is_followed_at_uneven_steps() -> None:
    motion, metres = drive([40.0, 30.0, 15.0], [15.0, 6.0, -5.0])
    assert np.exp(motion.distance.log_m) == pytest.approx(metres, rel=0.02)
    assert motion.closing_mps == pytest.approx([15.0, 6.0, -5.0], abs=1.0)
    assert motion.contact_s[:2] == pytest.approx(metres[:2] / [15.0, 6.0], rel=0.1)
    assert np.isnan(motion.contact_s[2]) and np.isnan(motion.contact_sigma_s[2])


def test_growth_alone_tells_the_time_to_contact() -> None:
    motion, metres = drive([40.0, 30.0], [15.0, 0.0], metric=False)
    assert motion.contact_s[0] == pytest.approx(metres[0] / 15.0, rel=0.15)
    assert np.isnan(motion.contact_s[1])
    assert np.isnan(motion.distance.log_m).all() and np.isinf(motion.distance.variance).all()
    assert np.isnan(motion.closing_mps).all()


def test_one_sight_tells_a_distance_and_no_speed() -> None:
    motion = Approach(COURSE).see(
        np.array([7]), told(np.array([20.0]), 0.1), tall(np.array([20.0])), time_s=3.0
    )
    assert np.exp(motion.distance.log_m) == pytest.approx([20.0], rel=1e-3)
    assert motion.distance.variance == pytest.approx([0.01], rel=0.01)
    assert np.isnan(motion.closing_mps).all() and np.isnan(motion.contact_s).all()


def test_sigma_is_what_it_says_when_half_of_the_error_lasts() -> None:
    """400 vehicles of which each is taken for too near or too far throughout, and off anew in each frame."""
    draw, count, error = np.random.default_rng(0), 400, 0.2
    approach, ids = Approach(COURSE), np.arange(1, count + 1)
    start, speed = draw.uniform(40, 60, count), draw.normal(0, 4, count)
    lasting = draw.normal(0, error * np.sqrt(COURSE.lasting), count)
    raw = np.zeros(count)
    for k in range(15):
        metres = start - speed * 0.2 * k
        raw = metres * np.exp(lasting + draw.normal(0, error * np.sqrt(1 - COURSE.lasting), count))
        seen = tall(metres * np.exp(draw.normal(0, 0.03, count)), 0.03)
        motion = approach.see(ids, told(raw, error), seen, time_s=0.2 * k)
    off = motion.distance.log_m - np.log(metres)
    assert np.abs(off).mean() < 0.85 * np.abs(np.log(raw / metres)).mean()
    assert 0.6 < (np.abs(off) < np.sqrt(motion.distance.variance)).mean() < 0.8
    said = np.isfinite(motion.closing_mps)
    assert said.mean() > 0.9
    within = np.abs(motion.closing_mps - speed) < motion.closing_sigma_mps
    assert within[said].mean() > 0.6


def test_more_frames_a_second_do_not_make_what_lasts_less_uncertain() -> None:
    sigmas = []
    for rate in (10, 40):
        approach, ids, metres = Approach(COURSE), np.array([1]), np.array([30.0])
        for k in range(rate + 1):
            motion = approach.see(ids, told(metres, 0.2), tall(metres), time_s=k / rate)
        sigmas.append(float(np.sqrt(motion.distance.variance[0])))
    assert sigmas[1] == pytest.approx(sigmas[0], rel=0.1) and sigmas[1] > 0.2 * np.sqrt(COURSE.lasting)


def test_a_track_goes_on_through_an_occlusion_and_is_forgotten_at_last() -> None:
    approach, ids = Approach(COURSE), np.array([1])

    def at(time_s: float, *, silent: bool = False) -> Motion:
        metres = np.array([50.0 - 10.0 * time_s])
        both = (Cue.silent(1), Cue.silent(1)) if silent else (told(metres, 0.02), tall(metres))
        return approach.see(ids, *both, time_s=time_s)

    for k in range(20):
        at(0.1 * k)
    hidden = at(2.9, silent=True)
    assert np.exp(hidden.distance.log_m) == pytest.approx([21.0], rel=0.05)
    assert np.isnan(at(2.9 + COURSE.forgotten_s + 1, silent=True).distance.log_m).all()


def test_one_wild_distance_hardly_matters() -> None:
    approach, ids, metres = Approach(COURSE), np.array([1]), np.array([20.0])
    for k in range(20):
        approach.see(ids, told(metres, 0.05), tall(metres), time_s=0.1 * k)
    wild = approach.see(ids, told(3 * metres, 0.05), tall(metres), time_s=2.0)
    assert np.exp(wild.distance.log_m) == pytest.approx(metres, rel=0.1)


def test_tracks_share_nothing() -> None:
    together, alone = Approach(COURSE), Approach(COURSE)
    for k in range(10):
        ids = np.array([2, 5, 9] if k % 3 else [2, 9])
        metres = 20.0 + ids - 0.5 * k
        both = together.see(ids, told(metres, 0.1), tall(metres), time_s=0.1 * k)
        one = alone.see(ids[-1:], told(metres[-1:], 0.1), tall(metres[-1:]), time_s=0.1 * k)
    assert both.distance.log_m[-1] == pytest.approx(one.distance.log_m[0])
    assert both.contact_s[-1] == pytest.approx(one.contact_s[0], nan_ok=True)


def test_a_vehicle_that_passes_close_by_leaves_the_filter_sound() -> None:
    """The box grows without bound and then shrinks, its height alone being known."""
    approach, ids = Approach(COURSE), np.array([1])
    for k in range(60):
        metres = np.array([abs(30.0 - 25.0 * 0.04 * k) + 0.3])
        motion = approach.see(ids, Cue.silent(1), tall(metres), time_s=0.04 * k)
    assert np.isnan(motion.contact_s[0])
    covariance = approach._states.covariance[0]
    assert covariance == pytest.approx(covariance.T) and (np.linalg.eigvalsh(covariance) > 0).all()
    assert np.isfinite(approach.see(ids, told(metres, 0.1), tall(metres), time_s=9.0).distance.log_m).all()


def test_a_second_frame_of_the_same_moment_tells_nothing() -> None:
    approach, ids, metres = Approach(COURSE), np.array([1]), np.array([20.0])
    for k in range(5):
        before = approach.see(ids, told(metres, 0.05), tall(metres), time_s=0.1 * k)
    again = approach.see(ids, told(2 * metres, 0.05), tall(2 * metres), time_s=0.4)
    assert again.distance.log_m == before.distance.log_m and again.closing_mps == before.closing_mps


def test_no_distances_are_the_same_as_silent_ones() -> None:
    without, silent, ids = Approach(COURSE), Approach(COURSE), np.array([1, 4])
    for k in range(15):
        height = tall(np.array([20.0 - 0.8 * k, 30.0]))
        a = without.see(ids, None, height, time_s=0.1 * k)
        b = silent.see(ids, Cue.silent(2), height, time_s=0.1 * k)
    assert np.isfinite(a.contact_s[0])
    np.testing.assert_array_equal(a.contact_s, b.contact_s)
    np.testing.assert_array_equal(a.contact_sigma_s, b.contact_sigma_s)
    assert np.isnan(a.closing_mps).all() and np.isnan(a.distance.log_m).all()


def test_what_came_near_and_is_not_measured_for_long_stays_a_doubt_and_no_fault() -> None:
    approach, ids = Approach(COURSE), np.array([1])
    for k in range(200):
        seen = tall(np.array([40.0 * 0.7**k]) if k < 8 else np.array([0.5 + 30 * (k % 2)]), 0.01)
        height = seen if k < 8 or k % 50 == 49 else Cue.silent(1)
        motion = approach.see(ids, None, height, time_s=0.04 * k)
    assert np.isfinite(motion.contact_sigma_s).all() or np.isnan(motion.contact_s).all()
    (covariance,) = approach._states.covariance
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-6, atol=1e-9)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9
