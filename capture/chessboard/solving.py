"""Chessboard pictures to ``calibration.json``, with what it takes to trust it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from catseye.capture.calibration import Calibration
from catseye.capture.chessboard.corners import Board, parse_board
from catseye.capture.chessboard.drawing import draw_before_and_after, draw_coverage, undistorted_points
from catseye.capture.chessboard.fit import Choice, Fit, choose_fit
from catseye.capture.chessboard.variety import bend_px, covered_share, shortcomings
from catseye.capture.chessboard.views import View, find_views
from catseye.capture.geometry import Image
from catseye.errors import UsageError
from catseye.files import write_bytes
from catseye.progress import Progress, silent

_log = logging.getLogger(__name__)

_STEEPEST_PITCH_RAD = math.pi / 2


@dataclass(frozen=True)
class ViewReport:
    """One picture.

    Args:
        name: of the file, with the time for a frame of a video.
        used: whether the camera was fitted to it; where not, ``reason`` says why.
        error_px: root mean square distance of its corners from the model's; None without corners.
        distance_m: from the camera to the board's first corner, where the squares' size is known.
    """

    name: str
    used: bool
    reason: str = ""
    error_px: float | None = None
    distance_m: float | None = None


@dataclass(frozen=True)
class CalibrationReport:
    """What came of a calibration.

    Args:
        calibration: as written.
        board: inner corners, as ``9x6``.
        views: every picture looked at; of a video, the frames taken.
        error_px: reprojection error, root mean square over all corners of the views used.
        held_out_px: the same on views a model was not fitted to, by model; what the choice was made by.
        model: the one chosen.
        board_bend: root mean square height of the corners over a plane, in squares; 0 where taken for flat.
        covered: share of the picture within the outline of some board.
        field_of_view_deg: across and down.
        deviations: standard deviation of each intrinsic parameter in its own unit, were errors independent.
        straightness_px: how far rows of corners are from straight lines, as taken and undistorted.
        warnings: what makes it less certain than it looks.
        path, undistorted, coverage: the files written.
    """

    calibration: Calibration
    board: str
    views: tuple[ViewReport, ...]
    error_px: float
    held_out_px: Mapping[str, float]
    model: str
    board_bend: float
    covered: float
    field_of_view_deg: tuple[float, float]
    deviations: Mapping[str, float]
    straightness_px: tuple[float, float]
    warnings: tuple[str, ...]
    path: Path
    undistorted: Path
    coverage: Path

    @property
    def used(self) -> int:
        return sum(view.used for view in self.views)

    def to_document(self) -> dict[str, Any]:
        """As JSON takes it."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        paths = {name: str(fields[name]) for name in ("path", "undistorted", "coverage")}
        return {
            **fields,
            **paths,
            "calibration": self.calibration.model_dump(mode="json"),
            "views": [asdict(view) for view in self.views],
        }


def calibrate(
    pictures: Sequence[Path],
    *,
    out: Path,
    board: tuple[int, int] | str = (9, 6),
    square_m: float | None = None,
    camera: str = "camera",
    height_m: float | None = None,
    pitch_rad: float | None = None,
    progress: Progress = silent,
) -> CalibrationReport:
    """Find a camera's intrinsics and distortion from pictures or videos of a chessboard.

    A picture without the whole board, and one that does not agree with the others, is left out and said so.
    Distortion has as many coefficients as lower the error on views that were held out: k1, k2, p1, p2, then
    k3, then the rational denominator. So is a board that is not flat found out and allowed for.

    Beside ``out`` two pictures are written: ``<stem>.undistorted.jpg``, one view before and after with
    straight lines through its rows, and ``<stem>.coverage.jpg``, where the corners were and what the model
    misses.

    Args:
        pictures: picture files, videos, and folders of either.
        out: the JSON file to write.
        board: inner corners, ``(9, 6)`` or ``9x6``; ``auto`` takes what most pictures show.
        square_m: side of a square in metres. Only the views' distances depend on it.
        camera: who the camera is.
        height_m: height of the optical centre above the road in metres, where known.
        pitch_rad: angle of the optical axis below the horizon in radians, where known.
        progress: told of pictures done.

    Raises:
        InputError: a path is missing, no picture shows the board, the sizes differ, or the views are too few
            or do not determine a camera.
        UsageError: an option cannot be.
    """
    wanted = parse_board(board)
    _check(out, square_m, height_m, pitch_rad)
    found = find_views(pictures, wanted, progress=progress)
    size = (found.views[0].width, found.views[0].height)
    choice = choose_fit([view.corners for view in found.views], found.board, size)
    views = [view for view, keep in zip(found.views, choice.kept, strict=True) if keep]
    corners = [view.corners for view in views]
    calibration = _calibration(choice.fit, size, camera=camera, height_m=height_m, pitch_rad=pitch_rad)
    straightened = [undistorted_points(points, calibration) for points in corners]
    report = CalibrationReport(
        calibration=calibration,
        board=str(found.board),
        views=(
            *_view_reports(found.views, choice, square_m),
            *(ViewReport(item.name, used=False, reason=item.reason) for item in found.dropped),
        ),
        error_px=choice.fit.error_px,
        held_out_px=choice.held_out_px,
        model=str(choice.fit.model),
        board_bend=_bend(choice.fit),
        covered=covered_share(corners, size),
        field_of_view_deg=_field_of_view_deg(choice.fit, size),
        deviations=choice.fit.deviations,
        straightness_px=(bend_px(corners, found.board), bend_px(straightened, found.board)),
        warnings=shortcomings(choice.fit, corners, size),
        path=out,
        undistorted=out.with_suffix(".undistorted.jpg"),
        coverage=out.with_suffix(".coverage.jpg"),
    )
    _write(report, views, found.board, choice.fit)
    for warning in report.warnings:
        _log.warning("%s: %s", out, warning)
    return report


def _check(out: Path, square_m: float | None, height_m: float | None, pitch_rad: float | None) -> None:
    if out.suffix.lower() != ".json":
        raise UsageError(f"--out {out}: name a .json file")
    for name, length in (("square-m", square_m), ("height-m", height_m)):
        if length is not None and not 0 < length < math.inf:
            raise UsageError(f"--{name} {length}: must be above 0")
    if pitch_rad is not None and not abs(pitch_rad) < _STEEPEST_PITCH_RAD:
        raise UsageError(f"--pitch-rad {pitch_rad}: must be between -π/2 and π/2")


def _calibration(
    fit: Fit, size: tuple[int, int], *, camera: str, height_m: float | None, pitch_rad: float | None
) -> Calibration:
    (fx, _, cx), (_, fy, cy), _ = fit.K.tolist()
    return Calibration(
        camera=camera,
        width=size[0],
        height=size[1],
        K=((fx, 0.0, cx), (0.0, fy, cy), (0.0, 0.0, 1.0)),
        distortion_model="rational_polynomial" if len(fit.distortion) > 5 else "plumb_bob",
        distortion=tuple(fit.distortion.tolist()),
        height_m=height_m,
        pitch_rad=pitch_rad,
        rectified=False,
    )


def _view_reports(views: Sequence[View], choice: Choice, square_m: float | None) -> list[ViewReport]:
    reports = []
    place = 0
    for index, view in enumerate(views):
        if not choice.kept[index]:
            error = choice.outlier_errors_px[index]
            reason = f"does not agree with the others ({error:.1f} px off)"
            reports.append(ViewReport(view.name, used=False, reason=reason, error_px=error))
            continue
        squares = float(np.linalg.norm(choice.fit.translations[place]))
        error = float(choice.fit.errors_px[place])
        distance_m = squares * square_m if square_m is not None else None
        reports.append(ViewReport(view.name, used=True, error_px=error, distance_m=distance_m))
        place += 1
    return reports


def _bend(fit: Fit) -> float:
    """Root mean square height of the board's corners over the plane that fits them, in squares."""
    centred = fit.board_points - fit.board_points.mean(axis=0)
    return float(np.linalg.svd(centred, compute_uv=False)[2] / math.sqrt(len(centred)))


def _field_of_view_deg(fit: Fit, size: tuple[int, int]) -> tuple[float, float]:
    """Between the rays through the middles of opposite edges, with distortion undone."""
    cx, cy = fit.K[:2, 2]
    edges = np.array([[[-0.5, cy]], [[size[0] - 0.5, cy]], [[cx, -0.5]], [[cx, size[1] - 0.5]]])
    rays = np.arctan(cv2.undistortPoints(edges, fit.K, fit.distortion).reshape(-1, 2))
    across, down = np.degrees([rays[1, 0] - rays[0, 0], rays[3, 1] - rays[2, 1]])
    return float(across), float(down)


def _write(report: CalibrationReport, views: Sequence[View], board: Board, fit: Fit) -> None:
    _write_jpeg(report.undistorted, draw_before_and_after(views, board, report.calibration))
    _write_jpeg(report.coverage, draw_coverage(views, fit, report.calibration))
    report.calibration.save(report.path)


def _write_jpeg(path: Path, bgr: Image) -> None:
    write_bytes(path, cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())
