"""Reading a camera while it films: packets and frames with their capture time, from one connection.

Addresses: ``rtsp://`` and ``rtsps://``, ``http://`` and ``https://``, a V4L2 device ``/dev/video*``, and a
file, which is played at the speed it was filmed at.
"""

from __future__ import annotations

import os
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from typing_extensions import Self

from catseye.capture.sources import Frame, created_utc, open_container, to_frame
from catseye.capture.utc import ns_of
from catseye.errors import InputError, UsageError

Clock = Literal["rtcp", "arrival", "file"]
Transport = Literal["tcp", "udp"]

# What a stream may itself open: a playlist from the network must not read local files.
_NETWORK_PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto"
_GIVE = "give rtsp://…, http://…, /dev/videoN or a file"
_V4L2_FORMATS = ("h264", "mjpeg", None)
_RAW_CODECS = frozenset({"rawvideo", "wrapped_avframe"})
_UDP_BUFFER_BYTES = 4 << 20
_KEY_FRAME_S = 1.0
_CLOCK_DISAGREEMENT_NS = 60 * 10**9
_REORDERING_PACKETS = 64


@dataclass(frozen=True)
class LivePacket:
    """One packet as it came.

    Args:
        packet: encoded data; its stamps are the source's own, and may be missing or wrong.
        utc_ns: capture time in nanoseconds since 1970, UTC.
        monotonic_ns: this machine's monotonic clock when the packet arrived.
        clock: where ``utc_ns`` comes from: the camera's sender reports (RTCP, RFC 3550), the arrival of the
            packet, or the creation time that a file states.
    """

    packet: Packet[VideoStream]
    utc_ns: int
    monotonic_ns: int
    clock: Clock


@dataclass(frozen=True)
class LiveFrame:
    """One decoded frame, and of the packet it came in the times that ``LivePacket`` explains."""

    frame: Frame
    utc_ns: int
    monotonic_ns: int
    clock: Clock


class LiveSource:
    """A camera's video; use as a context manager, from one thread.

    What a camera compresses is passed on as it is; raw pictures are encoded to H.264 as they come.

    Args:
        address: one of those the module lists.
        transport: what RTSP sends its packets over.
        open_timeout_s: longest wait for the connection, and again for the packets that describe the stream.
        read_timeout_s: longest wait for a packet.
        stop: ends the playing of a file early.

    Attributes:
        codec: what the packets hold, by FFmpeg's name of the decoder.
        time_base: unit of their stamps in seconds.
        stream: PyAV's stream, to copy packets by, also when this is closed; None where they are encoded here.
        finite: whether its end is an end, as a file's is, and not the loss of a connection.

    Raises:
        InputError: it cannot be opened or has no video; or, in reading, it breaks off or falls silent.
    """

    def __init__(
        self,
        address: str,
        *,
        transport: Transport = "tcp",
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 5.0,
        stop: threading.Event | None = None,
    ) -> None:
        self.name = without_credentials(address)
        self.finite = _is_file(address)
        self._stop = stop or threading.Event()
        self._read_timeout_s = read_timeout_s
        self._container = _open(address, transport, (open_timeout_s, read_timeout_s))
        if not self._container.streams.video:
            self._container.close()
            raise InputError(self.name, "has no video", "give the address of a camera's video stream")
        self._video: VideoStream = self._container.streams.video[0]
        raw = self._video.codec_context.name in _RAW_CODECS
        self._encoder = _Encoder(self._video) if raw else None
        self.stream = None if raw else _detached(self._video)
        self.codec = "h264" if raw else self._video.codec_context.name
        self.time_base: Fraction = self._video.time_base or Fraction(1, 90_000)
        self._created_ns = _created_ns(self._container) if self.finite else None
        self._began_ns: int | None = None
        self._decoder: VideoCodecContext | None = None
        self._being_decoded: dict[int | None, LivePacket] = {}
        self._newest: LivePacket | None = None
        self._decoded = 0
        self._next_pts = 0

    def packets(self) -> Iterator[LivePacket]:
        """Packets as they come, until the stream ends or a file is stopped.

        Raises:
            InputError: the stream broke off, or nothing came for ``read_timeout_s``.
        """
        for times in self._arriving():
            if self._encoder is None:
                yield times
            else:
                for made in self._encoder.encode(times.packet):
                    yield LivePacket(made, times.utc_ns, times.monotonic_ns, times.clock)

    def decode(self, packet: LivePacket | None) -> list[LiveFrame]:
        """Frames that a packet of ``packets`` completes; None gives those that the decoder still holds.

        A packet that cannot be decoded, as before the first key frame, gives none.
        """
        if self._decoder is None:
            self._decoder = self._video.codec_context if self._encoder is None else _decoder(self.codec)
        if packet is not None:
            self._newest = self._being_decoded[packet.packet.pts] = packet
            if len(self._being_decoded) > _REORDERING_PACKETS:
                del self._being_decoded[next(iter(self._being_decoded))]
        try:
            pictures = self._decoder.decode(None if packet is None else packet.packet)
        except av.FFmpegError:
            return []
        return [self._live_frame(picture) for picture in pictures]

    def frames(self) -> Iterator[LiveFrame]:
        """The same stream as ``packets``, decoded; raw pictures are taken as they are."""
        self._decoder = self._video.codec_context
        for packet in self._arriving():
            yield from self.decode(packet)
        yield from self.decode(None)

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _arriving(self) -> Iterator[LivePacket]:
        """Packets as the source has them, raw pictures too."""
        try:
            for packet in self._container.demux(self._video):
                if not packet.size:
                    continue
                if self.finite and not self._wait_until_due(packet):
                    return
                yield self._timed(packet)
        except av.error.ExitError:
            fault = f"sent nothing for {self._read_timeout_s:g} s"
        except (av.FFmpegError, OSError) as error:
            fault = f"broke off ({_reason(error)})"
        else:
            return
        raise InputError(self.name, fault, "check the camera and the network")

    def _timed(self, packet: Packet[VideoStream]) -> LivePacket:
        arrival_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
        if self._created_ns is not None and packet.pts is not None:
            since_ns = _ns((packet.pts - (self._video.start_time or 0)) * self.time_base)
            return LivePacket(packet, self._created_ns + since_ns, monotonic_ns, "file")
        utc_ns, clock = believed(_reported_ns(packet), arrival_ns)
        return LivePacket(packet, utc_ns, monotonic_ns, clock)

    def _wait_until_due(self, packet: Packet[VideoStream]) -> bool:
        """Sleep until a file's packet is due by its stamp; false where told to stop meanwhile."""
        due_ns = _ns((packet.dts or 0) * self.time_base)
        if self._began_ns is None:
            self._began_ns = time.monotonic_ns() - due_ns
        ahead_s = (self._began_ns + due_ns - time.monotonic_ns()) / 1e9
        return not self._stop.wait(max(0.0, ahead_s))

    def _live_frame(self, picture: VideoFrame) -> LiveFrame:
        times = self._being_decoded.pop(picture.pts, None) or self._newest
        assert times is not None
        if picture.pts is None:  # RTSP sends the first packet without
            picture.pts = self._next_pts
        self._next_pts = picture.pts + 1
        frame = to_frame(picture, index=self._decoded, time_base=self.time_base)
        self._decoded += 1
        return LiveFrame(frame, times.utc_ns, times.monotonic_ns, times.clock)


def believed(reported_ns: int | None, arrival_ns: int) -> tuple[int, Clock]:
    """The capture time by a camera's reports, unless it is so far off that its clock was never set; else by
    arrival. All in nanoseconds since 1970, UTC."""
    if reported_ns is not None and abs(reported_ns - arrival_ns) < _CLOCK_DISAGREEMENT_NS:
        return reported_ns, "rtcp"
    return arrival_ns, "arrival"


def check_address(address: str) -> None:
    """Refuse what no camera will ever be behind, however often it is asked.

    Raises:
        UsageError: it is a folder, or of a protocol that is not read.
    """
    protocol, is_url, _ = address.partition("://")
    if is_url and protocol not in _NETWORK_PROTOCOLS.split(","):
        raise UsageError(f"{without_credentials(address)}: {protocol}:// is not read, {_GIVE}")
    if not is_url and Path(address).is_dir():
        raise UsageError(f"{address} is a folder: {_GIVE}")


def without_credentials(address: str) -> str:
    """A text as it may be shown and logged: of addresses in it, user and password are left out."""
    return re.sub(r"(\w+://)[^/@\s]*@", r"\1", address)


class _Encoder:
    """Raw pictures to H.264 that comes out picture by picture, a key frame a second."""

    def __init__(self, video: VideoStream) -> None:
        self._raw = video.codec_context
        self._time_base = video.time_base or Fraction(1, 90_000)
        self._context = av.CodecContext.create("libx264", "w")
        # Odd sizes do not fit 4:2:0.
        self._context.width, self._context.height = self._raw.width & ~1, self._raw.height & ~1
        self._context.pix_fmt = "yuv420p"
        self._context.time_base = self._time_base
        self._context.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23", "g": "100000"}
        self._key_due_s = float("-inf")

    def encode(self, packet: Packet[VideoStream]) -> Iterator[Packet[VideoStream]]:
        for picture in self._raw.decode(packet):
            fitting = picture.reformat(
                width=self._context.width, height=self._context.height, format="yuv420p"
            )
            fitting.pts, fitting.time_base = picture.pts, self._time_base
            at_s = float((picture.pts or 0) * self._time_base)
            is_key = not self._key_due_s - _KEY_FRAME_S <= at_s < self._key_due_s
            if is_key:
                self._key_due_s = at_s + _KEY_FRAME_S
            fitting.pict_type = PictureType.I if is_key else PictureType.NONE
            for made in self._context.encode(fitting):
                made.time_base = self._time_base
                yield made


def _open(address: str, transport: Transport, timeouts: tuple[float, float]) -> InputContainer:
    name = without_credentials(address)
    try:
        if re.match(r"/dev/video\d+$", address):
            return _open_v4l2(address, timeouts)
        if _is_file(address):
            if not Path(address).is_file():
                raise InputError(name, "no such file", "check the path")
            return open_container(address)
        # The frame rate is not asked for: to guess it FFmpeg would hold back the first second.
        options = {"protocol_whitelist": _NETWORK_PROTOCOLS, "fpsprobesize": "0"}
        if address.startswith("rtsp"):
            options |= {"rtsp_transport": transport, "buffer_size": str(_UDP_BUFFER_BYTES)}
        return av.open(address, options=options, timeout=timeouts, metadata_errors="ignore")
    except av.error.ExitError:
        fault = f"did not answer within {timeouts[0]:g} s"
    except (av.FFmpegError, OSError) as error:
        fault = f"cannot be opened ({_reason(error)})"
    raise InputError(name, fault, "check the address, the camera and the network")


def _open_v4l2(device: str, timeouts: tuple[float, float]) -> InputContainer:
    """Ask for what the camera compresses by itself first, and take what it has otherwise."""
    for wanted in _V4L2_FORMATS:
        options = {"input_format": wanted} if wanted else {}
        try:
            return av.open(device, format="v4l2", options=options, timeout=timeouts)
        except av.FFmpegError:
            if wanted is None or not Path(device).exists():
                raise
    raise AssertionError("the last format is any")


def stream_like(muxer: OutputContainer, template: VideoStream) -> VideoStream:
    """A new stream of a muxer for packets that are copied from another stream; an encoder is not needed."""
    if not hasattr(muxer, "add_stream_from_template"):  # PyAV before 14
        add_stream: Callable[..., VideoStream] = muxer.add_stream
        return add_stream(template=template)
    return muxer.add_stream_from_template(template, opaque=True)


def _detached(video: VideoStream) -> VideoStream:
    """A stream of the same coding that no connection belongs to: closing one frees its own streams."""
    return stream_like(av.open(os.devnull, "w", format="null"), video)


def _is_file(address: str) -> bool:
    return "://" not in address and not address.startswith("/dev/video")


def _decoder(codec: str) -> VideoCodecContext:
    return cast(VideoCodecContext, av.CodecContext.create(codec, "r"))


def _reported_ns(packet: Packet[VideoStream]) -> int | None:
    """Capture time by the camera's sender reports: FFmpeg's producer reference time, where PyAV shows it.

    ``AVProducerReferenceTime`` begins with a signed 64-bit count of microseconds since 1970.
    """
    if not hasattr(packet, "has_sidedata") or not packet.has_sidedata("prft"):
        return None
    microseconds: int = struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))[0]
    return microseconds * 1000


def _created_ns(container: InputContainer) -> int | None:
    created = created_utc(container)
    return ns_of(created) if created is not None else None


def _ns(seconds: Fraction | int) -> int:
    return int(seconds * 10**9)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
