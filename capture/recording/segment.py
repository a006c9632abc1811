"""One segment of footage: packets of one coding into one file, and the journal line about it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.video.stream import VideoStream

from catseye.capture.journal import SegmentClosed
from catseye.capture.live import LivePacket, stream_like
from catseye.capture.recording.segment_file import SegmentFile
from catseye.capture.recording.stamps import Container
from catseye.capture.recording.timestamps import Stamps
from catseye.capture.utc import utc_of

SUFFIXES: dict[Container, str] = {"mp4": ".mp4", "ts": ".ts"}

_FORMATS: dict[Container, str] = {"mp4": "mp4", "ts": "mpegts"}


class Segment:
    """Packets copied into a file that a crash at any instant leaves readable up to its last fragment.

    Args:
        path: its final name.
        template: coding of the packets.
        time_base: unit of the stamps given to ``add``, seconds.
        first: the packet it begins with.
        dropped: packets lost since the last segment.
        calibration: hash of the camera's calibration, or empty.
        fragment_s: longest fragment: packets wait so long to be written together.
        fsync_s, wait_for_room: as ``SegmentFile`` has it.

    Raises:
        OSError: from any method, where the disk fails.
        ValueError, av.FFmpegError: the container takes no packets of this coding.
    """

    def __init__(
        self,
        path: Path,
        *,
        template: VideoStream,
        time_base: Fraction,
        first: LivePacket,
        dropped: int,
        calibration: str,
        fragment_s: float,
        fsync_s: float,
        wait_for_room: Callable[[OSError], None],
    ) -> None:
        container: Container = "ts" if path.suffix == SUFFIXES["ts"] else "mp4"
        self._container, self._fragment_s = container, fragment_s
        self._file = SegmentFile(path, container=container, fsync_s=fsync_s, wait_for_room=wait_for_room)
        self._muxer = av.open(
            self._file, "w", format=_FORMATS[container], options=_muxer_options(container, fragment_s)
        )
        try:
            self._muxer.metadata["creation_time"] = utc_of(first.utc_ns).isoformat()
            self._stream = stream_like(self._muxer, template)
            self._stream.time_base = time_base
            self._muxer.start_encoding()
            self._header_bytes = self._file.pending_bytes  # they wait for the first fragment
        except BaseException:
            self.close()
            raise
        assert self._stream.time_base is not None
        self._time_base = time_base
        self._first, self._start_ns, self._clock = first, first.utc_ns, first.clock
        self._start_monotonic_ns = first.monotonic_ns
        self._first_pts: int | None = None
        self._added: list[int] = []  # pts of packets that the file does not hold yet
        self._fragment_dts = 0
        context = template.codec_context
        self._line = SegmentClosed(
            file=path.name,
            sha256="",
            size_bytes=0,
            codec=context.name,
            width=context.width,
            height=context.height,
            time_base=self._stream.time_base.as_integer_ratio(),
            first_pts=0,
            last_pts=0,
            start_utc=utc_of(first.utc_ns),
            start_monotonic_ns=first.monotonic_ns,
            boot_id=boot_id(),
            clock=first.clock,
            packets=0,
            dropped=dropped,
            calibration=calibration,
        )

    @property
    def path(self) -> Path:
        return self._file.path

    def add(self, packet: LivePacket, stamps: Stamps) -> None:
        """Append the next packet in decoding order."""
        if self._first_pts is None:
            self._first_pts = stamps.pts
        self._refine_start(packet, (stamps.pts - self._first_pts) * self._time_base)
        copy = Packet(bytes(packet.packet))
        copy.pts, copy.dts, copy.duration = stamps.pts, stamps.dts, stamps.duration
        copy.time_base, copy.stream = self._time_base, self._stream
        copy.is_keyframe = packet.packet.is_keyframe
        self._muxer.mux(copy)
        assert copy.pts is not None  # by now in the unit of the file
        self._added.append(copy.pts)
        written = self._written(stamps)
        if written:
            self._commit(written)
            self._fragment_dts = stamps.dts

    @property
    def written_until_ns(self) -> int:
        """Capture time of the last frame that the file holds, by the monotonic clock."""
        return self._start_monotonic_ns + round(self._line.duration_s * 1e9)

    @property
    def unwritten(self) -> int:
        """Packets that the file does not hold yet."""
        return len(self._added)

    def sync_if_due(self) -> None:
        """Have the disk keep what was written, where nothing else comes to have it done."""
        self._file.sync_if_due()

    def finish(self) -> SegmentClosed:
        """Write the rest, give the file its name and return its line; its lock is kept until ``close``."""
        self._muxer.close()
        if self._added:
            self._commit(len(self._added))
        return self._line.model_copy(
            update={"sha256": self._file.finish(), "size_bytes": self._file.size_bytes}
        )

    def close(self) -> None:
        """Let go of the file; one that was not finished is left for a salvage."""
        # Left to the garbage collector, a muxer writes to what may be gone; before PyAV 14 that is a crash.
        with suppress(av.FFmpegError, OSError):
            self._muxer.close()
        self._file.close()

    def _written(self, stamps: Stamps) -> int:
        """How many packets the muxer has let go of, where that makes a fragment."""
        if self._container == "ts":
            is_due = (stamps.dts - self._fragment_dts) * self._time_base >= self._fragment_s
            return len(self._added) if is_due else 0
        # The MP4 muxer cuts a fragment when the packet after it comes, which is this one.
        return len(self._added) - 1 if self._file.pending_bytes > self._header_bytes else 0

    def _commit(self, written: int) -> None:
        line = self._line
        self._line = line.model_copy(
            update={
                "first_pts": line.first_pts if line.packets else self._added[0],
                "last_pts": max(line.last_pts, *self._added[:written]),
                "start_utc": utc_of(self._start_ns),
                "clock": self._clock,
                "packets": line.packets + written,
            }
        )
        self._file.commit(
            lambda sha256, size_bytes: (
                self._line.model_copy(update={"sha256": sha256, "size_bytes": size_bytes})
                .model_dump_json()
                .encode()
            )
        )
        del self._added[:written]
        self._header_bytes = 0

    def _refine_start(self, packet: LivePacket, since_first_s: Fraction) -> None:
        """Better the estimate of when the first frame was captured.

        Packets arrive late by what they waited on the way, so that the one that waited least tells best. A
        sender report says it outright.
        """
        since_ns = int(since_first_s * 10**9)
        self._start_monotonic_ns = min(self._start_monotonic_ns, packet.monotonic_ns - since_ns)
        if self._clock == "arrival":
            if packet.clock == "rtcp":
                self._start_ns, self._clock = packet.utc_ns - since_ns, packet.clock
                # A gap begins where the footage ends: both go by the better clock.
                self._start_monotonic_ns = self._first.monotonic_ns + self._start_ns - self._first.utc_ns
            else:
                earlier_ns = self._first.monotonic_ns - self._start_monotonic_ns
                self._start_ns = self._first.utc_ns - earlier_ns


def boot_id() -> str:
    """What tells one run of the machine from the next; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _muxer_options(container: Container, fragment_s: float) -> dict[str, str]:
    if container == "ts":
        return {"mpegts_copyts": "1", "flush_packets": "1"}
    return {
        # No index at the end: its offsets would not know of the stamps.
        "movflags": "frag_keyframe+empty_moov+default_base_moof+skip_trailer",
        "frag_duration": str(round(fragment_s * 1e6)),
        "flush_packets": "1",
    }
