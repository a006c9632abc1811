"""Lens distortion, against OpenCV's own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from catseye.capture.lens import LensModel, distorted, undistorted

LENSES: list[tuple[LensModel, tuple[float, ...]]] = [
    ("plumb_bob", (-0.32, 0.11, 0.001, -0.0007, -0.02)),
    ("plumb_bob", (0.2, 0.05, 0.0, 0.0)),
    ("rational_polynomial", (0.3, 0.1, 0.0004, 0.0003, 0.01, 0.6, 0.2, 0.03)),
    ("equidistant", (-0.02, 0.01, -0.003, 0.0005)),
]
RAYS = np.random.default_rng(0).uniform((-0.8, -0.5), (0.8, 0.5), (200, 2))


def by_opencv(model: LensModel, coefficients: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Where OpenCV sees the rays, and the rays that it finds there."""
    K, given = np.eye(3), np.array(coefficients)
    if model == "equidistant":
        seen = cv2.fisheye.distortPoints(RAYS[:, None], K, given)
        return seen[:, 0], cv2.fisheye.undistortPoints(seen, K, given)[:, 0]
    points = np.concatenate([RAYS, np.ones((len(RAYS), 1))], axis=1)
    seen = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, given)[0]
    many = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 500, 1e-12)
    return seen[:, 0], cv2.undistortPoints(seen, K, given, None, None, None, many)[:, 0]


@pytest.mark.parametrize(("model", "coefficients"), LENSES)
def test_it_bends_and_straightens_as_opencv_does(model: LensModel, coefficients: tuple[float, ...]) -> None:
    seen, rays = by_opencv(model, coefficients)
    np.testing.assert_allclose(distorted(RAYS, model, coefficients), seen, atol=1e-9)
    np.testing.assert_allclose(undistorted(seen, model, coefficients), rays, atol=1e-6)
    np.testing.assert_allclose(undistorted(seen, model, coefficients), RAYS, atol=1e-6)


def test_the_axis_stays_where_it_is() -> None:
    for model, coefficients in LENSES:
        np.testing.assert_allclose(undistorted(np.zeros((1, 2)), model, coefficients), [[0, 0]], atol=1e-12)


def test_where_the_model_folds_back_there_is_no_ray() -> None:
    """By x(1 − 0.3 x²) nothing lies beyond 0.703, where x is 1.054."""
    near, far = undistorted(np.array([[0.70, 0.0], [0.71, 0.0]]), "plumb_bob", (-0.3,))
    assert 0.95 < near[0] < 1.054 and np.isnan(far).all()


def test_a_fisheye_sees_what_no_pinhole_does() -> None:
    """Its picture goes on beyond a right angle; so wide, or nearly, there is nothing to straighten to."""
    angles = np.radians([30.0, 80.0, 89.0, 95.0])
    found = undistorted(np.stack([angles, 0 * angles], axis=1), "equidistant", (0.0, 0.0, 0.0, 0.0))
    assert found[:2, 0] == pytest.approx(np.tan(angles[:2])) and np.isnan(found[2:]).all()
