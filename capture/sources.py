"""Reading video: packets and frames of a file, with exact time stamps, through PyAV."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from time import monotonic
from types import MappingProxyType, TracebackType
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from typing_extensions import Self

from catseye.capture.decoded import planes_of
from catseye.capture.display import UPRIGHT, Deinterlacer, Turn, pixel_aspect, shown, shown_size, turn_of
from catseye.capture.geometry import Planes
from catseye.capture.hardware import Decoder, accelerator
from catseye.errors import InputError

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".avi", ".ts", ".mov", ".m4v"})

MAX_PIXELS = 8192 * 8192
"""A picture that is stated to be larger is taken for damage: it would take all memory to decode."""

_LEAST_PROBED = "32"
_REORDERED = frozenset({"h264", "hevc"})
"""Codecs whose frames come in another order than their packets."""

_CAN_TURN = frozenset({"mov", "mp4", "matroska"})
"""Container formats that can state a display matrix."""


@dataclass(frozen=True)
class VideoInfo:
    """What the container says of its first video stream.

    Args:
        width, height: as shown: upright and with square pixels, see ``display``.
        duration_s: from the first frame to the end; 0 where it says nothing.
        created: when it says it was recorded, UTC, or None.
    """

    path: Path
    codec: str
    width: int
    height: int
    time_base: Fraction
    start_pts: int
    duration_s: float
    created: datetime | None = None


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Args:
        index: its place in presentation order among the frames decoded, from 0.
        pts: presentation time in units of ``time_base``.
        planes: its picture as shown: whole, upright, with square pixels. The arrays share the decoder's
            memory and are not to be written to.
        key: whether it can be decoded by itself.
        damaged: whether something was lost or broken between the key frame it depends on and itself. Such a
            picture may look whole, or be smeared over.
    """

    index: int
    pts: int
    time_base: Fraction
    planes: Planes
    key: bool
    damaged: bool = False

    @property
    def time_s(self) -> float:
        """Seconds on the stream's own clock, which may start anywhere."""
        return seconds(self.pts, self.time_base)


def seconds(pts: int, time_base: Fraction) -> float:
    """The number nearest to ``pts · time_base``. No fraction is made, as every frame asks for it."""
    return pts * time_base.numerator / time_base.denominator


class VideoFile:
    """The first video stream of a file, as packets or as frames, read once from the start.

    Args:
        path: a file that FFmpeg can demux.
        threads: decoder threads; 0 lets FFmpeg choose.
        decoder: ``cpu``; ``cuda`` for NVDEC, which falls back to the processor with a line in the log;
            ``auto`` for NVDEC where there is a device for it. See ``hardware``.
        stall_s: where no frame comes for so long, ``frames`` ends and ``stalled`` says so; None to wait.

    Raises:
        InputError: the file is absent, is no video, or has no video stream.
    """

    def __init__(
        self, path: str | Path, *, threads: int = 0, decoder: Decoder = "cpu", stall_s: float | None = None
    ) -> None:
        self.path = Path(path)
        self.corrupt_packets = 0
        self.stalled = ""
        self._stall_s = stall_s
        self._container = _open(self.path, decoder, timeout_s=stall_s)
        if not self._container.streams.video:
            self._container.close()
            raise InputError(self.path, "has no video stream", "give a file recorded by a camera")
        self._stream: VideoStream = self._container.streams.video[0]
        if getattr(self._stream, "codec_context", None) is None:  # PyAV's types promise one
            self._container.close()
            raise InputError(self.path, "has video of an unknown codec", "record or copy it again")
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = threads
        self._stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        self._aspect = pixel_aspect(self._stream)
        self._coded = _describe(self.path, self._container, self._stream)
        can_turn = _CAN_TURN & set(self._container.format.name.split(","))
        self._turn = None if can_turn else UPRIGHT

    @cached_property
    def info(self) -> VideoInfo:
        """What the container says; after ``close`` too.

        How it is turned is told by pictures alone. Asked before the first of ``frames``, a file that may be
        turned is opened once more for its first picture.
        """
        turn = _stated_turn(self.path) if self._turn is None else self._turn
        width, height = shown_size(self._coded.width, self._coded.height, turn, self._aspect)
        return replace(self._coded, width=width, height=height)

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Demux packets in decoding order. What cannot be read ends the stream and counts as corrupt."""
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    yield packet
        except (av.FFmpegError, IndexError):  # PyAV does not know of a stream that begins within the file
            self.corrupt_packets += 1

    def frames(self) -> Iterator[Frame]:
        """Decode frames in presentation order. What fails to decode whole is counted and passed over.

        All frames from a failure up to the next key frame are told to be damaged: they are predicted from
        what failed, and the decoder says nothing of them.
        """
        damage = _Damage()
        for index, picture in enumerate(self._whole_pictures(damage)):
            assert picture.pts is not None
            if self._turn is None:
                self._turn = turn_of(picture)
            yield to_frame(
                picture,
                index=index,
                time_base=self._coded.time_base,
                aspect=self._aspect,
                damaged=damage.reaches(picture.pts, key=bool(picture.key_frame)),
            )

    def _whole_pictures(self, damage: _Damage) -> Iterator[VideoFrame]:
        deinterlacer = Deinterlacer()
        display = _DisplayTimes() if lacks_display_times(self._container, self._stream) else None
        last_s = monotonic()
        for packet in self._packets_then_flush():
            if self._stall_s is not None and monotonic() - last_s > self._stall_s:
                self.stalled = f"no frame came for {self._stall_s:g} s"
                return
            try:
                pictures = self._stream.codec_context.decode(packet)
            except av.FFmpegError:
                self.corrupt_packets += 1
                damage.note(packet.pts if packet is not None else None)
                continue
            if display is not None:
                display.correct(packet, pictures)
            for picture in pictures:
                if picture.pts is None or picture.is_corrupt:
                    self.corrupt_packets += 1
                    damage.note(picture.pts)
                    continue
                yield from deinterlacer.push(picture)
                last_s = monotonic()  # what the caller does with a frame is no stall
        yield from deinterlacer.flush()

    def _packets_then_flush(self) -> Iterator[Packet[VideoStream] | None]:
        yield from self.packets()
        yield None

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def lacks_display_times(container: InputContainer, stream: VideoStream) -> bool:
    """Whether packets are timed in the order of decoding, which may not be that of display: so in AVI."""
    return "avi" in container.format.name and stream.codec_context.name in _REORDERED


@dataclass
class _DisplayTimes:
    """Times of packets handed out to the pictures of a decoder in their order, which is that of display."""

    waiting: list[int] = field(default_factory=list)

    def correct(self, packet: Packet[VideoStream] | None, pictures: Sequence[VideoFrame]) -> None:
        """Give pictures their times; ``packet`` is what the decoder has just been given."""
        if packet is not None and packet.pts is not None:
            heapq.heappush(self.waiting, packet.pts)
        for picture in pictures:
            if self.waiting:
                picture.pts = heapq.heappop(self.waiting)


@dataclass
class _Damage:
    """Whether decoding is between a failure and the key frame after it."""

    since_pts: int | None = None
    lasts: bool = False

    def note(self, pts: int | None) -> None:
        """Something of this presentation time has failed; None where its time is lost too."""
        self.since_pts, self.lasts = pts, True

    def reaches(self, pts: int, *, key: bool) -> bool:
        # A key frame decoded before the failure may come out after it, as order is restored.
        if self.lasts and key and (self.since_pts is None or pts > self.since_pts):
            self.lasts = False
        return self.lasts


def to_frame(
    picture: VideoFrame,
    *,
    index: int,
    time_base: Fraction,
    aspect: Fraction = Fraction(1),
    damaged: bool = False,
) -> Frame:
    """Wrap a decoded picture as it is shown, converting pixel formats other than planar 4:2:0 of 8 bits.

    Args:
        aspect: its stream's ``display.pixel_aspect``.
    """
    assert picture.pts is not None
    return Frame(
        index=index,
        pts=picture.pts,
        time_base=time_base,
        planes=shown(planes_of(picture), turn_of(picture), aspect),
        key=bool(picture.key_frame),
        damaged=damaged,
    )


def find_videos(path: str | Path) -> list[Path]:
    """A video file itself, or every video below a folder in the order of their names.

    Hidden files are passed over: they are what a writer has not finished.

    Raises:
        InputError: there is no such path, or the folder has no video in it.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.exists():
        raise InputError(path, "no such file or folder", "check the path")
    found = sorted(
        p
        for p in path.rglob("*")
        if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith(".") and p.is_file()
    )
    if not found:
        suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
        raise InputError(path, "has no video in it", f"give a folder with files of {suffixes}")
    return found


def open_container(
    path: str | Path, *, demuxer: Mapping[str, str] = MappingProxyType({}), **options: Any
) -> InputContainer:
    """``av.open`` for a file on this machine and nothing else, with more options of both.

    The explicit protocol allows names with a colon, as in a UTC time, and keeps a playlist in disguise from
    fetching over the network. Broken metadata does not make a video unreadable.
    """
    container: InputContainer = av.open(
        f"file:{path}",
        mode="r",
        options={"protocol_whitelist": "file", **demuxer},
        metadata_errors="ignore",
        **options,
    )
    return container


def _open(path: Path, decoder: Decoder = "cpu", *, timeout_s: float | None = None) -> InputContainer:
    if not path.exists():
        raise InputError(path, "no such file", "check the path")
    if path.is_dir():
        raise InputError(path, "is a folder, not a video file", "name one file in it")
    try:
        return open_container(path, timeout=timeout_s, **accelerator(decoder))
    except NotImplementedError:  # the device knows nothing of this codec
        return _open(path, timeout_s=timeout_s)
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            path,
            f"is not a readable video ({reason})",
            "it may be cut off or another format: record or copy it again",
        ) from None


def _describe(path: Path, container: InputContainer, stream: VideoStream) -> VideoInfo:
    """With the size of the coded picture."""
    context = stream.codec_context
    if stream.time_base is None or not context.width or not context.height:
        raise InputError(path, "has a video stream without size or time base", "record or copy it again")
    if context.width * context.height > MAX_PIXELS:
        raise InputError(
            path,
            f"states pictures of {context.width}x{context.height}, more than {MAX_PIXELS:,} pixels",
            "record or copy it again",
        )
    if stream.duration is not None:
        duration_s = float(stream.duration * stream.time_base)
    else:
        duration_s = (container.duration or 0) / av.time_base
        if "matroska" in container.format.name:  # there it counts from time 0, not from the first frame
            duration_s = max(0.0, duration_s - float((stream.start_time or 0) * stream.time_base))
    return VideoInfo(
        path=path,
        codec=context.name,
        width=context.width,
        height=context.height,
        time_base=stream.time_base,
        start_pts=stream.start_time or 0,
        duration_s=duration_s,
        created=created_utc(container),
    )


def _stated_turn(path: Path) -> Turn:
    """The turn of the first picture, which is where PyAV gives it; the file is opened by itself for that.

    Such files have a header that tells of the stream, so that frames need not be decoded on opening as well.
    """
    try:
        with open_container(path, demuxer={"probesize": _LEAST_PROBED}) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            return turn_of(next(container.decode(stream)))
    except (av.FFmpegError, StopIteration):
        return UPRIGHT


def created_utc(container: InputContainer) -> datetime | None:
    """When a container says that it was recorded; taken for UTC where it names no time zone."""
    try:
        created = datetime.fromisoformat(container.metadata.get("creation_time", "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return created.astimezone(timezone.utc) if created.tzinfo else created.replace(tzinfo=timezone.utc)
