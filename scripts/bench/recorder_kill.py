"""Recorders killed without warning: how much of what had arrived is footage after a salvage.

    python scripts/bench/recorder_kill.py [--kills 200] [--results FILE] [--json]

Each case starts a recorder of two cameras, kills it (SIGKILL) at a random instant, salvages, and decodes all
that is there. The cameras are HTTP servers of this script that send MPEG-TS at 25 frames a second and write
the number of each frame into its picture, so that every frame sent is looked for by its number. Cases go to
``results/recorder_kill.jsonl``, and those that are there are not run again unless the recorder has changed.

Bounds: of the frames that had arrived a second before the kill 99.5 % or more decode; every closed segment
has the SHA-256 that the journal says; the journal is readable, each line of it. Exits 1 when one is missed.
On a busy machine the second is longer by what the recorder's threads waited for a processor within the last
five, by the kernel's account; the table says how long that was.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import OutputContainer
from av.video.stream import VideoStream
from case_results import config_of, run_cases
from http_camera import RATE, HttpCamera
from numbered_footage import BITS, HEIGHT, WIDTH, footage_of, numbered, torn_lines

from catseye.capture import journal
from catseye.capture.recording.options import RecordOptions, SourceSpec
from catseye.capture.recording.recorder import record
from catseye.capture.recording.salvaging import salvage

RESULTS = Path(__file__).with_name("results") / "recorder_kill.jsonl"
CODE = ("capture/recording", "capture/live.py", "capture/journal.py")
CAMERAS = ("front", "rear")
GOP = 25
SHORTEST_S, LONGEST_S = 1.0, 5.0
MARGIN_S = 1.0
WATCHED_S = 5.0
BOUND = 0.995
OPTIONS = RecordOptions(segment_s=2.0)


class Camera(HttpCamera):
    """Films numbered pictures; ``sent`` is when each had gone out."""

    def __init__(self) -> None:
        self.sent: dict[int, float] = {}
        super().__init__(WIDTH, HEIGHT)

    def film(self, container: OutputContainer, stream: VideoStream, out: BinaryIO) -> None:
        stream.options = {"tune": "zerolatency", "preset": "ultrafast", "g": str(GOP), "threads": "1"}
        began, first = time.monotonic(), len(self.sent)
        for number in range(1 << BITS):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            picture = av.VideoFrame.from_ndarray(numbered(first + number), format="gray")
            picture = picture.reformat(format="yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(picture))
            out.flush()
            self.sent[first + number] = time.monotonic()


def run_case(seed: int, folder: Path) -> dict[str, Any]:
    """One recorder killed: counts of frames, and what is wrong in words."""
    with ExitStack() as stack:
        cameras = [stack.enter_context(_serving(Camera())) for _ in CAMERAS]
        command = [sys.executable, __file__, "--record", str(folder), *(c.address for c in cameras)]
        process = stack.enter_context(subprocess.Popen(command))
        try:
            _wait_for_first_frames(cameras, process)
            waited_s = _live_for(random.Random(seed).uniform(SHORTEST_S, LONGEST_S), process.pid)
        finally:
            process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        process.wait()
    open_segments = len(list(folder.rglob("*.part")))
    closed_segments = sum(len(_lines(camera)) for camera in journal.camera_folders(folder))
    salvage(folder)
    expected = decoded = 0
    faults: list[str] = []
    for name, camera in zip(CAMERAS, cameras, strict=True):
        due = {number for number, at in camera.sent.items() if at <= killed - MARGIN_S - waited_s}
        found, wrong = footage_of(folder / "vehicle" / name)
        torn = torn_lines(folder / "vehicle" / name)
        faults += wrong + ([f"{torn} lines of the journal are not JSON"] if torn else [])
        expected += len(due)
        decoded += len(due & found)
    return {
        "arrived": expected,
        "decoded": decoded,
        "open_segments": open_segments,
        "closed_segments": closed_segments,
        "waited_s": round(waited_s, 3),
        "faults": faults,
    }


def _lines(folder: Path) -> list[journal.SegmentClosed]:
    return list(journal.segments(journal.read(folder)).values())


@contextmanager
def _serving(camera: Camera) -> Iterator[Camera]:
    threading.Thread(target=camera.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield camera
    finally:
        camera.shutdown()
        camera.server_close()


def _wait_for_first_frames(cameras: list[Camera], process: subprocess.Popen[bytes]) -> None:
    while not all(camera.sent for camera in cameras):
        if process.poll() is not None:
            raise SystemExit("the recorder ended by itself")
        time.sleep(0.02)


def _live_for(seconds: float, pid: int) -> float:
    """Sleep; then, how long the process's threads waited for a processor in the last ``WATCHED_S``."""
    end = time.monotonic() + seconds
    waits: list[tuple[float, float]] = []
    while (now := time.monotonic()) < end:
        waits.append((now, _processor_wait_s(pid)))
        time.sleep(min(0.1, end - now))
    before = max((wait for at, wait in waits if at <= end - WATCHED_S), default=waits[0][1])
    return _processor_wait_s(pid) - before


def _processor_wait_s(pid: int) -> float:
    """Summed over its threads; Linux's ``Documentation/scheduler/sched-stats``."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            total += int((thread / "schedstat").read_text().split()[1])
    return total / 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--record", nargs="+", metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.record:
        folder, *urls = arguments.record
        sources = [SourceSpec(name, url, "vehicle") for name, url in zip(CAMERAS, urls, strict=True)]
        record(sources, Path(folder), options=OPTIONS)
        return 0

    def run(seed: int) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            return run_case(seed, Path(folder))

    config = config_of(OPTIONS, CODE)
    cases = list(
        run_cases("recorder_kill", range(arguments.kills), config=config, results=arguments.results, run=run)
    )
    arrived, decoded = (sum(case[name] for case in cases) for name in ("arrived", "decoded"))
    faults = [fault for case in cases for fault in case["faults"]]
    kept = decoded / max(1, arrived)
    passed = arrived > 0 and kept >= BOUND and not faults
    summary = {
        "kills": len(cases),
        "arrived": arrived,
        "decoded": decoded,
        "kept": kept,
        "worst_case_kept": min(case["decoded"] / case["arrived"] for case in cases if case["arrived"]),
        "median_waited_s": statistics.median(case["waited_s"] for case in cases),
        "open_segments": sum(case["open_segments"] for case in cases),
        "closed_segments": sum(case["closed_segments"] for case in cases),
        "faults": faults,
        "passed": passed,
    }
    if arguments.json:
        print(json.dumps(summary))
    else:
        from catseye.console import print_table

        rows = [(name.replace("_", " "), value) for name, value in summary.items() if name != "faults"]
        print_table(f"Recorders killed, bound {BOUND:.1%} kept and no fault", ("figure", "value"), rows)
        for fault in faults:
            print(fault)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
