"""From the picture that a decoder gives to the one that a player shows: whole frames, upright, square pixels.

Cameras state all three beside the coded picture, and whatever looks at a picture (a network, a person who
labels, a calibration) means the one that is shown. So sizes and boxes in "source pixels" are of that one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import av
import cv2
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from catseye.capture.geometry import Image, Planes
from catseye.capture.resampling import resize_plane

Turn = tuple[int, int, int, int]
"""a, b, c, d of -1, 0 and 1: pixel (x, y) is shown at (a·x + c·y, b·x + d·y), but for a shift."""

UPRIGHT: Turn = (1, 0, 0, 1)

_SQUARE_WITHIN = 0.01
_LARGEST_ASPECT = 4
_FLIP_CODES = {(True, False): 0, (False, True): 1, (True, True): -1}


class Deinterlacer:
    """Makes a whole frame of every interlaced one, at the same pts.

    FFmpeg's bwdif puts together the lines of a frame's first field and what the fields before and after say
    of the lines between. Frames that are not interlaced pass unchanged. Nothing is held back before the first
    interlaced frame, and one frame from then on.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._format: tuple[int, int, str] | None = None
        self._time_base = Fraction(1)

    def push(self, picture: VideoFrame) -> list[VideoFrame]:
        """Take a picture, in presentation order; returns those that are ready."""
        if self._graph is None and not picture.interlaced_frame:
            return [picture]
        ready: list[VideoFrame] = []
        shape = (picture.width, picture.height, picture.format.name)
        if shape != self._format:
            ready = self.flush()
            self._start(picture)
        assert self._graph is not None
        self._graph.push(picture)
        return [*ready, *self._pull()]

    def flush(self) -> list[VideoFrame]:
        """The pictures that were held back, at the end."""
        if self._graph is None:
            return []
        self._graph.push(None)
        ready = self._pull()
        self._graph = self._format = None
        return ready

    def _start(self, picture: VideoFrame) -> None:
        assert picture.time_base is not None
        self._time_base = picture.time_base
        self._format = (picture.width, picture.height, picture.format.name)
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base
        )
        weave = self._graph.add("bwdif", "mode=send_frame:deint=interlaced")
        sink = self._graph.add("buffersink")
        source.link_to(weave)
        weave.link_to(sink)
        self._graph.configure()

    def _pull(self) -> list[VideoFrame]:
        ready: list[VideoFrame] = []
        while True:
            try:
                assert self._graph is not None
                picture = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return ready
            assert isinstance(picture, VideoFrame)
            assert picture.pts is not None and picture.time_base is not None
            # The filter halves the time base, in case it is asked for a frame a field.
            picture.pts = int(picture.pts * picture.time_base / self._time_base)
            picture.time_base = self._time_base
            ready.append(picture)


def turn_of(picture: VideoFrame) -> Turn:
    """How a picture is to be turned by its display matrix; other angles than quarter turns count as none."""
    # A picture that keeps its side data is held by it in turn, and lives until the garbage is collected.
    side_data = cast(Any, SideDataContainer)(picture).get("DISPLAYMATRIX")
    if side_data is None:
        return UPRIGHT
    matrix = np.frombuffer(cast(Any, side_data), dtype=np.int32)[:9].reshape(3, 3)[:2, :2].astype(np.float64)
    a, b, c, d = (int(value) for value in np.rint(matrix / max(1.0, np.abs(matrix).max())).ravel())
    return (a, b, c, d) if abs(a * d - b * c) == 1 and a * c + b * d == 0 else UPRIGHT


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Width of a stream's pixels over their height; 1 where it is not stated, is nearly 1 or is absurd."""
    stated = stream.sample_aspect_ratio
    if not stated or not 1 / _LARGEST_ASPECT <= stated <= _LARGEST_ASPECT:
        return Fraction(1)
    return Fraction(1) if abs(stated - 1) <= _SQUARE_WITHIN else Fraction(stated)


def shown_size(width: int, height: int, turn: Turn, aspect: Fraction) -> tuple[int, int]:
    """Width and height that a coded picture is shown with."""
    wide = max(1, round(width * aspect))
    return (height, wide) if turn[1] else (wide, height)


def shown(planes: Planes, turn: Turn, aspect: Fraction) -> Planes:
    """Planes with square pixels (the width changes, the height stays), then turned."""
    if turn == UPRIGHT and aspect == 1:
        return planes
    wide = max(1, round(planes.width * aspect))
    y = resize_plane(planes.y, (wide, planes.height))
    u, v = (resize_plane(plane, ((wide + 1) // 2, plane.shape[0])) for plane in (planes.u, planes.v))
    y, u, v = (_turned(plane, turn) for plane in (y, u, v))
    return Planes(y=y, u=u, v=v, matrix=planes.matrix, full_range=planes.full_range)


def _turned(plane: Image, turn: Turn) -> Image:
    a, b, c, d = turn
    turned = cv2.transpose(plane) if b else plane
    flips = (b < 0, c < 0) if b else (d < 0, a < 0)
    if any(flips):
        turned = cv2.flip(turned, _FLIP_CODES[flips])
    return np.asarray(turned, dtype=np.uint8)
