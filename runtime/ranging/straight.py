"""Boxes as a pinhole camera would see them, where a lens bends the picture."""

from __future__ import annotations

import numpy as np

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Letterbox
from catseye.runtime.ranging.cue import Float

_STEP_PX = 4
_MIDDLES = np.array(
    [
        [1, 0, 0.5, 0, 0, 0, 0.5, 0],
        [0, 0.5, 0, 1, 0, 0.5, 0, 0],
        [0, 0, 0.5, 0, 1, 0, 0.5, 0],
        [0, 0.5, 0, 0, 0, 0.5, 0, 1],
    ]
)
"""From a box to the middles (x, y) of its left, top, right and bottom edge."""
_OWN = np.array([[0], [1], [0], [1]])
"""Which of x and y an edge is."""


class Straightener:
    """Undoes a lens for boxes, by a table over the network's frame, worked out once.

    Between the table's points, ``_STEP_PX`` network pixels apart, it is linear, which is good to a few
    hundredths of a pixel.
    """

    def __init__(self, calibration: Calibration, box: Letterbox) -> None:
        K = calibration.network_matrix(box)
        focal, centre = np.array([K[0, 0], K[1, 1]]), K[:2, 2]
        u, v = (np.arange(0, size + _STEP_PX, _STEP_PX, dtype=np.float64) for size in (box.width, box.height))
        seen = np.stack(np.meshgrid(u, v), axis=-1)
        straight = calibration.undistorted((seen - centre) / focal) * focal + centre
        self._table = straight.reshape(-1, 2).T
        self._last = np.array([len(u) - 2, len(v) - 2])
        self._stride = np.array([1, len(u)])
        self._corners = np.array([0, 1, len(u), len(u) + 1])

    def __call__(self, boxes_xyxy: Float) -> Float:
        """Boxes (N, 4) in network pixels: each edge by its middle, NaN where no pinhole sees it."""
        at = (boxes_xyxy @ _MIDDLES).reshape(-1, 4, 2) / _STEP_PX
        cell = np.clip(at.astype(np.intp), 0, self._last)
        x, y = np.moveaxis(np.clip(at - cell, 0.0, 1.0), 2, 0)
        around = self._table[_OWN, (cell @ self._stride)[..., None] + self._corners]
        above, below = (around[..., k] + x * (around[..., k + 1] - around[..., k]) for k in (0, 2))
        return np.asarray(above + y * (below - above))
