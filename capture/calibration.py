"""A camera's calibration: the contract ``calibration.json`` and its pinhole model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from catseye.capture.geometry import Letterbox
from catseye.capture.lens import COUNTS, LensModel, undistorted
from catseye.contract import Contract
from catseye.files import is_there

_HASHED_VERSION = "1.0"


class Calibration(Contract):
    """Intrinsics in pixels of the size given, in the OpenCV camera frame (x right, y down, z forward).

    Args:
        camera: who the camera is.
        width, height: size in pixels that ``K`` refers to.
        K: pinhole matrix, three rows.
        distortion_model, distortion: OpenCV's coefficients: ``plumb_bob`` (k1, k2, p1, p2, k3),
            ``rational_polynomial`` (k1, k2, p1, p2, k3, k4, k5, k6; since 1.1), ``equidistant`` (a fisheye's
            k1, k2, k3, k4; since 1.2), or none.
        height_m: height of the optical centre above the road in metres, where known.
        pitch_rad: angle of the optical axis below the horizon in radians, where known.
        rectified: whether frames are already undistorted.
    """

    VERSION: ClassVar[str] = "1.2"
    REMEDY: ClassVar[str] = "write it with K, width and height as docs/footage.md shows"

    camera: str = "camera"
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    K: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
    distortion_model: LensModel = "none"
    distortion: tuple[float, ...] = ()
    height_m: float | None = Field(default=None, gt=0)
    pitch_rad: float | None = None
    rectified: bool = True

    @field_validator("K")
    @classmethod
    def _pinhole(cls, K: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        if not np.isfinite(K).all() or K[0][0] <= 0 or K[1][1] <= 0 or K[2] != (0.0, 0.0, 1.0):
            raise ValueError("needs finite rows, fx and fy above 0 and a last row of 0, 0, 1")
        return K

    @model_validator(mode="after")
    def _coefficients(self) -> Self:
        least, most = COUNTS[self.distortion_model]
        if not least <= len(self.distortion) <= most:
            needed = f"{most}" if least == most else f"{least} to {most}"
            raise ValueError(
                f"{self.distortion_model} needs {needed} coefficients, not {len(self.distortion)}"
            )
        return self

    @property
    def bends(self) -> bool:
        """Whether frames show straight lines as curves, by what is known of the lens."""
        return not self.rectified and self.distortion_model != "none"

    def undistorted(self, seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where a pinhole camera would see what the lens shows at (..., 2), both divided by the focal length;
        NaN where it could not."""
        return undistorted(seen, self.distortion_model, self.distortion) if self.bends else seen

    @property
    def matrix(self) -> NDArray[np.float64]:
        return np.array(self.K, dtype=np.float64)

    def network_matrix(self, box: Letterbox) -> NDArray[np.float64]:
        """The pinhole matrix in network pixels, for frames of any size with this camera's aspect."""
        resize = np.diag([box.source_width / self.width, box.source_height / self.height, 1.0])
        return box.intrinsics_to_network(resize @ self.matrix)

    @property
    def content_hash(self) -> str:
        """Hex SHA-256 of the document: what footage, datasets and results refer to it by.

        It is hashed under the first schema version, so that a camera keeps its hash when fields are added.
        """
        document = self.model_copy(update={"schema_version": _HASHED_VERSION}).model_dump_json(indent=2)
        return hashlib.sha256(f"{document}\n".encode()).hexdigest()


def calibration_beside(video: Path) -> Path | None:
    """``<stem>.calibration.json`` beside a video, where there is one."""
    path = video.with_name(f"{video.stem}.calibration.json")
    return path if is_there(path) else None
