"""Two pictures to judge a calibration by: straight lines before and after, and where the corners were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.calibration import Calibration
from catseye.capture.chessboard.corners import Board, Points
from catseye.capture.chessboard.fit import Fit
from catseye.capture.chessboard.variety import bend_px
from catseye.capture.chessboard.views import View
from catseye.capture.geometry import Image

RESIDUALS_TIMES = 20
"""How much larger than life residuals are drawn."""

_WIDTH = 960
_BAR_PX = 36
_INK, _PAPER = (245, 245, 245), (32, 28, 24)
_GLOW, _BRIGHT_VIEWS = (34.0, 24.0, 12.0), 12
_LINE, _DOT = (90, 220, 255), (80, 80, 255)
_FONT = cv2.FONT_HERSHEY_DUPLEX


def undistort(bgr: Image, calibration: Calibration) -> Image:
    """A picture (H, W, 3) uint8 as a pinhole of the same K would have taken it."""
    height, width = calibration.height, calibration.width
    return np.asarray(
        cv2.undistort(bgr[:height, :width], calibration.matrix, np.array(calibration.distortion)), np.uint8
    )


def undistorted_points(points: Points, calibration: Calibration) -> Points:
    """Pixels (N, 2) of the camera to pixels of ``undistort``'s picture."""
    moved = cv2.undistortPoints(
        points.reshape(-1, 1, 2).astype(np.float64),
        calibration.matrix,
        np.array(calibration.distortion),
        P=calibration.matrix,
    )
    return np.asarray(moved, dtype=np.float32).reshape(-1, 2)


def draw_before_and_after(views: Sequence[View], board: Board, calibration: Calibration) -> Image:
    """The view whose rows of corners bend most, as taken and undistorted, a straight line through each row.

    Returns:
        BGR (h, w, 3) uint8.
    """
    view = max(views, key=lambda view: bend_px([view.corners], board))
    before = view.bgr[: calibration.height, : calibration.width]
    corners = undistorted_points(view.corners, calibration)
    return np.hstack(
        [
            _with_lines(before, view.corners, board, "as taken"),
            np.full((_bar_and(before), 8, 3), _PAPER, dtype=np.uint8),
            _with_lines(undistort(before, calibration), corners, board, "undistorted"),
        ]
    )


def draw_coverage(views: Sequence[View], fit: Fit, calibration: Calibration) -> Image:
    """Outlines of all boards, and each corner with what the model misses it by, enlarged.

    Returns:
        BGR (h, w, 3) uint8.
    """
    scale = _WIDTH / calibration.width
    size = (_WIDTH, round(calibration.height * scale))
    canvas = np.full((size[1], size[0], 3), _PAPER, dtype=np.uint8)
    glows = tuple(level * min(1.0, _BRIGHT_VIEWS / len(views)) for level in _GLOW)
    for view in views:
        glow = np.zeros_like(canvas)
        cv2.fillConvexPoly(glow, _outline(view.corners * scale), glows, cv2.LINE_AA, 4)
        cv2.add(canvas, glow, dst=canvas)
    worst = max(1.0, float(fit.errors_px.max()))
    for number, view in enumerate(views):
        misses = (fit.project(number) - view.corners) * scale * RESIDUALS_TIMES
        for corner, miss in zip(view.corners * scale, misses, strict=True):
            share = min(1.0, float(np.hypot(*miss)) / (worst * scale * RESIDUALS_TIMES))
            color = (80, 220 - int(150 * share), 80 + int(175 * share))
            cv2.line(canvas, _pixel(corner), _pixel(corner + miss), color, 1, cv2.LINE_AA)
            cv2.circle(canvas, _pixel(corner), 2, color, -1, cv2.LINE_AA)
    centre = _pixel(np.array(fit.K[:2, 2] * scale))
    cv2.drawMarker(canvas, centre, _INK, cv2.MARKER_CROSS, 18, 1, cv2.LINE_AA)
    text = f"{len(views)} views, {fit.error_px:.2f} px; errors drawn x{RESIDUALS_TIMES}; + optical axis"
    return _titled(np.asarray(canvas, dtype=np.uint8), text)


def _with_lines(bgr: Image, corners: Points, board: Board, title: str) -> Image:
    scale = _WIDTH / bgr.shape[1]
    height = round(bgr.shape[0] * scale)
    shrinks = scale < 1
    picture = cv2.resize(bgr, (_WIDTH, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    grid = (corners * scale).reshape(board.rows, board.columns, 2)
    for line in (grid[0], grid[-1], grid[:, 0], grid[:, -1]):
        step = (line[-1] - line[0]) * 4
        cv2.line(picture, _pixel(line[0] - step), _pixel(line[-1] + step), _LINE, 1, cv2.LINE_AA)
        for corner in line:
            cv2.circle(picture, _pixel(corner), 3, _DOT, -1, cv2.LINE_AA)
    bend = bend_px([corners], board)
    return _titled(np.asarray(picture, np.uint8), f"{title}: rows are straight to {bend:.2f} px")


def _titled(picture: Image, text: str) -> Image:
    bar = np.full((_BAR_PX, picture.shape[1], 3), _PAPER, dtype=np.uint8)
    cv2.putText(bar, text, (12, 24), _FONT, 0.6, _INK, 1, cv2.LINE_AA)
    return np.vstack([bar, picture])


def _bar_and(bgr: Image) -> int:
    return _BAR_PX + round(int(bgr.shape[0]) * _WIDTH / int(bgr.shape[1]))


def _pixel(point: NDArray[np.floating[Any]]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _outline(points: NDArray[np.float32]) -> NDArray[np.int32]:
    """The convex outline of points, with four bits behind the point, as OpenCV's drawing takes them."""
    return np.asarray(np.round(cv2.convexHull(points) * 16), dtype=np.int32)
