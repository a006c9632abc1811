"""Checksums that tell whether a shard still holds what was written.

A decoder often takes flipped bits without a word, and gives another picture. So the manifest has one CRC-32
(ISO 3309, as in zlib) for each frame: of the decoder's configuration and then of all packets of its group in
decoding order, from the key frame's up to its own. That is all that a picture can depend on, and nothing of
it can be lost, swapped or repeated without changing the sum.
"""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

from av.packet import Packet
from av.video.stream import VideoStream

from catseye.capture.sources import open_container


class GroupChecksum:
    """The running checksum of a group, for one reading of a file.

    Args:
        stream: its video.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._configuration = crc32(stream.codec_context.extradata or b"")
        self._sum = 0

    def add(self, packet: Packet[VideoStream]) -> int:
        """Take the next packet in decoding order; one of a key frame begins a group.

        Returns:
            the checksum of its frame.
        """
        # PyAV's packets are buffers, though their types do not say so.
        content: bytes = packet  # type: ignore[assignment]
        self._sum = crc32(content, self._configuration if packet.is_keyframe else self._sum)
        return self._sum


def frame_checksums(path: Path) -> dict[int, int]:
    """The checksum of each of a shard's frames by its pts.

    Raises:
        av.FFmpegError, OSError: it cannot be read.
    """
    with open_container(path) as container:
        stream = container.streams.video[0]
        group = GroupChecksum(stream)
        return {packet.pts: group.add(packet) for packet in container.demux(stream) if packet.pts is not None}
