"""Writing H.264 in MP4 through PyAV, with time stamps given frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from typing_extensions import Self

from catseye.capture.geometry import ColorMatrix, Image, Planes
from catseye.files import replacing

_COLORSPACE: dict[ColorMatrix, int] = {"bt709": 1, "bt601": 5}
_LIMITED_RANGE, _FULL_RANGE = 1, 2


class VideoWriter:
    """An H.264 MP4 that takes its name only when it is complete; use as a context manager.

    Args:
        path: the file to make.
        width, height: even sizes in pixels.
        time_base: unit of the pts given to ``write``.
        gop: distance between key frames, in frames; there are no others but those asked for.
        crf: x264's constant rate factor, 0 lossless … 51.
        preset: x264's preset.
        b_frames: most B-frames in a row; 0 makes decoding order presentation order.
        matrix, full_range: what the levels mean; stated in the file, so that a reader gets the same colours.
        threads: encoder threads; 0 lets x264 choose, 1 gives the same bytes on every machine.
        x264: more options of FFmpeg's libx264, by name.

    Raises:
        ValueError: a size is odd or not positive, or ``gop`` is not positive.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        width: int,
        height: int,
        time_base: Fraction,
        gop: int = 250,
        crf: float = 23,
        preset: str = "veryfast",
        b_frames: int = 0,
        matrix: ColorMatrix = "bt709",
        full_range: bool = False,
        threads: int = 0,
        x264: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if width <= 0 or height <= 0 or width % 2 or height % 2:
            raise ValueError(f"size {width}x{height}: H.264 4:2:0 takes positive even sizes")
        if gop < 1:
            raise ValueError(f"gop {gop}: must be at least 1")
        self.path = Path(path)
        self._options = {
            "crf": str(crf),
            "preset": preset,
            "bf": str(b_frames),
            "g": str(gop),
            "sc_threshold": "0",
            # Macroblock-tree rate control now and then gives other bytes for the same pictures, and gives
            # frames early in a group more quality, by which a network could tell their order.
            "mbtree": "0",
            "threads": str(threads),
            **x264,
        }
        self._matrix, self._full_range = matrix, full_range
        self._size = (width, height)
        self._time_base = time_base
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            aside = stack.enter_context(replacing(self.path))
            # The explicit protocol allows names with a colon, as in a UTC time.
            self._container = stack.enter_context(av.open(f"file:{aside}", mode="w"))
            stream = self._container.add_stream("libx264", options=self._options)
            stream.width, stream.height = self._size
            stream.pix_fmt = "yuv420p"
            stream.time_base = self._time_base
            stream.codec_context.time_base = self._time_base
            stream.codec_context.colorspace = _COLORSPACE[self._matrix]
            stream.codec_context.color_range = self._range
            self._stream = stream
            self._cleanup = stack.pop_all()
        return self

    def write_rgb(self, rgb: Image, *, pts: int) -> None:
        """Encode an RGB picture (H, W, 3) uint8 at ``pts``."""
        picture = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=_COLORSPACE[self._matrix], dst_color_range=self._range
        )
        self._encode(picture, pts, key=False)

    def write_planes(self, planes: Planes, *, pts: int, key: bool = False) -> None:
        """Encode a 4:2:0 picture of the file's size at ``pts``, its levels unchanged.

        Args:
            planes: levels in the file's matrix and range.
            key: make it a key frame, whatever ``gop`` says.

        Raises:
            ValueError: the picture has another size, matrix or range than the file.
        """
        found = (planes.width, planes.height, planes.matrix, planes.full_range)
        expected = (*self._size, self._matrix, self._full_range)
        if found != expected:
            raise ValueError(
                f"picture {found} does not fit a file of {expected}: width, height, matrix, range"
            )
        picture = VideoFrame(planes.width, planes.height, "yuv420p")
        for plane, content in zip(picture.planes, (planes.y, planes.u, planes.v), strict=True):
            rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(plane.height, plane.line_size)
            rows[:, : plane.width] = content
            rows[:, plane.width :] = 0
        self._encode(picture, pts, key=key)

    @property
    def _range(self) -> int:
        return _FULL_RANGE if self._full_range else _LIMITED_RANGE

    def _encode(self, picture: VideoFrame, pts: int, *, key: bool) -> None:
        picture.pts = pts
        picture.pict_type = PictureType.I if key else PictureType.NONE
        picture.time_base = self._time_base
        self._container.mux(self._stream.encode(picture))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._cleanup:
            if error is None:
                self._container.mux(self._stream.encode(None))
            else:
                self._cleanup.__exit__(kind, error, trace)
