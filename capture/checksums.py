"""Checksums that tell whether a shard still holds what was written.

A decoder often takes flipped bits without a word, and gives another picture. So the manifest has one CRC-32
(ISO 3309, as in zlib) for each frame: of the decoder's configuration, then of the packets of its group that
others refer to, in decoding order from the key frame's on, and last of its own. That is all that a picture
can depend on, and nothing of it can be lost, swapped or repeated without changing the sum. What nothing
refers to is in no other sum, so that a reader may pass over it unread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

from av.packet import Packet
from av.video.stream import VideoStream

from catseye.capture.sources import open_container

_SLICE = 1
"""nal_unit_type of a slice of a picture that is not an IDR picture, which is no key frame."""


class Checksums:
    """The checksums of frames by pts, as their packets come in decoding order.

    A packet that seems to be a key frame's begins a group. Of frames that share a pts there is none: which of
    them a decoder gives cannot be told.

    Args:
        stream: whose packets they are.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._configuration = crc32(stream.codec_context.extradata or b"")
        self._sum = 0
        self.found: dict[int | None, int | None] = {}

    def add(self, packet: Packet[VideoStream]) -> None:
        content: Any = packet  # it is a buffer, though not every version of PyAV says so
        checksum = crc32(content, self._configuration if packet.is_keyframe else self._sum)
        if is_referred_to(packet):
            self._sum = checksum
        pts, found = packet.pts, self.found
        found[pts] = checksum if pts not in found else None


def is_referred_to(packet: Packet[VideoStream]) -> bool:
    """Whether others may be predicted from a shard's packet.

    It says so in the header of its first slice, behind a length of four bytes: nal_ref_idc is 0 where nothing
    refers to it (ITU-T H.264, 7.4.1; ISO/IEC 14496-15, 5.3.3).
    """
    content: Any = packet
    head = memoryview(content)[4:5].tobytes()
    return not head or head[0] & 0x60 != 0 or head[0] & 0x1F != _SLICE


def frame_checksums(path: Path) -> dict[int | None, int | None]:
    """The checksums of a shard's frames by pts.

    Raises:
        av.FFmpegError, OSError: it cannot be read.
    """
    with open_container(path) as container:
        stream = container.streams.video[0]
        checksums = Checksums(stream)
        for packet in container.demux(stream):
            if packet.size:
                checksums.add(packet)
        return checksums.found
