"""What a stream's key frames say of its coding, since that may change while a camera films."""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
from av.video.stream import VideoStream

_RAW_FORMATS = {
    "h264": "h264",
    "hevc": "hevc",
    "mjpeg": "mjpeg",
    "mpeg2video": "mpegvideo",
    "mpeg4": "m4v",
    "av1": "obu",
    "libdav1d": "obu",
}

# Table 7-1 of ITU-T H.264 and of ITU-T H.265: sequence, picture and video parameter sets.
_H264_SETS = frozenset({7, 8})
_HEVC_SETS = frozenset({32, 33, 34})

_JPEG_START = b"\xff\xd8"
_JPEG_SCAN = 0xDA
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})


def parameters_in(codec: str, packet: bytes) -> bytes:
    """The part of a key frame that another size or profile changes; empty where it carries none.

    That is the parameter sets of an H.264 or HEVC byte stream (Annex B of either), and the frame header of a
    JPEG (ITU-T T.81, B.2.2). Packets with prefixed lengths have theirs outside the stream.
    """
    if codec == "h264":
        return b"".join(unit for unit in _annex_b(packet) if unit[0] & 0x1F in _H264_SETS)
    if codec == "hevc":
        return b"".join(unit for unit in _annex_b(packet) if unit[0] >> 1 & 0x3F in _HEVC_SETS)
    if codec == "mjpeg":
        return _jpeg_frame_header(packet)
    return b""


def template_from(codec: str, key_frame: bytes) -> VideoStream | None:
    """A stream described by a key frame alone, to copy packets by; None where it does not tell enough."""
    if codec not in _RAW_FORMATS:
        return None
    try:
        container = av.open(io.BytesIO(key_frame), format=_RAW_FORMATS[codec])
        stream: VideoStream = container.streams.video[0]
    except (av.FFmpegError, OSError, IndexError):
        return None
    return stream if stream.codec_context.width and stream.codec_context.height else None


def _annex_b(packet: bytes) -> Iterator[bytes]:
    """NAL units between start codes; the last, a slice, is left out."""
    if not packet.startswith((b"\0\0\1", b"\0\0\0\1")):
        return
    start = packet.find(b"\0\0\1") + 3
    while (end := packet.find(b"\0\0\1", start)) >= 0:
        if end > start:
            yield packet[start:end].rstrip(b"\0")
        start = end + 3


def _jpeg_frame_header(packet: bytes) -> bytes:
    at = len(_JPEG_START)
    while packet.startswith(_JPEG_START) and at + 4 <= len(packet) and packet[at] == 0xFF:
        kind, length = packet[at + 1], int.from_bytes(packet[at + 2 : at + 4], "big")
        if kind in _JPEG_FRAMES:
            return packet[at : at + 2 + length]
        if kind == _JPEG_SCAN:
            break
        at += 2 + length
    return b""
