"""Metres a unit of depth, where depth was learned without speed: by the road, or by known sizes.

A camera of known height sees the road ahead, a plane whose depth is known for every pixel below the horizon.
Without a known height, what is of known size gives the scale. Both are smoothed over seconds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Letterbox
from catseye.runtime.ranging.cue import Cue, Float
from catseye.runtime.ranging.errors import CueErrors
from catseye.runtime.ranging.ground import Mount

_LANE_HALF_WIDTH_M = 1.2
_NEAREST_M, _FARTHEST_M = 6.0, 25.0
_ENOUGH_ROAD = 24
_SCALE_SECONDS = 2.0
_NORMAL_PER_MAD = 1.4826


class Told(NamedTuple):
    """What one frame says of the scale: its natural logarithm, and the variance of that."""

    log: float
    variance: float


class Scale:
    """The scale of one stream, smoothed. It is NaN until it has been seen."""

    def __init__(self) -> None:
        self._log, self._variance, self._time_s = math.nan, 0.0, math.nan

    @property
    def metres(self) -> float:
        """A unit of depth."""
        return math.exp(self._log)

    @property
    def variance(self) -> float:
        """Of the logarithm of the scale."""
        return self._variance

    def see(self, *told: Told | None, time_s: float) -> None:
        """Take what one frame says, each by its inverse variance."""
        known = [each for each in told if each is not None]
        if not known:
            return
        weights = [1 / each.variance for each in known]
        variance = 1 / sum(weights)
        log_scale = variance * sum(w * each.log for w, each in zip(weights, known, strict=True))
        keep = math.exp(-(time_s - self._time_s) / _SCALE_SECONDS) if math.isfinite(self._time_s) else 0.0
        self._log = log_scale if keep == 0 else keep * self._log + (1 - keep) * log_scale
        self._variance = keep * self._variance + (1 - keep) * variance
        self._time_s = time_s


def scale_by_sizes(depth: Cue, size: Cue) -> Told | None:
    """Scale of depth in any unit, by boxes of known size; None where there is none.

    All sizes may be off the same way, so that many boxes tell no more than the best of them.
    """
    known = np.isfinite(size.log_m) & np.isfinite(depth.log_m)
    if not known.any():
        return None
    logs = size.log_m[known] - depth.log_m[known]
    spreads = size.variance[known] + depth.variance[known]
    order = np.argsort(logs)
    reached = np.cumsum(1 / spreads[order])
    middle = logs[order][np.searchsorted(reached, reached[-1] / 2)]
    return Told(float(middle), float(1 / reached[-1] + size.variance[known].min()))


class Road:
    """The road plane ahead of a camera of known height, as the network sees it.

    Args:
        K: pinhole matrix in network pixels.
        shape: (h, w) of the depth map over the network's frame.
    """

    def __init__(
        self,
        K: Float,
        mount: Mount,
        *,
        box: Letterbox,
        shape: tuple[int, int],
        errors: CueErrors,
    ) -> None:
        height, width = shape
        self._u = (np.arange(width, dtype=np.float64) + 0.5) * (box.width / width)
        self._v = (np.arange(height, dtype=np.float64) + 0.5) * (box.height / height)
        down = mount.slope_down(self._v, K)
        z = mount.height_m / np.where(down > 0, down, np.nan)
        x = z[:, None] * (self._u - K[0, 2]) / K[0, 0]
        inside = (self._v >= box.top) & (self._v < box.top + box.scaled_height)
        ahead = inside & (z >= _NEAREST_M) & (z <= _FARTHEST_M)
        lane = ahead[:, None] & (np.abs(x) <= _LANE_HALF_WIDTH_M)
        self._flat = np.where(lane, z[:, None], np.nan)
        middle = float(np.nanmedian(self._flat)) if lane.any() else _FARTHEST_M
        slope_variance = mount.unseen(errors).variance + (errors.bend * middle) ** 2
        self._nod = math.sqrt(slope_variance) * middle / mount.height_m

    def scale(self, camera_depth: NDArray[np.floating], boxes_xyxy: Float) -> Told | None:
        """Logarithm of metres a unit of ``camera_depth`` (h, w), and its variance: of the road's pixels, and
        of the camera's nodding.

        None where boxes (N, 4) in network pixels leave too little road to see.
        """
        seen = np.isfinite(self._flat) & (camera_depth > 0) & ~self._covered(boxes_xyxy)
        if np.count_nonzero(seen) < _ENOUGH_ROAD:
            return None
        logs = np.log(self._flat[seen] / camera_depth[seen])
        middle = float(np.median(logs))
        spread = _NORMAL_PER_MAD * float(np.median(np.abs(logs - middle)))
        return Told(middle, spread**2 + self._nod**2)

    def _covered(self, boxes_xyxy: Float) -> NDArray[np.bool_]:
        """Which depth pixels (h, w) lie in a box."""
        across = (self._u >= boxes_xyxy[:, :1]) & (self._u < boxes_xyxy[:, 2:3])
        down = (self._v >= boxes_xyxy[:, 1:2]) & (self._v < boxes_xyxy[:, 3:4])
        return np.asarray((down[:, :, None] & across[:, None, :]).any(axis=0))
