"""A recorder that runs for long: does its memory stay flat?

    python scripts/bench/recorder_memory.py [--minutes 60] [--speed 60] [--json]

A camera of this script sends minutes of noise as MPEG-TS, many times as fast as it would be filmed, to a
recorder in a process of its own, which rotates, journals, keeps to a quota and writes its status meanwhile.
The process's resident memory is read from the kernel twice a second. The buffer for packets that wait for the
disk is small, so that how full it happens to be says little; what does not fit is dropped and counted.

Bound: the median of memory over the third and the last quarter of the run is at most 8 MiB above that of the
second, and most of what was sent is recorded. To keep but every packet would be hundreds. Exits 1 when it is
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from http_camera import RATE, HttpCamera

from catseye.capture import journal
from catseye.capture.recording.options import RecordOptions, SourceSpec
from catseye.capture.recording.recorder import record
from catseye.capture.recording_status import write_status
from catseye.capture.retention import footage_sizes, make_room

GOP = 25
BITS_PER_S = 8_000_000
WIDTH, HEIGHT = 640, 360
BOUND_BYTES = 8 << 20
QUOTA_BYTES = 100_000_000
STATUS_NAME = "status.json"
OPTIONS = RecordOptions(segment_s=2.0, read_timeout_s=60.0, buffer_bytes=2 << 20)


class Camera(HttpCamera):
    """Films ``speed`` times as fast as time passes."""

    def __init__(self, *, frames: int, speed: float) -> None:
        self.frames, self.speed = frames, speed
        self.second = one_second()
        super().__init__(WIDTH, HEIGHT)

    def film(self, container: OutputContainer, stream: VideoStream, out: BinaryIO) -> None:
        began = time.monotonic()
        for number in range(self.frames):
            content, is_key = self.second[number % GOP]
            packet = Packet(content)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, RATE), stream, is_key
            container.mux(packet)
            if is_key:
                time.sleep(max(0.0, began + number / RATE / self.speed - time.monotonic()))

    def rest(self) -> None:
        # Whoever closes is connected to anew: keep still until the recorder is told to end.
        threading.Event().wait()


def one_second() -> list[tuple[bytes, bool]]:
    """A second of noise as H.264 that stands by itself: content and key flag of each packet."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate = Fraction(1, RATE), Fraction(RATE)
    context.bit_rate = BITS_PER_S
    context.options = {"g": str(GOP), "bf": "0", "tune": "zerolatency", "preset": "ultrafast", "threads": "1"}
    draw = np.random.default_rng(0)
    packets: list[Packet[Any]] = []
    for number in [*range(GOP), None]:
        picture = None
        if number is not None:
            pixels = draw.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
            picture = av.VideoFrame.from_ndarray(pixels, format="gray").reformat(format="yuv420p")
            picture.pts = number
        packets += context.encode(picture)
    return [(bytes(packet), bool(packet.is_keyframe)) for packet in packets]


def resident_bytes(pid: int) -> int:
    """Linux's ``/proc/PID/statm``, second field, in pages."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(*, minutes: float, speed: float, folder: Path) -> dict[str, Any]:
    """Record so much footage; resident memory by quarter, and what came of the footage."""
    frames = round(minutes * 60 * RATE)
    camera = Camera(frames=frames, speed=speed)
    threading.Thread(target=camera.serve_forever, daemon=True).start()
    url = camera.address
    samples: list[tuple[int, int]] = []
    with subprocess.Popen([sys.executable, __file__, "--record", str(folder), url]) as process:
        try:
            # A packet is passed on when another follows it: the last stays with the camera.
            while (packets := sum(_counts(folder))) < frames - GOP:
                if process.poll() is not None:
                    raise SystemExit("the recorder ended by itself")
                samples.append((packets, resident_bytes(process.pid)))
                time.sleep(0.5)
        finally:
            process.send_signal(signal.SIGTERM)
        ended_cleanly = process.wait() == 0
    recorded, dropped = _counts(folder)
    camera.shutdown()
    camera.server_close()
    quarters = [
        statistics.median(
            [memory for packets, memory in samples if part <= 4 * packets / frames < part + 1] or [0]
        )
        for part in range(4)
    ]
    entries = journal.read(folder / "vehicle" / "camera")
    growth = max(quarters[2:]) - quarters[1]
    return {
        "minutes": minutes,
        "packets": recorded,
        "dropped": dropped,
        "bytes_recorded": sum(e.size_bytes for e in entries if isinstance(e, journal.SegmentClosed)),
        "segments": sum(isinstance(e, journal.SegmentClosed) for e in entries),
        "segments_deleted": sum(isinstance(e, journal.Removed) for e in entries),
        "quarters_mib": [round(memory / 2**20, 1) for memory in quarters],
        "growth_mib": round(growth / 2**20, 1),
        "bound_mib": BOUND_BYTES / 2**20,
        "passed": ended_cleanly and min(quarters) > 0 and growth <= BOUND_BYTES and recorded > frames / 2,
    }


def run_recorder(folder: Path, url: str) -> None:
    """Record until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    sizes = footage_sizes(folder)
    record(
        [SourceSpec("camera", url, "vehicle")],
        folder,
        stop=stop,
        options=OPTIONS,
        make_room=partial(make_room, folder, quota_bytes=QUOTA_BYTES, min_free_bytes=0, sizes=sizes),
        on_status=partial(write_status, folder / STATUS_NAME),
    )


def _counts(folder: Path) -> tuple[int, int]:
    """Packets recorded and dropped by now."""
    path = folder / STATUS_NAME
    if not path.exists():
        return 0, 0
    camera = json.loads(path.read_text())["cameras"][0]
    return camera["packets"], camera["dropped"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=60, help="of footage")
    parser.add_argument("--speed", type=float, default=20, help="times real time, at most")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--record", nargs=2, metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.record:
        folder, url = arguments.record
        run_recorder(Path(folder), url)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(minutes=arguments.minutes, speed=arguments.speed, folder=Path(folder))
    if arguments.json:
        print(json.dumps(figures))
    else:
        from catseye.console import print_table

        rows = [(name.replace("_", " "), value) for name, value in figures.items()]
        print_table(f"Memory of a recorder, bound +{figures['bound_mib']:g} MiB", ("figure", "value"), rows)
    return 0 if figures["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
