#!/usr/bin/env python3
"""Ingest beside the ffmpeg program doing the same transcode, in seconds of video a second.

    python scripts/bench/ingest_speed.py [--video FILE]… [--rounds N] [--clock wall|cpu] [--json]

Both decode each video, shrink it by area into the letterbox, and encode a shard with the same x264 options
and key frames, with one thread each; ingest also hashes the file, scores every frame and writes its tables.
Videos of one size are a set: one ingest of all of them, and ffmpeg one after the other. Both take turns, in
another order each round. Neither way's start counts: ingest runs in this process, and of each ffmpeg the time
that it takes to do nothing is taken off. Bound: ingest has 0.9 of ffmpeg's rate or more, by the median over
the rounds, for every set. Exits 1 when it is missed.

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
from shutil import rmtree, which

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


def ours(videos: Sequence[Path], folder: Path) -> None:
    ingest(videos, folder / "dataset", width=WIDTH, height=HEIGHT, jobs=1)


def ffmpeg(videos: Sequence[Path], folder: Path) -> None:
    for video in videos:
        with VideoFile(video) as opened:
            box = letterbox(opened.info.width, opened.info.height, WIDTH, HEIGHT)
        scale = f"scale={box.scaled_width}:{box.scaled_height}:flags=area"
        pad = f"pad={WIDTH}:{HEIGHT}:{box.left}:{box.top}"
        key = f"expr:gte(t,n_forced*{KEY_INTERVAL_S})"
        run_ffmpeg(
            *("-threads", "1", "-i", str(video)),
            *("-map", "0:v:0", "-vf", f"{scale},{pad}", "-filter_threads", "1", "-vsync", "passthrough"),
            *("-c:v", "libx264", "-threads", "1", "-force_key_frames", key),
            *(word for name, value in ENCODER.items() for word in (f"-{name}", value)),
            str(folder / f"{video.stem}.mp4"),
        )


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


def measure(videos: Sequence[Path], *, rounds: int, clock: str) -> dict[str, list[float]]:
    """Seconds of each round by ``ingest`` and by ``ffmpeg``."""
    now, ways = CLOCKS[clock], {"ingest": ours, "ffmpeg": ffmpeg, "nothing": nothing}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways) if number % 2 else list(ways)[::-1]:
            folder = Path(tempfile.mkdtemp())
            began = now()
            ways[name](videos, folder)
            seconds[name].append(now() - began)
            rmtree(folder)
    idle_s = float(np.median(seconds.pop("nothing")))
    return {**seconds, "ffmpeg": [taken - idle_s for taken in seconds["ffmpeg"]]}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, action="append", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
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
        sets = {
            size: compare(members, rounds=options.rounds, clock=options.clock)
            for size, members in by_size(videos).items()
        }
    met = all(found["ratio"] >= BOUND for found in sets.values())
    if options.json:
        print(json.dumps({"sets": sets, "bound": BOUND, "clock": options.clock, "met": met}, indent=2))
    else:
        print_table(
            f"Video s/s, one thread each, {len(videos)} videos, {options.clock} time",
            ("size", "ingest", "ffmpeg", "ratio", "quartiles"),
            [
                (
                    size,
                    *(f"{found[name]:.2f}" for name in ("ingest", "ffmpeg", "ratio")),
                    f"{found['low']:.2f}…{found['high']:.2f}",
                )
                for size, found in sets.items()
            ],
        )
        print(f"bound {BOUND} for each: {'met' if met else 'MISSED'}")
    return 0 if met else 1


def compare(videos: Sequence[Path], *, rounds: int, clock: str) -> dict[str, float]:
    """Median rates of both ways, and median and quartiles of their ratio."""
    footage_s = 0.0
    for video in videos:
        with VideoFile(video) as opened:
            footage_s += opened.info.duration_s
    seconds = measure(videos, rounds=rounds, clock=clock)
    ratios = np.array(seconds["ffmpeg"]) / np.array(seconds["ingest"])
    low, ratio, high = (float(value) for value in np.percentile(ratios, (25, 50, 75)))
    rates = {name: footage_s / float(np.median(taken)) for name, taken in seconds.items()}
    return {**rates, "ratio": ratio, "low": low, "high": high}


if __name__ == "__main__":
    sys.exit(main())
