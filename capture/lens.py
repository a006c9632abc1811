"""Lens distortion: where a ray meets the picture, and back.

Rays are (..., 2) at depth 1: (x, y) of a pinhole camera's picture divided by its focal length. The models and
the order of their coefficients are OpenCV's:

- plumb_bob (k1, k2, p1, p2, k3) and rational_polynomial (the same, k4, k5, k6): radial and tangential, after
  Brown, "Close-range camera calibration", Photogrammetric Engineering 37, 1971; coefficients left out are 0.
- equidistant (k1, k2, k3, k4): a fisheye's, by the angle to the axis, after Kannala and Brandt, "A generic
  camera model and calibration method for conventional, wide-angle, and fish-eye lenses", IEEE TPAMI 28, 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
LensModel = Literal["none", "plumb_bob", "rational_polynomial", "equidistant"]

COUNTS: dict[LensModel, tuple[int, int]] = {
    "none": (0, 8),
    "plumb_bob": (0, 5),
    "rational_polynomial": (8, 8),
    "equidistant": (4, 4),
}
"""Least and most coefficients of each model; what ``none`` carries is not looked at."""

_STEPS = 30
_STEP = 1e-6
_EXACT = 1e-7
_WIDEST = 20.0
"""Ray beyond which, 87 degrees off the axis, there is no pinhole's picture."""


def distorted(rays: Float, model: LensModel, coefficients: Sequence[float]) -> Float:
    """Where rays (..., 2) of a pinhole camera lie in the lens's picture, divided by its focal length."""
    if model == "none":
        return np.asarray(rays, np.float64)
    x, y = rays[..., 0], rays[..., 1]
    if model == "equidistant":
        k1, k2, k3, k4 = coefficients
        reach = np.hypot(x, y)
        angle = np.arctan(reach)
        t = angle**2
        bent = angle * (1 + t * (k1 + t * (k2 + t * (k3 + t * k4))))
        factor = np.where(reach > 0, bent / np.where(reach > 0, reach, 1.0), 1.0)
        return np.stack([x * factor, y * factor], axis=-1)
    k1, k2, p1, p2, k3, k4, k5, k6 = [*coefficients, *[0.0] * (8 - len(coefficients))]
    r = x**2 + y**2
    factor = (1 + r * (k1 + r * (k2 + r * k3))) / (1 + r * (k4 + r * (k5 + r * k6)))
    return np.stack(
        [
            x * factor + 2 * p1 * x * y + p2 * (r + 2 * x**2),
            y * factor + p1 * (r + 2 * y**2) + 2 * p2 * x * y,
        ],
        axis=-1,
    )


def undistorted(seen: Float, model: LensModel, coefficients: Sequence[float]) -> Float:
    """Rays (..., 2) that lie at ``seen`` (..., 2) in the lens's picture, by Newton's method.

    NaN where the model has none: beyond the angle from which on it folds back.
    """
    seen = np.asarray(seen, np.float64)
    if model == "none":
        return seen
    rays = seen.copy()
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            left = distorted(rays, model, coefficients) - seen
            (a, b), (c, d) = _slopes(rays, model, coefficients)
            determinant = a * d - b * c
            rays = (
                rays
                - np.stack(
                    [d * left[..., 0] - b * left[..., 1], a * left[..., 1] - c * left[..., 0]], axis=-1
                )
                / determinant[..., None]
            )
        (a, b), (c, d) = _slopes(rays, model, coefficients)
        found = np.abs(distorted(rays, model, coefficients) - seen).max(axis=-1) < _EXACT
        found &= (a * d - b * c > 0) & (a + d > 0) & (np.abs(rays).max(axis=-1) < _WIDEST)
    return np.where(found[..., None], rays, np.nan)


def _slopes(
    rays: Float, model: LensModel, coefficients: Sequence[float]
) -> tuple[tuple[Float, Float], tuple[Float, Float]]:
    """Derivatives of ``distorted``: of x and of y, each by x and by y."""
    along = [
        (distorted(rays + step, model, coefficients) - distorted(rays - step, model, coefficients))
        / (2 * _STEP)
        for step in np.eye(2) * _STEP
    ]
    return (along[0][..., 0], along[1][..., 0]), (along[0][..., 1], along[1][..., 1])
