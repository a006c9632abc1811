"""A drive recorded by a stereo camera, as a reference in metres for depth and motion from one camera.

The layout is KITTI's odometry: ``image_l`` and ``image_r`` with rectified grey pictures, ``calib.txt`` with
their two projection matrices, ``poses.txt`` with the left camera's pose in each frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image

_FARTHEST_PX = 64
_BLOCK = 5
_LEAST_DISPARITY = 2.0


@dataclass(frozen=True)
class StereoDrive:
    """What the left camera saw.

    Args:
        pictures: (T, H, W, 3) uint8, grey.
        depth: (T, H, W) in metres, NaN where matching gives none.
        poses: (T, 4, 4), camera to world.
        intrinsics: (fx, fy, cx, cy) in pixels.
    """

    pictures: Image
    depth: NDArray[np.float32]
    poses: NDArray[np.float64]
    intrinsics: tuple[float, float, float, float]


def read_drive(folder: Path) -> StereoDrive:
    """Read a drive and match its pairs by semi-global matching (Hirschmüller, IEEE TPAMI 2008)."""
    left, right = np.loadtxt(folder / "calib.txt").reshape(2, 3, 4)
    baseline = float(left[0, 3] - right[0, 3]) / float(left[0, 0])
    rows = np.loadtxt(folder / "poses.txt").reshape(-1, 3, 4)
    poses = np.concatenate([rows, np.broadcast_to([[[0.0, 0.0, 0.0, 1.0]]], (len(rows), 1, 4))], axis=1)
    pictures, depths = [], []
    for path in sorted((folder / "image_l").glob("*.png")):
        pair = [
            cv2.imread(str(side), cv2.IMREAD_GRAYSCALE) for side in (path, folder / "image_r" / path.name)
        ]
        pictures.append(np.repeat(pair[0][..., None], 3, axis=2))
        depths.append(match(pair[0], pair[1], focal_baseline=float(left[0, 0]) * baseline))
    return StereoDrive(
        np.stack(pictures),
        np.stack(depths),
        poses,
        (float(left[0, 0]), float(left[1, 1]), float(left[0, 2]), float(left[1, 2])),
    )


def match(left: Image, right: Image, *, focal_baseline: float) -> NDArray[np.float32]:
    """Depth (H, W) of the left of two grey pictures (H, W); NaN where they do not agree on it."""
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=_FARTHEST_PX,
        blockSize=_BLOCK,
        P1=8 * _BLOCK**2,
        P2=32 * _BLOCK**2,
        disp12MaxDiff=1,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
    )
    disparity = matcher.compute(left, right).astype(np.float32) / 16
    known = disparity >= _LEAST_DISPARITY
    # To the left of it there is no second view at every distance.
    known[:, :_FARTHEST_PX] = False
    return np.where(known, focal_baseline / np.where(known, disparity, 1), np.nan).astype(np.float32)
