"""GStreamer's caps and buffers as pictures: their size as shown, their colour, and their planes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from catseye.capture.display import UPRIGHT, shown_size
from catseye.capture.geometry import ColorMatrix, Planes, nv12_planes
from catseye.runtime.sources.gstreamer_library import load_gstreamer

_HD_HEIGHT = 720


@dataclass(frozen=True)
class Picture:
    """What caps say of a stream's pictures.

    Args:
        width, height: as shown, with square pixels.
        matrix, full_range: of the planes; None where they are RGB.
    """

    width: int
    height: int
    matrix: ColorMatrix | None
    full_range: bool

    @classmethod
    def of(cls, caps: Any) -> Picture:
        """Read caps of raw video. What they leave open is taken as ``capture.sources`` takes it for files."""
        video = load_gstreamer().GstVideo
        info = video.VideoInfo.new_from_caps(caps)
        width, height = shown_size(info.width, info.height, UPRIGHT, Fraction(info.par_n, info.par_d))
        told, matrices = info.colorimetry.matrix, video.VideoColorMatrix
        matrix: ColorMatrix | None = "bt709" if info.height >= _HD_HEIGHT else "bt601"
        if told == matrices.RGB:
            matrix = None
        elif caps.get_structure(0).has_field("colorimetry"):
            matrix = "bt601" if told == matrices.BT601 else "bt709"
        return cls(
            width=width,
            height=height,
            matrix=matrix,
            full_range=info.colorimetry.range == getattr(video.VideoColorRange, "0_255"),
        )


def planes_of(sample: Any, source: Picture) -> Planes:
    """The planes of an NV12 sample that was scaled from pictures of ``source``.

    Its memory is copied once, and then free for the decoder to use again.
    """
    library = load_gstreamer()
    buffer = sample.get_buffer()
    info = library.GstVideo.VideoInfo.new_from_caps(sample.get_caps())
    layout = library.GstVideo.buffer_get_video_meta(buffer) or info
    offsets, strides = layout.offset[:2], layout.stride[:2]
    mapped, memory = buffer.map(library.Gst.MapFlags.READ)
    if not mapped:
        raise MemoryError("a frame's memory cannot be mapped")
    try:
        # Without GStreamer's own Python overrides ``data`` is a copy already, as bytes.
        data = bytes(memory.data)
    finally:
        buffer.unmap(memory)
    flat = np.frombuffer(data, dtype=np.uint8)
    y, chroma = (
        np.lib.stride_tricks.as_strided(flat[offset:], (rows, wide), (stride, 1), writeable=False)
        for offset, stride, rows, wide in zip(
            offsets,
            strides,
            (info.height, -(-info.height // 2)),
            (info.width, info.width + info.width % 2),
            strict=True,
        )
    )
    # Scalers leave colour as it is; what was RGB has got one.
    colour = source if source.matrix is not None else Picture.of(sample.get_caps())
    return nv12_planes(
        y,
        chroma.reshape(len(chroma), -1, 2),
        matrix=colour.matrix or "bt709",
        full_range=colour.full_range,
    )
