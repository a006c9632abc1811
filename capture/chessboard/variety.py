"""How well a set of views spreads over the picture and over directions, and what it lacks."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.chessboard.corners import Board, Points
from catseye.capture.chessboard.fit import Fit, reach_of_lens

ENOUGH_VIEWS = 10
ENOUGH_COVERED = 0.6
_ENOUGH_TILT_DEG = 15.0
_ENOUGH_SPREAD = 0.1
_MOST_ERROR_PX = 1.0
_MOST_FOCAL_DEVIATION = 0.01
_CELL_PX = 8


def covered_share(corners: Sequence[Points], size: tuple[int, int]) -> float:
    """Share of the picture that lies within the outline of some board, 0 … 1."""
    seen = np.zeros((-(-size[1] // _CELL_PX), -(-size[0] // _CELL_PX)), dtype=np.uint8)
    for points in corners:
        cv2.fillConvexPoly(seen, cv2.convexHull((points / _CELL_PX).astype(np.int32)), 1)
    return float(seen.mean())


def tilts_deg(fit: Fit) -> NDArray[np.float64]:
    """(V,) angle between the board's normal and the optical axis, in degrees."""
    normals = np.array([cv2.Rodrigues(rotation)[0][:, 2] for rotation in fit.rotations])
    return np.asarray(np.degrees(np.arccos(np.clip(np.abs(normals[:, 2]), 0, 1))), dtype=np.float64)


def bend_px(corners: Sequence[Points], board: Board) -> float:
    """Root mean square distance of corners from the straight line through their row or column, in pixels."""
    squares = [
        np.linalg.svd(line - line.mean(axis=0), compute_uv=False)[1] ** 2 / len(line)
        for points in corners
        for grid in [points.reshape(board.rows, board.columns, 2)]
        for line in (*grid, *grid.transpose(1, 0, 2))
    ]
    return float(np.sqrt(np.mean(squares)))


def shortcomings(fit: Fit, corners: Sequence[Points], size: tuple[int, int]) -> tuple[str, ...]:
    """What makes a calibration less certain than it looks, each with what to do; none where all is well."""
    found = []
    if len(corners) < ENOUGH_VIEWS:
        found.append(f"{len(corners)} views are few: take {ENOUGH_VIEWS} or more")
    middles = np.array([points.mean(axis=0) for points in corners]) / size
    if (spread := float(middles.std(axis=0).max())) < _ENOUGH_SPREAD:
        found.append(
            f"the board is at one place in all views (its middle varies by {spread:.0%} of the picture): "
            "move it into every part"
        )
    if (covered := covered_share(corners, size)) < ENOUGH_COVERED:
        found.append(
            f"boards cover {covered:.0%} of the picture: what lies outside is extrapolated, "
            "hold the board into the corners too"
        )
    if (tilt := float(tilts_deg(fit).max())) < _ENOUGH_TILT_DEG:
        found.append(
            f"the board is tilted by {tilt:.0f}° at most: seen head-on it does not tell the focal length, "
            "tilt it by 30° and more"
        )
    if fit.error_px > _MOST_ERROR_PX:
        found.append(
            f"the model misses the corners by {fit.error_px:.2f} px: use a flat stiff board, sharp pictures "
            "and a fixed focus"
        )
    deviation = fit.deviations["fx"] / fit.K[0, 0]
    if deviation > _MOST_FOCAL_DEVIATION:
        found.append(f"the focal length is known to {deviation:.1%} only: add tilted views")
    if (reach := reach_of_lens(fit, size)) < 1:
        found.append(
            f"the distortion has no inverse beyond {reach:.0%} of the way to the corners: add views that "
            "reach into them"
        )
    return tuple(found)
