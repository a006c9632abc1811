"""What ``resampling.c`` does, where installation found a compiler: the same bytes, sooner."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catseye.capture.area_weights import area_weights

_VERSION = 2
"""Of what is between this file and ``resampling.c``: a library that was compiled from another is not used."""


class _Axis(ctypes.Structure):
    """``Axis`` of ``resampling.c``."""

    _fields_ = (
        ("first", ctypes.c_void_p),
        ("pairs", ctypes.c_void_p),
        ("source", ctypes.c_int32),
        ("target", ctypes.c_int32),
        ("pairs_each", ctypes.c_int32),
        ("parts", ctypes.c_int32),
    )


class _Axes(NamedTuple):
    """Rows and columns, and the arrays that they point to."""

    both: ctypes.Array[_Axis]
    kept: list[NDArray[Any]]


class _Plane(ctypes.Structure):
    """``Plane`` of ``resampling.c``."""

    _fields_ = (("pixels", ctypes.c_void_p), ("stride", ctypes.c_ssize_t))


class Compiled:
    """The library. Its calls let other threads go on.

    Args:
        path: of the shared object.

    Raises:
        OSError: it is not there, is of another machine, or was compiled from another source.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        try:
            version = int(library.resampling_version())
        except AttributeError:
            version = 0
        if version != _VERSION:
            raise OSError(f"{path}: version {version} where {_VERSION} is asked for; install catseye anew")
        size, pointer, integer = ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_int32
        self._by_area = library.resize_by_area
        self._by_area.argtypes = (pointer, size, pointer, pointer, pointer)
        self._frame = library.resize_frame
        self._frame.argtypes = (pointer, pointer, pointer, pointer, size)
        self._double = library.double_plane
        self._double.argtypes = (pointer, size, integer, integer, pointer)

    def resize_by_area(self, plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """As ``area_products.resize_by_area``."""
        plane = _in_rows(plane)
        made = np.empty((size[1], size[0]), dtype=np.uint8)
        axes = _axes(plane.shape, made.shape).both
        rows, columns = ctypes.byref(axes), ctypes.byref(axes, ctypes.sizeof(_Axis))
        _check(self._by_area(plane.ctypes.data, plane.strides[0], rows, columns, made.ctypes.data))
        return made

    def double_plane(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A plane (H, W) uint8 at (2H, 2W), bilinearly, in sixteenths rounded half up."""
        plane = _in_rows(plane)
        height, width = plane.shape
        made = np.empty((2 * height, 2 * width), dtype=np.uint8)
        _check(self._double(plane.ctypes.data, plane.strides[0], width, height, made.ctypes.data))
        return made

    def resize_frame(
        self, y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8], made: NDArray[np.uint8]
    ) -> None:
        """Resize the planes of a 4:2:0 frame by area, and double the chroma.

        Args:
            y, u, v: (H, W) and twice (ceil(H/2), ceil(W/2)), uint8.
            made: (height, width, 3) uint8 to write Y, Cb and Cr into, of even sizes, no larger than ``y``; it
                may be cut out of a larger picture.
        """
        y, u, v = _in_rows(y), _in_rows(u), _in_rows(v)
        planes = (_Plane * 3)(*[_Plane(plane.ctypes.data, plane.strides[0]) for plane in (y, u, v)])
        height, width = made.shape[:2]
        luma, chroma = _axes(y.shape, (height, width)), _axes(u.shape, (height // 2, width // 2))
        _check(self._frame(planes, luma.both, chroma.both, made.ctypes.data, made.strides[0]))


def _in_rows(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The plane with the pixels of a row beside each other."""
    return plane if plane.strides[1] == 1 else np.ascontiguousarray(plane)


def _check(short_of_memory: int) -> None:
    if short_of_memory:
        raise MemoryError("no room for the sums over a row of pixels")


@lru_cache(maxsize=64)
def _axes(source: tuple[int, int], target: tuple[int, int]) -> _Axes:
    kept: list[NDArray[Any]] = []
    both = (_Axis * 2)()
    for axis, old, new in zip(both, source, target, strict=True):
        areas = area_weights(old, new)
        first = (areas.counts > 0).argmax(axis=1).astype(np.int32)
        reach = old - (areas.counts[:, ::-1] > 0).argmax(axis=1) - first
        taps = -(-int(reach.max()) // 2) * 2
        padded = np.pad(areas.counts, ((0, 0), (0, taps))).astype(np.uint64)
        weights = np.take_along_axis(padded, first[:, None] + np.arange(taps), axis=1)
        pairs = np.ascontiguousarray(weights[:, 0::2] << np.uint64(32) | weights[:, 1::2])
        axis.first, axis.pairs = first.ctypes.data, pairs.ctypes.data
        axis.source, axis.target, axis.pairs_each, axis.parts = old, new, taps // 2, areas.parts
        kept += [first, pairs]
    return _Axes(both, kept)


def _load() -> Compiled | None:
    try:
        return Compiled(Path(__file__).with_name("_resampling.so"))
    except OSError:
        return None


COMPILED = _load()
"""None where there was no compiler."""
