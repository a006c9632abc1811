"""The pinhole camera of a clip and its rigid frames.

Pixel (0, 0) spans [0, 1) in both directions, so a pixel's centre lies half a pixel in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catseye.capture.calibration import Calibration

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """Intrinsics in pixels, and how it is mounted: metres above the road, radians below the horizon."""

    width: int
    height: int
    focal: float
    cx: float
    cy: float
    mount_m: float
    pitch_rad: float

    @property
    def K(self) -> Array:  # noqa: N802 - the field's own letter
        return np.array([[self.focal, 0, self.cx], [0, self.focal, self.cy], [0, 0, 1.0]])

    def calibration(self, name: str) -> Calibration:
        top, middle, bottom = (tuple(row) for row in self.K.tolist())
        return Calibration(
            camera=name,
            width=self.width,
            height=self.height,
            K=(top, middle, bottom),
            height_m=self.mount_m,
            pitch_rad=self.pitch_rad,
        )


def draw_camera(rng: np.random.Generator, *, width: int, height: int) -> Camera:
    """A camera of 45° to 64° behind a windscreen, looking a little down."""
    focal = width * float(rng.uniform(0.8, 1.2))
    return Camera(
        width=width,
        height=height,
        focal=focal,
        cx=width * float(rng.uniform(0.48, 0.52)),
        cy=height * float(rng.uniform(0.46, 0.54)),
        mount_m=float(rng.uniform(1.2, 2.1)),
        pitch_rad=float(rng.uniform(0.0, 0.05)),
    )


def pose(position: Array, *, heading: float, pitch: float = 0.0, roll: float = 0.0) -> Array:
    """Frame-to-world (4, 4): heading from z towards x, pitch down, roll clockwise seen from behind."""
    ch, sh, cp, sp, cr, sr = (f(a) for a in (heading, pitch, roll) for f in (np.cos, np.sin))
    turn = np.array([[ch, 0, sh], [0, 1, 0], [-sh, 0, ch]])
    nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    frame = np.eye(4)
    frame[:3, :3] = turn @ nod @ lean
    frame[:3, 3] = position
    return frame


def inverse(frame: NDArray[np.floating[Any]]) -> Array:
    """The inverse of a rigid frame (4, 4)."""
    out = np.eye(4)
    out[:3, :3] = frame[:3, :3].T
    out[:3, 3] = -frame[:3, :3].T @ frame[:3, 3]
    return out
