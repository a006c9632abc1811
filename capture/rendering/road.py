"""The road's centre line and its coordinates.

The world is flat: x to the right, y down, z ahead at the start, metres, the road at y = 0. A place on the
road is ``s`` metres along the centre line and ``d`` metres to its right. The heading is the angle from z
towards x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEP_M = 0.5
_SHARPEST_RADIUS_M = 40.0
_WIDEST_HEADING = 0.6


@dataclass(frozen=True)
class Road:
    """A centre line sampled every ``_STEP_M`` from ``start`` on: arrays (N,).

    Args:
        heading: and its ``sine`` and ``cosine``.
        curvature: of a bend to the right, 1/m.
    """

    start: float
    x: Array
    z: Array
    heading: Array
    sine: Array
    cosine: Array
    curvature: Array

    def place(self, s: Array | float, d: Array | float) -> tuple[Array, Array, Array]:
        """Position x, z and heading of the road at (s, d)."""
        at = (np.asarray(s, np.float64) - self.start) / _STEP_M
        grid = np.arange(len(self.x))
        heading = np.interp(at, grid, self.heading)
        x = np.interp(at, grid, self.x) + d * np.cos(heading)
        z = np.interp(at, grid, self.z) - d * np.sin(heading)
        return x, z, heading

    def locate(self, x: Array, z: Array, *, near: Array) -> tuple[Array, Array]:
        """Road coordinates (s, d) of points of the plane, searched from ``near`` metres along the road."""
        last = len(self.x) - 1
        index = np.clip(np.rint((near - self.start) / _STEP_M).astype(np.int64), 0, last)
        for _ in range(3):
            along, _, stretch = self._from(index, x, z)
            index = np.clip(index + np.rint(along / stretch / _STEP_M).astype(np.int64), 0, last)
        along, across, stretch = self._from(index, x, z)
        return self.start + index * _STEP_M + along / stretch, across

    def _from(self, index: NDArray[np.int64], x: Array, z: Array) -> tuple[Array, Array, Array]:
        """Distances along and across from centre-line points, and how much longer a metre is out there."""
        sine, cosine = self.sine[index], self.cosine[index]
        ahead, aside = x - self.x[index], z - self.z[index]
        along, across = ahead * sine + aside * cosine, ahead * cosine - aside * sine
        return along, across, np.clip(1 - self.curvature[index] * across, 0.3, 3.0)


def draw_road(rng: np.random.Generator, *, start: float, end: float, bend: float) -> Road:
    """A road whose heading swings by several waves and never turns back on itself.

    Args:
        bend: 0 straight … 1 winding.
    """
    s = np.arange(start - 5, end + 5, _STEP_M)
    heading = np.zeros_like(s)
    for low, high, share in ((90, 160, 0.25), (160, 320, 0.45), (320, 700, 0.3)):
        wave = rng.uniform(low, high)
        steepest = bend * share / _SHARPEST_RADIUS_M * rng.uniform(0.5, 1.0)
        swing = min(steepest * wave / (2 * np.pi), share * _WIDEST_HEADING)
        phase = rng.uniform(0, 2 * np.pi)
        heading += swing * np.sin(2 * np.pi * s / wave + phase)
    heading -= np.interp(0.0, s, heading)
    curvature = np.gradient(heading, _STEP_M)
    x = np.concatenate([[0], np.cumsum(np.sin((heading[1:] + heading[:-1]) / 2))]) * _STEP_M
    z = np.concatenate([[0], np.cumsum(np.cos((heading[1:] + heading[:-1]) / 2))]) * _STEP_M
    x, z = x - np.interp(0.0, s, x), z - np.interp(0.0, s, z)
    return Road(float(s[0]), x, z, heading, np.sin(heading), np.cos(heading), curvature)
