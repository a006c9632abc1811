"""How far away a tracked vehicle is, from the depth map and the camera's calibration.

The network gives canonical depth c: what the depth would be were the focal length ``canonical_focal_px``. The
camera's own depth along its optical axis is c · fx / canonical_focal_px with fx in network pixels. It is in
metres where the network learned metres. Where it did not, a camera of known height gives the scale: the road
ahead is taken for a plane, whose depth is known for every pixel below the horizon.

The camera is taken for a pinhole: lens distortion is not undone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Letterbox

Float = NDArray[np.float32]

_GRID = 8
"""Samples a side within a box."""
_ACROSS, _DOWN = (0.25, 0.75), (0.45, 0.9)
"""The part of a box that is looked at: its middle, below the windows and above the road."""

_LANE_HALF_WIDTH_M = 1.2
_NEAREST_M, _FARTHEST_M = 6.0, 25.0
_ENOUGH_ROAD = 24
_SCALE_SECONDS = 2.0
_NORMAL_PER_MAD = 1.4826


class DepthMeaning(Protocol):
    """The manifest's ``depth``."""

    @property
    def canonical_focal_px(self) -> float: ...
    @property
    def metric(self) -> bool: ...


@dataclass(frozen=True)
class Distances:
    """One row a box; NaN where unknown.

    Args:
        relative: (N,) canonical depth at the box, to compare within a stream.
        metres: (N,) along the optical axis.
        sigma_m: (N,) standard deviation in metres, of what varies within the box and of the scale. What the
            network gets wrong everywhere alike is not in it.
    """

    relative: Float
    metres: Float
    sigma_m: Float


class Ranger:
    """Distances of one stream. It remembers the scale of the road from frame to frame.

    Args:
        depth: what the depth output means, or None where none was learned: then all is unknown.
        calibration: of the camera, or None: then only relative distance is known.
        box: how the stream's frames lie in the network's.
    """

    def __init__(
        self, *, depth: DepthMeaning | None, calibration: Calibration | None, box: Letterbox
    ) -> None:
        self._depth, self._box = depth, box
        self._gain = math.nan
        self._road: _Road | None = None
        if depth is not None and calibration is not None:
            K = calibration.network_matrix(box)
            self._gain = float(K[0, 0]) / depth.canonical_focal_px
            if not depth.metric and calibration.height_m is not None:
                self._road = _Road(K, calibration.height_m, calibration.pitch_rad or 0.0, box)
        self._metric = depth is not None and depth.metric

    def measure(self, depth: Float | None, boxes_xyxy: Float, *, time_s: float) -> Distances:
        """Distances of boxes (N, 4) in network pixels, on a depth map (h, w) over the network's frame.

        Without a map, or where none was learned, all are unknown.
        """
        unknown = np.full(len(boxes_xyxy), np.nan, dtype=np.float32)
        if self._depth is None or depth is None:
            return Distances(unknown, unknown, unknown)
        relative, spread = depth_at(depth, boxes_xyxy, self._box)
        scale, scale_spread = (1.0, 0.0) if self._metric else (math.nan, 0.0)
        if self._road is not None:
            scale, scale_spread = self._road.scale(depth * self._gain, boxes_xyxy, time_s)
        metres = relative * np.float32(scale * self._gain)
        sigma = metres * np.hypot(spread / np.maximum(relative, 1e-6), np.float32(scale_spread))
        return Distances(relative, metres, sigma.astype(np.float32))


def depth_at(depth: Float, boxes_xyxy: Float, box: Letterbox) -> tuple[Float, Float]:
    """Depth of what fills each box, and its spread.

    Args:
        depth: (h, w) over the whole network frame.
        boxes_xyxy: (N, 4) in network pixels.

    Returns:
        Median and standard deviation, (N,) each, over a grid in the lower middle of the box, where the
        vehicle is and not the road behind it or a neighbour. The deviation is the robust one, by the median
        of absolute deviations.
    """
    limit = (box.left, box.top, box.left + box.scaled_width, box.top + box.scaled_height)
    x = _within(boxes_xyxy[:, 0], boxes_xyxy[:, 2], _ACROSS, limit[0], limit[2])
    y = _within(boxes_xyxy[:, 1], boxes_xyxy[:, 3], _DOWN, limit[1], limit[3])
    height, width = depth.shape
    cols = np.clip((x * (width / box.width)).astype(np.intp), 0, width - 1)
    rows = np.clip((y * (height / box.height)).astype(np.intp), 0, height - 1)
    samples = depth[rows[:, :, None], cols[:, None, :]].reshape(len(boxes_xyxy), _GRID * _GRID)
    middle = np.median(samples, axis=1)
    deviation = _NORMAL_PER_MAD * np.median(np.abs(samples - middle[:, None]), axis=1)
    return middle.astype(np.float32), deviation.astype(np.float32)


def _within(low: Float, high: Float, part: tuple[float, float], first: int, last: int) -> Float:
    """Coordinates (N, _GRID) spread over a part of the spans from ``low`` to ``high``."""
    share = np.linspace(*part, _GRID, dtype=np.float32)
    return np.clip(low[:, None] + (high - low)[:, None] * share, first, last - 1)


class _Road:
    """Scale of depth by the road plane ahead of a camera of known height and pitch."""

    def __init__(self, K: NDArray[np.float64], height_m: float, pitch_rad: float, box: Letterbox) -> None:
        self._K, self._box = K, box
        self._height_m, self._pitch_rad = height_m, pitch_rad
        self._log_scale, self._log_spread, self._time_s = math.nan, 0.0, math.nan

    def scale(self, depth: Float, boxes_xyxy: Float, time_s: float) -> tuple[float, float]:
        """Metres a unit of ``depth``, and the share by which pixels of the road differ on it.

        Smoothed over time; NaN until a road has been seen.
        """
        flat = self._flat_depth(depth.shape)
        flat[self._covered(boxes_xyxy, depth.shape)] = np.nan
        known = np.isfinite(flat) & (depth > 0)
        if np.count_nonzero(known) >= _ENOUGH_ROAD:
            logs = np.log(flat[known] / depth[known])
            middle = float(np.median(logs))
            spread = _NORMAL_PER_MAD * float(np.median(np.abs(logs - middle)))
            keep = math.exp(-(time_s - self._time_s) / _SCALE_SECONDS) if math.isfinite(self._time_s) else 0.0
            self._log_scale = middle if keep == 0 else keep * self._log_scale + (1 - keep) * middle
            self._log_spread = keep * self._log_spread + (1 - keep) * spread
            self._time_s = time_s
        return math.exp(self._log_scale), self._log_spread

    def _flat_depth(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Depth in metres (h, w) of a flat road in the lane ahead, NaN off it.

        A pixel's ray is ((u - cx) / fx, (v - cy) / fy, 1); with the axis ``pitch`` below the horizon it comes
        down by cos(pitch) · (v - cy) / fy + sin(pitch) for each metre of depth, and meets the road after the
        camera's height.
        """
        height, width = shape
        u = (np.arange(width) + 0.5) * (self._box.width / width)
        v = (np.arange(height) + 0.5) * (self._box.height / height)
        K = self._K
        down = math.cos(self._pitch_rad) * (v - K[1, 2]) / K[1, 1] + math.sin(self._pitch_rad)
        z = self._height_m / np.where(down > 0, down, np.nan)
        x = z[:, None] * (u - K[0, 2]) / K[0, 0]
        inside = (v >= self._box.top) & (v < self._box.top + self._box.scaled_height)
        ahead = inside & (z >= _NEAREST_M) & (z <= _FARTHEST_M)
        lane = ahead[:, None] & (np.abs(x) <= _LANE_HALF_WIDTH_M)
        return np.where(lane, z[:, None], np.nan)

    def _covered(self, boxes_xyxy: Float, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which depth pixels (h, w) lie in a box."""
        height, width = shape
        u = (np.arange(width) + 0.5) * (self._box.width / width)
        v = (np.arange(height) + 0.5) * (self._box.height / height)
        across = (u >= boxes_xyxy[:, :1]) & (u < boxes_xyxy[:, 2:3])
        down = (v >= boxes_xyxy[:, 1:2]) & (v < boxes_xyxy[:, 3:4])
        return np.asarray((down[:, :, None] & across[:, None, :]).any(axis=0))
