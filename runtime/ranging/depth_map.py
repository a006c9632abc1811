"""Distance by the depth map: what is seen within a box.

The network gives canonical depth c: what the depth would be were the focal length ``canonical_focal_px``. The
camera's own depth along its optical axis is c · fx / canonical_focal_px with fx in network pixels, in metres
where the network learned metres.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Letterbox
from catseye.runtime.ranging.cue import Cue, Float
from catseye.runtime.ranging.errors import CueErrors

_GRID = 8
"""Samples a side within a box."""
_PART = np.array([np.linspace(0.25, 0.75, _GRID), np.linspace(0.45, 0.9, _GRID)])
"""The part of a box that is looked at, across and down: its middle, below the windows and above the road."""
_NORMAL_PER_MAD = 1.4826
_LEAST_PX = 4.0
"""Height below which a box counts as of that height."""


def depth_at(
    depth: NDArray[np.float32], boxes_xyxy: Float, box: Letterbox
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Depth of what fills each box, and its spread.

    Args:
        depth: (h, w) over the whole network frame.
        boxes_xyxy: (N, 4) in network pixels.

    Returns:
        Median and standard deviation, (N,) each, over a grid in the lower middle of the box, where the
        vehicle is and not the road behind it or a neighbour. The deviation is the robust one, by the median
        of absolute deviations.
    """
    low, high = boxes_xyxy[:, :2, None], boxes_xyxy[:, 2:, None]
    first, last, scale = _frame(box, depth.shape)
    at = (high - low) * _PART
    at += low
    # Within the picture's border all are within the map.
    np.minimum(np.maximum(at, first, out=at), last, out=at)
    at *= scale
    cols, rows = at.astype(np.intp).transpose(1, 0, 2)
    samples = depth[rows[:, :, None], cols[:, None, :]].reshape(len(boxes_xyxy), _GRID * _GRID)
    middle = _median(samples)
    samples -= middle[:, None]
    deviation = _NORMAL_PER_MAD * _median(np.abs(samples, out=samples))
    return middle, deviation.astype(np.float32)


@lru_cache(maxsize=64)
def _frame(box: Letterbox, shape: tuple[int, ...]) -> tuple[Float, Float, Float]:
    """Of the picture in the network's frame the first and the last pixel, and of the map its pixels a pixel
    of that: (2, 1) each, across and down."""
    height, width = shape
    first = np.array([[box.left], [box.top]], dtype=np.float64)
    last = first + np.array([[box.scaled_width - 1], [box.scaled_height - 1]])
    return first, last, np.array([[width / box.width], [height / box.height]])


def by_depth(camera_depth: Float, spread: Float, heights_px: Float, *, errors: CueErrors) -> Cue:
    """Distance from camera depth (N,) in metres, its relative spread (N,) within boxes of such heights."""
    heights_px = np.maximum(heights_px, _LEAST_PX)
    variance = errors.depth**2 + (errors.depth_px / heights_px) ** 2 + spread**2
    return Cue.of(camera_depth * np.exp(errors.depth_near_px / heights_px), variance)


def _median(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each row of an even number of samples, which are sorted in place; a fraction of the time of
    ``np.median``."""
    samples.sort(axis=1)
    middle = samples.shape[1] // 2
    return np.asarray((samples[:, middle - 1] + samples[:, middle]) / 2)
