"""Distances on the earth's surface."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of WGS 84, (2a + b) / 3."""


def great_circle_m(
    latitude_deg: tuple[Any, Any], longitude_deg: tuple[Any, Any]
) -> NDArray[np.floating[Any]]:
    """Metres between two places, or between each of two arrays of them, by the haversine formula; NaN where
    a coordinate is.

    Args:
        latitude_deg, longitude_deg: of the one and of the other.
    """
    one, other = (np.radians(latitude) for latitude in latitude_deg)
    half_north = np.sin((other - one) / 2) ** 2
    half_east = np.sin(np.radians(np.subtract(*longitude_deg)) / 2) ** 2
    haversine = half_north + np.cos(one) * np.cos(other) * half_east
    return np.asarray(2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(haversine, 0, 1))))
