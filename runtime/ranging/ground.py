"""Distance by where a vehicle stands: the bottom edge of its box on the road, taken for a plane.

With the optical axis ``pitch`` below the horizon, a ray through row v comes down by
cos(pitch) · (v − cy) / fy + sin(pitch) for each metre of depth, and meets the road after the camera's height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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

    def nod(self, errors: CueErrors) -> float:
        """Standard deviation of the pitch against what is taken for it, in radians."""
        return errors.unknown_pitch_rad if self.pitch_rad is None else errors.pitch_rad


def by_ground(boxes_xyxy: Float, cut: CutOff, K: Float, mount: Mount, *, errors: CueErrors) -> Cue:
    """Distance of boxes (N, 4) in network pixels from a camera of known height.

    A box of which the bottom is cut off says nothing: it would seem too far.

    Args:
        K: pinhole matrix in network pixels.
    """
    down = mount.slope_down(boxes_xyxy[:, 3], K)
    metres = mount.height_m / np.maximum(down, _LEAST_SLOPE)
    edge = errors.edges.variance(boxes_xyxy[:, 3] - boxes_xyxy[:, 1])
    # d log z = −d slope / slope, and a slope is height_m / z.
    slope_variance = mount.nod(errors) ** 2 + edge / K[1, 1] ** 2
    variance = errors.ground**2 + slope_variance * (metres / mount.height_m) ** 2
    said = (down > _LEAST_SLOPE) & ~cut.bottom & (variance < _WORST**2)
    return Cue.of(metres, np.where(said, variance, np.inf))


def common_with_size(boxes_xyxy: Float, ground: Cue, K: Float, mount: Mount, *, errors: CueErrors) -> Float:
    """Covariance (N,) of the errors of ``ground`` with those of ``by_size``: a bottom edge that is too low
    makes a box stand nearer and seem larger. 0 where the road says nothing."""
    tall = boxes_xyxy[:, 3] - boxes_xyxy[:, 1]
    reach = np.exp(ground.log_m) / (mount.height_m * K[1, 1])
    common = errors.edges.variance(tall) * reach / np.maximum(tall, 1.0)
    return np.where(np.isfinite(common), common, 0.0)
