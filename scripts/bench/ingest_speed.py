#!/usr/bin/env python3
"""Ingest beside the ffmpeg program doing the same transcode, in seconds of video a second.

    python scripts/bench/ingest_speed.py [--video FILE]… [--rounds N] [--json]

Both decode each video, shrink it by area into the letterbox, and encode a shard with the same x264 options
and key frames; ingest also hashes the file, scores its frames and writes its tables. Two questions:

- *machine*: all videos by the clock on the wall, each program with the threads and processes that it takes of
  itself. ffmpeg has one video at a time. Bound: ingest has 0.9 of ffmpeg's rate or more.
- *thread*: by the processor's clock with one thread each, videos of one size at a time: what scoring costs.
  No bound.

Both programs take turns, in another order each round; ratios are medians over the rounds. Neither way's start
counts: ingest runs in this process, and of each ffmpeg the time that it takes to do nothing is taken off.
Exits 1 when the bound is missed.

Without --video it takes the real footage beside the project, or renders a world where there is none. Needs
the ffmpeg program: apt-get install ffmpeg.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import which

import cv2
import numpy as np

from catseye.capture.geometry import letterbox
from catseye.capture.ingestion import ingest
from catseye.capture.rendering import synth
from catseye.capture.shards import B_FRAMES, CRF, KEY_INTERVAL_S, PRESET, QUICK_TO_READ
from catseye.capture.sources import VideoFile
from catseye.console import print_table

FOOTAGE = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"
WIDTH, HEIGHT = 320, 192
BOUND = 0.9
ENCODER = {
    "crf": str(CRF),
    "preset": PRESET,
    "bf": str(B_FRAMES),
    "g": "1000000000",
    "sc_threshold": "0",
    "mbtree": "0",
    **QUICK_TO_READ,
}

Transcode = Callable[[Sequence[Path], Path], None]


def ingest_with(jobs: int) -> Transcode:
    """Ingest in so many processes; 0 for one a core."""

    def ours(videos: Sequence[Path], folder: Path) -> None:
        ingest(videos, folder / "dataset", width=WIDTH, height=HEIGHT, jobs=jobs)

    return ours


def ffmpeg_with(*threads: str) -> Transcode:
    """ffmpeg with these words, if any, to limit the threads of decoder and encoder."""

    def ffmpeg(videos: Sequence[Path], folder: Path) -> None:
        for video in videos:
            with VideoFile(video) as opened:
                box = letterbox(opened.info.width, opened.info.height, WIDTH, HEIGHT)
            scale = f"scale={box.scaled_width}:{box.scaled_height}:flags=area"
            pad = f"pad={WIDTH}:{HEIGHT}:{box.left}:{box.top}"
            key = f"expr:gte(t,n_forced*{KEY_INTERVAL_S})"
            run_ffmpeg(
                *(*threads, "-i", str(video)),
                *("-map", "0:v:0", "-vf", f"{scale},{pad}", "-vsync", "passthrough"),
                *("-c:v", "libx264", *threads, "-force_key_frames", key),
                *(word for name, value in ENCODER.items() for word in (f"-{name}", value)),
                str(folder / f"{video.stem}.mp4"),
            )

    return ffmpeg


def nothing(videos: Sequence[Path], folder: Path) -> None:
    for video in videos:
        with VideoFile(video):
            run_ffmpeg("-version")


def run_ffmpeg(*words: str) -> None:
    command = ("ffmpeg", "-nostdin", "-loglevel", "error", *words)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def cpu_s() -> float:
    """Processor seconds of this process and of those it has waited for."""
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + of_children.ru_utime + of_children.ru_stime


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": cpu_s}


def by_size(videos: Sequence[Path]) -> dict[str, list[Path]]:
    sets: dict[str, list[Path]] = {}
    for video in videos:
        with VideoFile(video) as opened:
            sets.setdefault(f"{opened.info.width}x{opened.info.height}", []).append(video)
    return sets


def compare(
    videos: Sequence[Path], ways: dict[str, Transcode], *, rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Median rates of ``ingest`` and ``ffmpeg``, and median and quartiles of their ratio."""
    footage_s = 0.0
    for video in videos:
        with VideoFile(video) as opened:
            footage_s += opened.info.duration_s
    seconds: dict[str, list[float]] = {name: [] for name in (*ways, "nothing")}
    for number in range(rounds):
        turns = [*ways.items(), ("nothing", nothing)]
        for name, way in turns if number % 2 else turns[::-1]:
            with tempfile.TemporaryDirectory() as folder:
                began = clock()
                way(videos, Path(folder))
                seconds[name].append(clock() - began)
    idle_s = float(np.median(seconds.pop("nothing")))
    theirs = np.array(seconds["ffmpeg"]) - idle_s
    low, ratio, high = (float(q) for q in np.percentile(theirs / np.array(seconds["ingest"]), (25, 50, 75)))
    return {
        "ingest": footage_s / float(np.median(seconds["ingest"])),
        "ffmpeg": footage_s / float(np.median(theirs)),
        "ratio": ratio,
        "low": low,
        "high": high,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, action="append", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if which("ffmpeg") is None:
        print("ffmpeg is not installed; run: sudo apt-get install ffmpeg", file=sys.stderr)
        return 2
    cv2.setNumThreads(1)
    logging.getLogger("catseye").setLevel(logging.ERROR)  # it warns that one drive leaves none to validate on
    with tempfile.TemporaryDirectory() as name:
        videos = options.video or sorted(FOOTAGE.glob("*.mp4"))
        if not videos:
            world = synth(Path(name), seed=0, clips=2, duration_s=8.0, width=960, height=540)
            videos = sorted(world.glob("*.mp4"))
        whole = {"ingest": ingest_with(0), "ffmpeg": ffmpeg_with()}
        single = {"ingest": ingest_with(1), "ffmpeg": ffmpeg_with("-threads", "1")}
        found = {"machine": compare(videos, whole, rounds=options.rounds, clock=time.perf_counter)}
        for size, members in by_size(videos).items():
            found[f"thread, {size}"] = compare(members, single, rounds=options.rounds, clock=cpu_s)
    met = found["machine"]["ratio"] >= BOUND
    if options.json:
        print(json.dumps({"figures": found, "bound": BOUND, "met": met}, indent=2))
    else:
        print_table(
            f"Video s/s, {len(videos)} videos, {options.rounds} rounds",
            ("", "ingest", "ffmpeg", "ratio", "quartiles"),
            [
                (
                    what,
                    *(f"{figures[name]:.2f}" for name in ("ingest", "ffmpeg", "ratio")),
                    f"{figures['low']:.2f}…{figures['high']:.2f}",
                )
                for what, figures in found.items()
            ],
        )
        print(f"bound {BOUND} for the machine: {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
