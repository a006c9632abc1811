"""A chessboard's inner corners in one picture, to a fraction of a pixel and always in the same order."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.errors import UsageError

Points = NDArray[np.float32]

AUTO = "auto"
_FEWEST = 3
_WIDEST_WINDOW = 11
_SUBPIXEL = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 100, 1e-4)


@dataclass(frozen=True, order=True)
class Board:
    """Inner corners along the longer and the shorter side: a board of 10×7 squares is 9×6."""

    columns: int
    rows: int

    def __str__(self) -> str:
        return f"{self.columns}x{self.rows}"

    @property
    def points(self) -> Points:
        """(N, 3) float32 corners on the plane z = 0, row by row, in squares."""
        grid = np.mgrid[0 : self.columns, 0 : self.rows].T.reshape(-1, 2)
        return np.hstack([grid, np.zeros((len(grid), 1))]).astype(np.float32)

    @property
    def has_a_direction(self) -> bool:
        """Whether turning it half round swaps black and white, so that each corner can be told by itself."""
        return (self.columns + self.rows) % 2 == 1


def parse_board(board: tuple[int, int] | str) -> Board | None:
    """A board of the inner corners given, ``(9, 6)`` or ``9x6``, or None for ``auto``.

    Raises:
        UsageError: it is neither, or a side has fewer than three corners.
    """
    if board == AUTO:
        return None
    parts = board.lower().split("x") if isinstance(board, str) else [str(count) for count in board]
    if len(parts) != 2 or not all(part.isdigit() and int(part) >= _FEWEST for part in parts):
        raise UsageError(f"--board {board!r}: give its inner corners, as 9x6, at least 3x3, or auto")
    short, long = sorted(map(int, parts))
    return Board(long, short)


def find_corners(grey: Image, board: Board) -> Points | None:
    """Find a whole board.

    The sector-based detector (Duda and Frese 2018) finds it where the light is uneven and the board small;
    the gradient-based refinement that follows is the more exact on the edges of a printed board.

    Args:
        grey: (H, W) uint8.

    Returns:
        (N, 2) float32 corners in pixels, the middle of the first pixel at 0, in the order of
        ``Board.points``; None where not all are seen. Columns run to the right of rows as seen from the
        front, and where the board has a direction the first square between corners is the dark one.
    """
    found, corners = cv2.findChessboardCornersSB(
        grey, (board.columns, board.rows), flags=cv2.CALIB_CB_NORMALIZE_IMAGE
    )
    if not found:
        return None
    points = np.asarray(corners, dtype=np.float32).reshape(-1, 1, 2)
    window = int(np.clip(0.4 * _spacing(points.reshape(board.rows, board.columns, 2)), 2, _WIDEST_WINDOW))
    cv2.cornerSubPix(grey, points, (window, window), (-1, -1), _SUBPIXEL)
    return _in_order(grey, points.reshape(-1, 2), board)


def seen_board(grey: Image) -> Board | None:
    """The largest whole grid of corners in a picture, at least 3×3; None where there is none."""
    found, _, meta = cv2.findChessboardCornersSBWithMeta(
        grey, (_FEWEST, _FEWEST), cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_LARGER
    )
    if not found:
        return None
    rows, columns = np.asarray(meta).shape[:2]
    return Board(max(rows, columns), min(rows, columns))


def _spacing(grid: Points) -> float:
    """The shortest step between neighbouring corners of a (rows, columns, 2) grid, in pixels."""
    return float(min(np.linalg.norm(np.diff(grid, axis=axis), axis=2).min() for axis in (0, 1)))


def _in_order(grey: Image, corners: Points, board: Board) -> Points:
    grid = corners.reshape(board.rows, board.columns, 2)
    along, down = grid[0, -1] - grid[0, 0], grid[-1, 0] - grid[0, 0]
    if along[0] * down[1] - along[1] * down[0] < 0:
        grid = grid[::-1]
    if board.has_a_direction and _level(grey, grid[:2, :2]) > _level(grey, grid[:2, 1:3]):
        grid = grid[::-1, ::-1]
    return np.ascontiguousarray(grid.reshape(-1, 2))


def _level(grey: Image, square: Points) -> float:
    """Grey level at the middle of a square of four corners."""
    x, y = square.reshape(4, 2).mean(axis=0)
    return float(cv2.getRectSubPix(grey, (3, 3), (float(x), float(y))).mean())
