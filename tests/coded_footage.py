"""Small videos as cameras of all kinds store them: containers, codecs, turns and pixel formats."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.codec import codecs_available
from av.video.frame import VideoFrame

from catseye.capture.geometry import Image

WIDTH, HEIGHT, COUNT, FPS = 192, 128, 30, 25
AV1 = "libsvtav1" if "libsvtav1" in codecs_available else "libaom-av1"
"""PyAV has carried one or the other."""

CODECS: dict[str, dict[str, str]] = {
    "libx264": {"crf": "10", "preset": "ultrafast"},
    "libx265": {"x265-params": "crf=10:log-level=error:pools=1", "preset": "ultrafast"},
    AV1: {"crf": "15", "preset": "12", "svtav1-params": "lp=1"}
    if AV1 == "libsvtav1"
    else {"crf": "15", "cpu-used": "8", "usage": "realtime"},
    "mpeg2video": {"qmin": "2", "qmax": "3"},
    "mjpeg": {"qmin": "2", "qmax": "3"},
}
CONTAINERS = ("mp4", "mkv", "avi", "ts", "mov")
NOT_STORED = {
    *(("avi", codec) for codec in ("libx265", AV1)),
    *(("ts", codec) for codec in (AV1, "mjpeg")),
    ("mov", AV1),
}
"""What the containers have no standard way for."""

ONE, UNIT = 1 << 16, 1 << 30
TURNS: dict[str, tuple[tuple[int, ...], Callable[[Image], Image]]] = {
    "90": ((0, ONE, 0, -ONE, 0, 0, 0, 0, UNIT), lambda rgb: np.rot90(rgb, -1)),
    "180": ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, UNIT), lambda rgb: np.rot90(rgb, 2)),
    "270": ((0, -ONE, 0, ONE, 0, 0, 0, 0, UNIT), lambda rgb: np.rot90(rgb, 1)),
    "mirrored": ((-ONE, 0, 0, 0, ONE, 0, 0, 0, UNIT), lambda rgb: rgb[:, ::-1]),
    "none": ((46341, 46341, 0, -46341, 46341, 0, 0, 0, UNIT), lambda rgb: rgb),
}
"""Matrices of an MP4 track header and what they do to a picture; 45 degrees cannot be done."""


def scene(number: int) -> Image:
    """A smooth coloured picture that moves two pixels a frame, (HEIGHT, WIDTH, 3) uint8."""
    coarse = np.random.default_rng(5).integers(30, 220, (HEIGHT // 16, WIDTH // 8, 3)).astype(np.uint8)
    wide = cv2.resize(coarse, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.asarray(wide[:, 2 * number : 2 * number + WIDTH], dtype=np.uint8)


def encode(
    path: Path,
    codec: str,
    pictures: list[Image],
    *,
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    pts: list[int] | None = None,
    aspect: Fraction | None = None,
    prepare: Callable[[Any], None] = lambda context: None,
) -> Path:
    """Encode RGB pictures; without ``pts`` at 25 frames a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options={**CODECS[codec], **(options or {})})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixel_format
        if pts is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        prepare(stream.codec_context)
        for number, rgb in enumerate(pictures):
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            full = 2 if pixel_format.startswith("yuvj") else 1
            picture = picture.reformat(format=pixel_format, dst_colorspace=5, dst_color_range=full)
            picture.pts = number if pts is None else pts[number]
            picture.time_base = Fraction(1, FPS) if pts is None else Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    # SVT-AV1 gives a process of root's real-time priority, which would leave the others no core.
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return path


def turned(path: Path, matrix: tuple[int, ...]) -> Path:
    """Write a matrix into the track header of an MP4 (ISO/IEC 14496-12, 8.3.2)."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    return path


def begin_later(path: Path, by: int) -> Path:
    """Let an MP4's edit list begin ``by`` ticks later in its media (ISO/IEC 14496-12, 8.6.6)."""
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") + 4
    assert content[at] == 0 and struct.unpack_from(">I", content, at + 4) == (1,)
    (media_time,) = struct.unpack_from(">i", content, at + 12)
    struct.pack_into(">i", content, at + 12, media_time + by)
    path.write_bytes(content)
    return path


def interlaced(context: Any) -> None:
    """Let an encoder code fields."""
    context.flags |= 0x40000 | 0x20000000  # AV_CODEC_FLAG_INTERLACED_DCT and _ME
