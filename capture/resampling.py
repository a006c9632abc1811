"""Planes and pictures at other sizes, in whole numbers, so that x86 and ARM see the same bytes.

Areas count as ``area_weights`` says, rounded half up; what is doubled bilinearly counts in sixteenths,
rounded half up. OpenCV's own area filter and INTER_LINEAR are not used, since they differ between machines.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture import area_products
from catseye.capture.compiled import COMPILED

Plane = NDArray[np.uint8]


def resize_plane(plane: Plane, size: tuple[int, int]) -> Plane:
    """Resize a plane or picture to (width, height): by area where it shrinks, bilinearly otherwise.

    What goes down to a quarter or less, or to half exactly, is halved first, each level rounded half up, for
    as long as it does and both sides are even: halving takes a fraction of the time of other ratios. Every
    way gives the same bytes on every machine.
    """
    plane = _halved(plane, size)
    source = (plane.shape[1], plane.shape[0])
    if source == size:
        return plane
    if _is_third(source, size):
        # Of nine pixels no mean lies halfway between two levels.
        return np.ascontiguousarray(cv2.blur(plane, (3, 3), anchor=(0, 0))[::3, ::3])
    if size[0] > source[0] or size[1] > source[1]:
        return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR_EXACT), dtype=np.uint8)
    if plane.ndim == 3:
        channels = [_by_area(plane[..., at], size) for at in range(plane.shape[2])]
        return np.asarray(cv2.merge(channels), dtype=np.uint8)
    return _by_area(plane, size)


def resize_frame(y: Plane, u: Plane, v: Plane, made: Plane) -> None:
    """Resize the planes of a 4:2:0 frame one by one, as ``resize_plane`` does, and double the chroma.

    Args:
        y, u, v: (H, W) and twice (ceil(H/2), ceil(W/2)), uint8.
        made: (height, width, 3) uint8, of even sizes, to write Y, Cb and Cr into.
    """
    size, half = (made.shape[1], made.shape[0]), (made.shape[1] // 2, made.shape[0] // 2)
    y, u, v = _halved(y, size), _halved(u, half), _halved(v, half)
    if COMPILED is not None and _is_by_area(y, size) and _is_by_area(u, half):
        COMPILED.resize_frame(y, u, v, made)
        return
    chroma = (double_plane(resize_plane(plane, half)) for plane in (u, v))
    made[:] = cv2.merge((resize_plane(y, size), *chroma))


def double_plane(plane: Plane) -> Plane:
    """A plane (H, W) uint8 at (2H, 2W), bilinearly, with the centres of pixels kept."""
    if COMPILED is not None:
        return COMPILED.double_plane(plane)
    size = (2 * plane.shape[1], 2 * plane.shape[0])
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR_EXACT), dtype=np.uint8)


_by_area = area_products.resize_by_area if COMPILED is None else COMPILED.resize_by_area


def _halved(plane: Plane, size: tuple[int, int]) -> Plane:
    """Halved as often as is sooner, see ``resize_plane``."""
    height, width = plane.shape[:2]
    while width % 2 == height % 2 == 0 and (
        (width >= 4 * size[0] and height >= 4 * size[1]) or (width, height) == (2 * size[0], 2 * size[1])
    ):
        width, height = width // 2, height // 2
        plane = np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return plane


def _is_third(source: tuple[int, int], size: tuple[int, int]) -> bool:
    return source == (3 * size[0], 3 * size[1])


def _is_by_area(plane: Plane, size: tuple[int, int]) -> bool:
    """Whether a plane that needs no halving shrinks, and neither to itself nor to a third."""
    source = (plane.shape[1], plane.shape[0])
    shrinks = size[0] <= source[0] and size[1] <= source[1]
    return shrinks and source != size and not _is_third(source, size)
