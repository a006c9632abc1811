"""Frames of a video file by their time stamps, exactly and by the shortest way.

The way to a frame is from the last key frame before it. Of the frames on that way only those that others
refer to have to be decoded, and none but those wanted is handed out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, groupby
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from catseye.capture.checksums import Checksums, is_referred_to
from catseye.capture.display import pixel_aspect
from catseye.capture.sources import lacks_display_times, open_container

_SKIPS_EXACTLY = frozenset({"h264"})
"""Codecs whose decoder tells frames that nothing refers to. A non-reference picture of H.264 (nal_ref_idc 0)
is one for all pictures; one of HEVC only for those of its own temporal layer."""

_NOTHING: Iterator[Packet[VideoStream]] = iter(())


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """What a manifest knows of a file's frames.

    Args:
        pts: (T,) int64, strictly rising.
        keys: (K,) int64, those of them that are key frames.
        checksums: (T,) uint32, see ``checksums``; empty where none are known.
    """

    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    checksums: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))

    def key_before(self, pts: int) -> int:
        """The last key frame at or before a frame; the first frame where none is known."""
        place = int(np.searchsorted(self.keys, pts, side="right"))
        return int(self.keys[place - 1]) if place else int(self.pts[0])

    def between(self, first: int, last: int) -> list[int]:
        """Frames from ``first`` up to, not including, ``last``."""
        start, stop = np.searchsorted(self.pts, (first, last))
        return [int(pts) for pts in self.pts[start:stop].tolist()]

    def checksums_of(self, wanted: Sequence[int]) -> dict[int, int]:
        """By pts; of what is no frame, anything."""
        places = np.minimum(np.searchsorted(self.pts, wanted), len(self.pts) - 1)
        return dict(zip(wanted, self.checksums[places].tolist(), strict=True))


class ExactVideo:
    """An open file and how far it has been decoded, by one thread.

    ``aspect`` is its ``display.pixel_aspect``.

    Args:
        path: a file that FFmpeg can demux.
        times: of its frames.
        time_base: the unit of ``times``, which the file must have too.

    Raises:
        av.FFmpegError, OSError: it cannot be opened.
        ValueError: it has no video stream, or one of another time base or an unknown codec.
    """

    def __init__(self, path: Path, times: FrameTimes, *, time_base: Fraction) -> None:
        self._path, self._times, self._time_base = path, times, time_base
        self._checks = len(times.checksums) > 0
        self._expected: dict[int, int] = {}
        self._open()

    def pictures(self, wanted: Sequence[int]) -> Iterator[VideoFrame]:
        """The pictures at rising time stamps, each once.

        Raises:
            av.FFmpegError: what leads to one cannot be decoded.
            ValueError: one is not there, or what leads to it is not what was written.
        """
        for key, group in groupby(wanted, key=self._times.key_before):
            run = list(group)
            if self._position is None or not key <= self._position < run[0]:
                self._start(key)
            needless = set(self._times.between(key, run[-1])).difference(run) if self._skips else set()
            if self._checks:
                self._expected = self._times.checksums_of(run)
            for pts in run:
                yield self._advance(pts, needless)

    def close(self) -> None:
        self._packets = _NOTHING
        self._decoded.clear()
        self._container.close()

    def _open(self) -> None:
        self._container = open_container(self._path)
        if not self._container.streams.video:
            raise ValueError("has no video stream")
        self._stream: VideoStream = self._container.streams.video[0]
        if self._stream.time_base != self._time_base:
            raise ValueError(f"has the time base {self._stream.time_base}, not {self._time_base}")
        if getattr(self._stream, "codec_context", None) is None:  # PyAV's types promise one
            raise ValueError("has video of an unknown codec")
        if lacks_display_times(self._container, self._stream) and self._stream.codec_context.has_b_frames:
            raise ValueError("does not say when its frames are shown, so that none can be told by its time")
        self.aspect = pixel_aspect(self._stream)
        self._codec = self._stream.codec_context
        self._codec.thread_count = 1
        self._checksums = Checksums(self._stream)
        self._skips = self._codec.name in _SKIPS_EXACTLY
        self._skipping = False
        self._packets = _NOTHING
        self._decoded: deque[VideoFrame] = deque()
        self._position: int | None = None

    def _start(self, key: int) -> None:
        """Make ready to decode from a key frame, or from one before it where seeking is coarse."""
        self._position = None
        self._decoded.clear()
        self._checksums.found.clear()
        place, step = int(np.searchsorted(self._times.keys, key)), 1
        target = key
        while not self._lands(target, key):
            # Indices of decoding times, and formats without an index, may lead to a later key frame.
            place, step = place - step, 2 * step
            if place < 0:
                self._from_the_beginning(key)
                return
            target = int(self._times.keys[place])

    def _lands(self, target: int, key: int) -> bool:
        try:
            self._container.seek(target, stream=self._stream, backward=True)
        except (av.FFmpegError, OSError):
            return False
        return self._found_key(key)

    def _found_key(self, key: int) -> bool:
        """Whether the next key frame of the packets is not after ``key``; decoding begins with it."""
        packets = self._demuxed()
        for packet in packets:
            if packet.is_keyframe and packet.pts is not None:
                self._packets = chain((packet,), packets)
                return packet.pts <= key
        return False

    def _from_the_beginning(self, key: int) -> None:
        self._container.close()
        self._open()
        if not self._found_key(key):
            raise ValueError(f"has no key frame at or before pts {key}")

    def _advance(self, pts: int, needless: Collection[int]) -> VideoFrame:
        """Decode up to a frame."""
        self._position = None
        for picture in self._pictures(pts, needless):
            if picture.pts is not None and picture.pts >= pts:
                if picture.pts > pts or picture.is_corrupt:
                    break
                if self._checks and self._checksums.found.get(pts) != self._expected[pts]:
                    raise ValueError(f"does not hold what was written, at pts {pts}")
                self._position = pts
                return picture
        raise ValueError(f"has no whole frame at pts {pts}")

    def _pictures(self, wanted: int, needless: Collection[int]) -> Iterator[VideoFrame]:
        """What comes next in presentation order, without those of ``needless`` that nothing refers to.

        A frame comes out of the decoder some packets after its own. If one of these is damaged, what the
        decoder has is the last that it gives.
        """
        while True:
            while self._decoded:
                yield self._decoded.popleft()
            packet = next(self._packets, None)
            if packet is None:
                return
            skip = packet.pts in needless
            if self._checks and packet.size:
                if skip and not is_referred_to(packet):
                    continue
                self._checksums.add(packet)
            if skip != self._skipping:
                self._codec.skip_frame = "NONREF" if skip else "DEFAULT"
                self._skipping = skip
            try:
                self._decoded.extend(self._codec.decode(packet))
            except av.FFmpegError:
                if packet.pts is None or packet.pts <= wanted:
                    raise
                self._packets = _NOTHING
                self._decoded.extend(self._codec.decode(None))

    def _demuxed(self) -> Iterator[Packet[VideoStream]]:
        try:
            yield from self._container.demux(self._stream)
        except IndexError:  # PyAV does not know of a stream that begins within the file
            return
