"""Checksums that tell whether a shard still holds what was written.

A decoder often takes flipped bits without a word, and gives another picture. So the manifest has one CRC-32
(ISO 3309, as in zlib) for each frame: of the decoder's configuration and then of all packets of its group in
decoding order, from the key frame's up to its own. That is all that a picture can depend on, and nothing of
it can be lost, swapped or repeated without changing the sum.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

from av.packet import Packet
from av.video.stream import VideoStream

from catseye.capture.sources import open_container


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
        self._sum = crc32(content, self._configuration if packet.is_keyframe else self._sum)
        pts, found = packet.pts, self.found
        found[pts] = self._sum if pts not in found else None


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
