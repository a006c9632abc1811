"""Packets as a camera sends them, without a camera, and the footage they become."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet

from catseye.capture import journal
from catseye.capture.journal import SegmentClosed
from catseye.capture.live import LivePacket
from catseye.capture.recording.footage_writer import CurrentStem, FootageWriter
from catseye.capture.recording.options import RecordOptions
from catseye.capture.recording.packet_queue import Connected
from catseye.capture.recording.status import StatusBoard

TIME_BASE = Fraction(1, 90_000)
STEP = 3600
START_UTC_NS = 1_780_000_000 * 10**9
START_MONOTONIC_NS = 5_000 * 10**9


@cache
def encoded(
    count: int, *, size: tuple[int, int] = (96, 64), gop: int = 10, b_frames: int = 0, codec: str = "libx264"
) -> tuple[tuple[bytes, int, int, bool], ...]:
    """Data, pts, dts and key flag of pictures of noise at 25 fps, in decoding order, dts from 0."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height = size
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    if codec == "libx264":
        context.options = {
            "g": str(gop), "bf": str(b_frames), "sc_threshold": "0", "threads": "1", "preset": "ultrafast",
            "b-adapt": "0",
        }  # fmt: skip
    draw = np.random.default_rng(3)
    packets = []
    for number in [*range(count), None]:
        picture = None
        if number is not None:
            rgb = (
                draw.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
                .repeat(8, 0)
                .repeat(8, 1)
            )
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=context.pix_fmt)
            picture.pts = number
        packets += context.encode(picture)
    first = min(packet.dts for packet in packets)
    return tuple(
        (bytes(p), (p.pts - first) * STEP, (p.dts - first) * STEP, bool(p.is_keyframe)) for p in packets
    )


def live_packets(
    count: int,
    *,
    at_s: float = 0.0,
    utc_s: float | None = None,
    clock: str = "arrival",
    pts_offset: int | None = None,
    **coding: Any,
) -> list[LivePacket]:
    """``encoded`` packets as they arrive in real time, from ``at_s`` seconds after the start on."""
    made = []
    for data, pts, dts, is_key in encoded(count, **coding):
        packet = Packet(data)
        since = round(dts * TIME_BASE * 10**9)
        shift = round(at_s / TIME_BASE) if pts_offset is None else pts_offset
        packet.pts, packet.dts, packet.time_base = pts + shift, dts + shift, TIME_BASE
        packet.is_keyframe = is_key
        made.append(
            LivePacket(
                packet,
                START_UTC_NS + round((at_s if utc_s is None else utc_s) * 1e9) + since,
                START_MONOTONIC_NS + round(at_s * 1e9) + since,
                clock,  # type: ignore[arg-type]
            )
        )
    return made


class Journalled:
    """What the journal of a camera's folder says."""

    folder: Path

    @property
    def entries(self) -> list[journal.Entry]:
        return journal.read(self.folder)

    @property
    def segments(self) -> list[SegmentClosed]:
        return [entry for entry in self.entries if isinstance(entry, SegmentClosed)]

    @property
    def gaps(self) -> list[journal.Gap]:
        return [entry for entry in self.entries if isinstance(entry, journal.Gap)]


class Footage(Journalled):
    """A writer that records into a folder, and what came of it."""

    def __init__(self, folder: Path, **given: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.status = StatusBoard("front")
        self.stop = threading.Event()
        defaults = {
            "options": RecordOptions(),
            "calibration": "",
            "status": self.status,
            "make_room": lambda: (),
            "telemetry": None,
            "stop": self.stop,
            "current": CurrentStem(),
            "is_proxy": False,
        }
        self.writer = FootageWriter(folder, **{**defaults, **given})

    def connect(self, codec: str = "h264", time_base: Fraction = TIME_BASE) -> None:
        self.writer.handle(Connected(codec, time_base, None))

    def take(self, items: Sequence[Any]) -> None:
        for item in items:
            self.writer.handle(item)


class FakeClock:
    """The machine's clocks, which stand still but when told."""

    def __init__(self) -> None:
        self.utc_ns, self.monotonic_ns = START_UTC_NS, START_MONOTONIC_NS

    def set_by(self, seconds: float) -> None:
        self.utc_ns += round(seconds * 1e9)

    def go_on(self, seconds: float) -> None:
        self.set_by(seconds)
        self.monotonic_ns += round(seconds * 1e9)


def decoded_frames(path: Path) -> int:
    with av.open(f"file:{path}") as container:
        return sum(1 for _ in container.decode(video=0))


def packets_in(path: Path) -> Iterator[Packet[Any]]:
    with av.open(f"file:{path}") as container:
        yield from (packet for packet in container.demux(video=0) if packet.size)
