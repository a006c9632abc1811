"""How the camera turned between two frames, so that a bump or a bend is not taken for the vehicles' motion.

Corners outside of all boxes (Shi and Tomasi, CVPR 1994) are followed by pyramidal optical flow (Lucas and
Kanade 1981) on a small grey picture, and a similarity is fitted to them by RANSAC. Of it only what a camera's
turning does is kept: the shift at the middle of the picture and the roll. Its growth comes from driving on,
which moves what stands by the road and not the vehicles ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.capture.resampling import resize_plane

_WIDTH = 320
"""Of the picture looked at, at most."""
_CORNERS, _QUALITY, _APART_PX = 120, 0.01, 8
_WINDOW_PX, _LEVELS = 15, 3
_OFF_PX = 1.0
"""How far a corner may move from where the others say and still be one of them."""
_ENOUGH = 12
"""Corners that must agree; with fewer nothing is said."""
_LARGEST = 0.25
"""Of the picture's width: a shift beyond that is taken for a mistake, or a cut."""


@dataclass(frozen=True)
class Turn:
    """Where a picture's points went: turned by ``roll_rad`` about ``middle`` (2,), then moved by ``shift``
    (2,) pixels."""

    shift: NDArray[np.float64]
    roll_rad: float
    middle: NDArray[np.float64]

    def moved(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (N, 2) of the frame before, where they are now."""
        return self.turned(points - self.middle) + self.middle + self.shift

    def turned(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Directions (N, 2) of the frame before, as they are now."""
        c, s = np.cos(self.roll_rad), np.sin(self.roll_rad)
        return np.asarray(vectors @ np.array([[c, s], [-s, c]]))


class CameraMotion:
    """The turns of one stream's camera."""

    def __init__(self) -> None:
        self._before: Image | None = None
        self._corners: NDArray[np.float32] | None = None

    def see(
        self, frame: Image, boxes_xyxy: NDArray[np.floating], *, width: float | None = None
    ) -> Turn | None:
        """Take the next frame; how the camera turned since the one before, None where that is not clear.

        Args:
            frame: (H, W) luma or (H, W, 3) RGB.
            boxes_xyxy: (N, 4) of what moves by itself.
            width: of the picture in whose pixels boxes and turn are; None for the frame's own.
        """
        frame_height, frame_width = frame.shape[:2]
        smaller = min(1.0, _WIDTH / frame_width)
        small = resize_plane(frame, (round(frame_width * smaller), round(frame_height * smaller)))
        scale = small.shape[1] / (frame_width if width is None else width)
        if small.ndim == 3:
            small = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        before, corners = self._before, self._corners
        self._before, self._corners = small, _corners(small, boxes_xyxy * scale)
        if before is None or corners is None or before.shape != small.shape:
            return None
        return _turn(before, small, corners, scale)


def _corners(picture: Image, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32] | None:
    """(N, 1, 2) outside of the boxes; None where there is none."""
    free = np.full(picture.shape, 255, np.uint8)
    for left, top, right, bottom in np.clip(boxes_xyxy, 0, None).astype(int).tolist():
        free[top : bottom + 1, left : right + 1] = 0
    found = cv2.goodFeaturesToTrack(picture, _CORNERS, _QUALITY, _APART_PX, mask=free)
    return None if found is None else np.asarray(found, dtype=np.float32)


def _turn(before: Image, after: Image, corners: NDArray[np.float32], scale: float) -> Turn | None:
    window = (_WINDOW_PX, _WINDOW_PX)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, corners, np.empty_like(corners), winSize=window, maxLevel=_LEVELS
    )
    kept = found[:, 0] == 1
    if np.count_nonzero(kept) < _ENOUGH:
        return None
    similarity, agree = cv2.estimateAffinePartial2D(
        corners[kept], moved[kept], method=cv2.RANSAC, ransacReprojThreshold=_OFF_PX
    )
    if similarity is None or np.count_nonzero(agree) < _ENOUGH:
        return None
    middle = np.array(after.shape[::-1]) / 2
    shift = similarity @ [*middle, 1.0] - middle
    if np.abs(shift).max() > _LARGEST * after.shape[1]:
        return None
    roll = float(np.arctan2(similarity[1, 0], similarity[0, 0]))
    return Turn(shift / scale, roll, middle / scale)
