"""A camera, and boxes of things that stand on its road."""

from __future__ import annotations

import numpy as np

from catseye.capture.geometry import letterbox
from catseye.runtime.ranging.errors import BoxErrors, CueErrors
from catseye.runtime.ranging.ground import Mount

BOX = letterbox(640, 360, 320, 192)  # 320x180 with 6 rows of border above and below
K = np.array([[250.0, 0, 160.0], [0, 250.0, 90.0], [0, 0, 1]])
MOUNT = Mount(height_m=1.5, pitch_rad=0.04)
ERRORS = CueErrors(
    edges=BoxErrors(px=0.5, share=0.0),
    mount_rad=0.0,
    unknown_mount_rad=0.03,
    nod_rad=0.004,
    bend=0.0,
    tilt=0.0,
    sizes=0.0,
    ground=0.01,
    depth=0.3,
    depth_px=2.0,
    depth_near_px=0.0,
    cut=0.35,
)


def standing(z: float, *, x: float = 0.0, width: float = 1.8, height: float = 1.5) -> list[float]:
    """Box (4,) in network pixels of a thing x metres to the right, facing the camera, that stands z deep.

    It is as deep all over, so that its size in pixels is exact.
    """
    pitch = MOUNT.pitch_rad or 0.0
    across, down = z * (np.array([x - width / 2, x + width / 2]) / z), MOUNT.height_m - z * np.sin(pitch)
    bottom = K[1, 1] * (down / np.cos(pitch)) / z + K[1, 2]
    left, right = K[0, 0] * across / z + K[0, 2]
    return [float(left), float(bottom - K[1, 1] * height / z), float(right), float(bottom)]


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(-1, 4)
