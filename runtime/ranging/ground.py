"""Distance by where a vehicle stands: the bottom edge of its box on the road, taken for a plane.

With the optical axis ``pitch`` below the horizon, a ray through row v comes down by
cos(pitch) · (v − cy) / fy + sin(pitch) for each metre of depth, and meets the road after the camera's height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from catseye.runtime.ranging.cue import Cue, Float
from catseye.runtime.ranging.errors import CueErrors
from catseye.runtime.ranging.visibility import CutOff

_LEAST_SLOPE = 1e-4
_WORST = 0.7
"""Relative error above which the road says nothing: from there the horizon is too near."""


@dataclass(frozen=True)
class Mount:
    """Where a camera is: metres above the road, and radians of its axis below the horizon.

    An axis of which that is not known, None, is taken for level, and little trusted.
    """

    height_m: float
    pitch_rad: float | None

    def slope_down(self, rows_px: Float, K: Float) -> Float:
        """Metres that rays through rows (N,) come down for each metre of depth."""
        pitch = self.pitch_rad or 0.0
        return np.asarray(math.cos(pitch) * (rows_px - K[1, 2]) / K[1, 1] + math.sin(pitch))

    def pitch_variance(self, errors: CueErrors) -> float:
        """Of the mean pitch against what is taken for it, in square radians."""
        return (errors.unknown_mount_rad if self.pitch_rad is None else errors.mount_rad) ** 2

    def unseen(self, errors: CueErrors) -> Pitch:
        """The pitch of a camera of which nothing but the calibration is known."""
        return Pitch(0.0, self.pitch_variance(errors) + errors.nod_rad**2)


class Pitch(NamedTuple):
    """Radians to add to a mount's pitch in one frame, and their variance: for all boxes, or (N,) each."""

    off: Float | float
    variance: Float | float


@dataclass(frozen=True)
class Stand:
    """Where boxes stand in the picture, (N,) each.

    Args:
        down: metres that the ray to the bottom edge comes down for each metre of depth, by the mount's pitch.
        tall: height in network pixels, at least 1.
        edge: variance of ``down`` by that edge.
        lean: the same by a road that is tilted.
    """

    down: Float
    tall: Float
    edge: Float
    lean: Float

    @staticmethod
    def of(boxes_xyxy: Float, K: Float, mount: Mount, *, errors: CueErrors) -> Stand:
        """Of boxes (N, 4) in network pixels, by the pinhole matrix in the same."""
        left, top, right, bottom = boxes_xyxy.T
        tall = np.maximum(bottom - top, 1.0)
        lean = (errors.tilt / (2 * K[0, 0])) * (left + right - 2 * K[0, 2])
        edge = errors.edges.variance(tall) / K[1, 1] ** 2
        return Stand(mount.slope_down(bottom, K), tall, edge, lean**2)


def by_ground(
    stand: Stand, cut: CutOff, mount: Mount, pitch: Pitch, *, focal_px: float, errors: CueErrors
) -> tuple[Cue, Float]:
    """Distance of boxes from a camera of known height, and the covariance (N,) of its errors with those of
    ``by_size``: a bottom edge that is too low makes a box stand nearer and seem larger.

    A box of which the bottom is cut off says nothing: it would seem too far. Its covariance is 0.

    Args:
        focal_px: fy in network pixels.
    """
    down = stand.down + pitch.off
    # d log z = −d slope / slope, and a slope is height_m / z.
    reach = 1 / np.maximum(down, _LEAST_SLOPE)
    bend = (errors.bend * mount.height_m) ** 2 * reach**2
    variance = errors.ground**2 + (pitch.variance + stand.edge + stand.lean + bend) * reach**2
    said = (down > _LEAST_SLOPE) & ~cut.bottom & (variance < _WORST**2)
    common = np.where(said, focal_px * stand.edge * reach / stand.tall, 0.0)
    return Cue.of(mount.height_m * reach, np.where(said, variance, np.inf)), common
