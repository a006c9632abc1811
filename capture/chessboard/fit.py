"""A camera's intrinsics from views of a chessboard: which views to trust, and how rich a model they bear.

Zhang 2000 for the flat board; for one that is bent, its corners are unknowns too (Strobl and Hirzinger 2011).
A richer model always fits better what it was fitted to, so it has to earn its place on views it has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.chessboard.corners import Board, Points
from catseye.errors import InputError

Floats = NDArray[np.float64]

FEWEST_VIEWS = 3
_OUTLIER_TIMES = 2.5
_OUTLIER_LEAST_PX = 0.5
_MOST_OUTLIERS = 0.5

_FOLDS = 5
_EARNED = 0.95
"""A richer model is taken where its held-out error is below this part of the simpler one's."""

_FEWEST_FOR_RICHER = 8
_FEWEST_FOR_BENT, _MOST_FOR_BENT = 10, 60
_EXACT_ENOUGH_PX = 0.2
_CRITERIA = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 50, 1e-8)
_BENT_CRITERIA = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 30, 1e-6)

_STEEPEST_RAY = 5.0
"""Tangent of the angle to the axis, 79 degrees, up to which a lens is looked at."""

_INTRINSICS = ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")


@dataclass(frozen=True)
class Model:
    """What is unknown beside K and the poses.

    Args:
        coefficients: of distortion: 4 for k1, k2, p1, p2; 5 with k3; 8 with the denominator k4, k5, k6.
        bent: whether the board's corners are unknown too.
    """

    coefficients: int
    bent: bool = False

    def __str__(self) -> str:
        return f"{self.coefficients} coefficients" + (", bent board" if self.bent else "")

    @property
    def flags(self) -> int:
        return {4: int(cv2.CALIB_FIX_K3), 5: 0, 8: int(cv2.CALIB_RATIONAL_MODEL)}[self.coefficients]


@dataclass(frozen=True, eq=False)
class Fit:
    """A camera as V views of N corners show it.

    Args:
        model: what was unknown.
        K: (3, 3) pinhole matrix in pixels.
        distortion: (5,) or (8,) OpenCV's coefficients.
        board_points: (N, 3) corners of the board in squares; off the plane z = 0 where it is bent.
        rotations, translations: (V, 3) Rodrigues vectors and squares, from the board to the camera.
        errors_px: (V,) root mean square distance of the corners from where the model has them.
        deviations: standard deviation of each intrinsic parameter, were the corners' errors independent.
    """

    model: Model
    K: Floats
    distortion: Floats
    board_points: Points
    rotations: Floats
    translations: Floats
    errors_px: Floats
    deviations: Mapping[str, float]

    @property
    def error_px(self) -> float:
        """Root mean square over all corners of all views."""
        return float(np.sqrt(np.mean(self.errors_px**2)))

    def project(self, view: int) -> Floats:
        """Where the model has the corners of a view, (N, 2) pixels."""
        return _project(self, self.rotations[view], self.translations[view])


@dataclass(frozen=True, eq=False)
class Choice:
    """The fit chosen.

    Args:
        fit: over the views kept.
        kept: (V,) bool, over the views given.
        outlier_errors_px: error of each view dropped, by its index, when it was dropped.
        held_out_px: error on views a model was not fitted to, by model.
    """

    fit: Fit
    kept: NDArray[np.bool_]
    outlier_errors_px: Mapping[int, float]
    held_out_px: Mapping[str, float]


def choose_fit(corners: Sequence[Points], board: Board, size: tuple[int, int]) -> Choice:
    """Fit a camera to the views that agree, with as rich a model as they bear.

    Args:
        corners: (N, 2) float32 a view, in the order of ``Board.points``.
        size: width and height of the pictures.

    Raises:
        InputError: there are too few views, or they do not determine a camera.
    """
    if len(corners) < FEWEST_VIEWS:
        raise InputError(
            f"{len(corners)} views of the board",
            f"are too few: at least {FEWEST_VIEWS} are needed, ten or more are good",
            "take more pictures, the board tilted and in every part of the picture",
        )
    kept, outliers = _without_outliers(corners, board, size)
    views = [view for view, keep in zip(corners, kept, strict=True) if keep]
    model, held_out = _choose_model(views, board, size)
    return Choice(_fit(views, board, size, model), kept, outliers, held_out)


def reach_of_lens(fit: Fit, size: tuple[int, int]) -> float:
    """How far from the centre the distortion still has an inverse, as a part of the way to the far corner.

    Beyond it two rays share a pixel, and undistortion would smear. 1 where it holds for the whole picture.
    """
    corners = np.array([[x, y] for x in (0, size[0] - 1) for y in (0, size[1] - 1)], dtype=np.float64)
    far = float(np.hypot(*((corners - fit.K[:2, 2]) / fit.K[[0, 1], [0, 1]]).T).max())
    k1, k2, _, _, k3, k4, k5, k6 = np.append(fit.distortion, np.zeros(8 - len(fit.distortion)))
    ray = np.linspace(0, _STEEPEST_RAY, 4000)
    r2 = ray**2
    seen = ray * (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    falls = np.flatnonzero(~(np.diff(seen) > 0))
    greatest = seen[falls[0]] if falls.size else seen[-1]
    return float(min(1.0, greatest / far))


def _without_outliers(
    corners: Sequence[Points], board: Board, size: tuple[int, int]
) -> tuple[NDArray[np.bool_], dict[int, float]]:
    """Leave out the worst view and fit again, until none is far worse than the middle one."""
    kept = np.ones(len(corners), dtype=bool)
    outliers: dict[int, float] = {}
    while True:
        indices = np.flatnonzero(kept).tolist()
        errors = _fit([corners[index] for index in indices], board, size, Model(4)).errors_px
        worst = int(errors.argmax())
        limit = max(_OUTLIER_LEAST_PX, _OUTLIER_TIMES * float(np.median(errors)))
        if errors[worst] <= limit or len(indices) <= FEWEST_VIEWS:
            return kept, outliers
        if len(outliers) >= _MOST_OUTLIERS * len(corners):
            raise InputError(
                f"{len(corners)} views of the board",
                "do not agree on one camera",
                "check that all are by one camera with fixed focus, and that --board is right",
            )
        outliers[indices[worst]] = float(errors[worst])
        kept[indices[worst]] = False


def _choose_model(
    views: Sequence[Points], board: Board, size: tuple[int, int]
) -> tuple[Model, dict[str, float]]:
    best = Model(4)
    if len(views) < _FEWEST_FOR_RICHER:
        return best, {}
    held_out = {str(best): _held_out_error(views, board, size, best)}
    for richer in (Model(5), Model(8), None):
        model = richer or Model(best.coefficients, bent=True)
        if model.bent and not (
            board.has_a_direction
            and _FEWEST_FOR_BENT <= len(views) <= _MOST_FOR_BENT
            and held_out[str(best)] > _EXACT_ENOUGH_PX
        ):
            continue
        held_out[str(model)] = _held_out_error(views, board, size, model)
        if held_out[str(model)] < _EARNED * held_out[str(best)]:
            best = model
    return best, held_out


def _held_out_error(views: Sequence[Points], board: Board, size: tuple[int, int], model: Model) -> float:
    """Root mean square distance in pixels over views that were not fitted to."""
    squares: list[float] = []
    for fold in range(_FOLDS):
        fit = _fit([view for i, view in enumerate(views) if i % _FOLDS != fold], board, size, model)
        for view in views[fold::_FOLDS]:
            _, rotation, translation = cv2.solvePnP(fit.board_points, view, fit.K, fit.distortion)
            squares.append(float(np.mean(np.sum((_project(fit, rotation, translation) - view) ** 2, axis=1))))
    return float(np.sqrt(np.mean(squares)))


def _fit(views: Sequence[Points], board: Board, size: tuple[int, int], model: Model) -> Fit:
    """Fit one model to all views by least squares.

    Raises:
        InputError: the views do not determine a camera.
    """
    points = [board.points] * len(views)
    try:
        # A fixed point of -1 keeps the board flat.
        _, K, distortion, rotations, translations, moved, deviations, _, _, errors = (
            cv2.calibrateCameraROExtended(
                points,
                views,
                size,
                board.columns - 1 if model.bent else -1,
                np.eye(3),
                np.zeros(max(5, model.coefficients)),
                flags=model.flags,
                criteria=_BENT_CRITERIA if model.bent else _CRITERIA,
            )
        )
    except cv2.error as error:
        raise InputError(
            f"{len(views)} views of the board",
            f"do not determine a camera ({error.err})",
            "take more pictures, the board tilted and in every part of the picture",
        ) from None
    names = _INTRINSICS[: 4 + max(5, model.coefficients)]
    found = np.ravel(deviations)[: len(names)]
    return Fit(
        model=model,
        K=np.asarray(K, dtype=np.float64),
        distortion=np.ravel(distortion)[: max(5, model.coefficients)].astype(np.float64),
        board_points=np.asarray(moved, np.float32).reshape(-1, 3) if model.bent else board.points,
        rotations=np.reshape(np.asarray(rotations, dtype=np.float64), (-1, 3)),
        translations=np.reshape(np.asarray(translations, dtype=np.float64), (-1, 3)),
        errors_px=np.ravel(errors).astype(np.float64),
        deviations={name: float(value) for name, value in zip(names, found, strict=True)},
    )


def _project(fit: Fit, rotation: NDArray[Any], translation: NDArray[Any]) -> Floats:
    points = cv2.projectPoints(fit.board_points, rotation, translation, fit.K, fit.distortion)[0]
    return np.asarray(points, dtype=np.float64).reshape(-1, 2)
