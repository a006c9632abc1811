"""The planes of pictures that PyAV has decoded, with the colours that their stream states."""

from __future__ import annotations

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

from catseye.capture.geometry import ColorMatrix, Image, Planes

_PLANAR_420 = frozenset({"yuv420p", "yuvj420p"})
_AVCOL_RANGE_MPEG, _AVCOL_RANGE_JPEG = 1, 2
_AVCOL_SPC_709 = 1
_AVCOL_SPC_601 = frozenset({4, 5, 6, 7})  # FCC, BT.470BG, SMPTE 170M and 240M, by ITU-T H.273
_AVCOL_SPC_UNSPECIFIED = 2
_HD_HEIGHT = 720


def planes_of(picture: VideoFrame) -> Planes:
    """The planes of a picture as it was coded, whichever way it is to be shown.

    Planar and interleaved 4:2:0 of 8 bits are taken as they are, the former in the decoder's own memory; any
    other format is converted to that.
    """
    name = picture.format.name
    full_range = name.startswith("yuvj") or picture.color_range == _AVCOL_RANGE_JPEG
    matrix = _color_matrix(picture)
    if picture.format.is_rgb:
        picture = picture.reformat(
            format="yuv420p", dst_colorspace=_AVCOL_SPC_709, dst_color_range=_AVCOL_RANGE_MPEG
        )
        matrix, full_range = "bt709", False
    elif name == "nv12":
        luma, chroma = picture.planes
        u, v = cv2.split(_levels(chroma, samples=2).reshape(-1, chroma.width, 2))
        return Planes(
            y=_levels(luma),
            u=np.asarray(u, dtype=np.uint8),
            v=np.asarray(v, dtype=np.uint8),
            matrix=matrix,
            full_range=full_range,
        )
    elif name not in _PLANAR_420:
        # The full-range family stays in its family, so that no level is touched.
        picture = picture.reformat(format="yuvj420p" if name.startswith("yuvj") else "yuv420p")
    y, u, v = map(_levels, picture.planes)
    return Planes(y=y, u=u, v=v, matrix=matrix, full_range=full_range)


def _levels(plane: VideoPlane, *, samples: int = 1) -> Image:
    """A plane as (height, width · samples)."""
    rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : samples * plane.width]


def _color_matrix(picture: VideoFrame) -> ColorMatrix:
    """The matrix the stream states; where it states none, BT.709 from 720 lines on, as players assume."""
    space = int(picture.colorspace)
    if space == _AVCOL_SPC_UNSPECIFIED:
        return "bt709" if picture.height >= _HD_HEIGHT else "bt601"
    return "bt601" if space in _AVCOL_SPC_601 else "bt709"
