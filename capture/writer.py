"""Writing H.264 in MP4 through PyAV, with time stamps given frame by frame."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.frame import VideoFrame
from typing_extensions import Self

from catseye.capture.geometry import Image, Planes
from catseye.files import replacing


class VideoWriter:
    """An H.264 MP4 that takes its name only when it is complete; use as a context manager.

    Args:
        path: the file to make.
        width, height: even sizes in pixels.
        time_base: unit of the pts given to ``write``.
        gop: longest distance between key frames, in frames.
        crf: x264's constant rate factor, 0 lossless … 51.
        preset: x264's preset.
        b_frames: most B-frames in a row; 0 makes decoding order presentation order.

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
    ) -> None:
        if width <= 0 or height <= 0 or width % 2 or height % 2:
            raise ValueError(f"size {width}x{height}: H.264 4:2:0 takes positive even sizes")
        if gop < 1:
            raise ValueError(f"gop {gop}: must be at least 1")
        self.path = Path(path)
        self._options = {"crf": str(crf), "preset": preset, "bf": str(b_frames), "g": str(gop)}
        self._size = (width, height)
        self._time_base = time_base
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            aside = stack.enter_context(replacing(self.path))
            self._container = stack.enter_context(av.open(str(aside), mode="w"))
            stream = self._container.add_stream("libx264", options=self._options)
            stream.width, stream.height = self._size
            stream.pix_fmt = "yuv420p"
            stream.time_base = self._time_base
            stream.codec_context.time_base = self._time_base
            self._stream = stream
            self._cleanup = stack.pop_all()
        return self

    def write_rgb(self, rgb: Image, *, pts: int) -> None:
        """Encode an RGB picture (H, W, 3) uint8 at ``pts``."""
        self._encode(VideoFrame.from_ndarray(rgb, format="rgb24"), pts)

    def write_planes(self, planes: Planes, *, pts: int) -> None:
        """Encode a 4:2:0 picture of the file's size at ``pts``, its levels unchanged."""
        picture = VideoFrame(planes.width, planes.height, "yuv420p")
        for plane, content in zip(picture.planes, (planes.y, planes.u, planes.v), strict=True):
            padded = np.zeros((plane.height, plane.line_size), dtype=np.uint8)
            padded[:, : plane.width] = content
            plane.update(padded.tobytes())
        self._encode(picture, pts)

    def _encode(self, picture: VideoFrame, pts: int) -> None:
        picture.pts = pts
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
