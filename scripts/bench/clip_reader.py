"""Random training clips through ClipReader and through plain PyAV, in clips a second.

    python scripts/bench/clip_reader.py [--video FILE]… [--clips N] [--rounds N] [--seed N] [--json]

Without --video a road world is rendered. The footage is ingested at 320x192; then clips of 4 frames, 0.2 s
apart, are drawn at random, and the same frames are read three ways, taking turns round by round:

    reader     ClipReader: exact by pts, cropped, converted and padded by the one geometry
    plain      PyAV by hand on the same shards, files open: seek, decode up to the last frame, to_ndarray
    original   the same by hand on the videos before ingest, which is what shards are there to avoid

Each figure is the median over the rounds; one decoder thread, one process. Bound: the reader gives 0.9 of the
plain rate or more. Exits 1 when it is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.clips import ClipReader
from catseye.capture.dataset import Clip, Dataset
from catseye.capture.ingestion import ingest
from catseye.capture.rendering import synth

FRAMES = 4
STEP_S = 0.2
BOUND = 0.9


@dataclass(frozen=True)
class Draw:
    """One clip to read: a row and the indices of its frames."""

    clip: Clip
    frames: NDArray[np.int64]


def draw(dataset: Dataset, *, count: int, seed: int) -> list[Draw]:
    """Random clips, each frame as likely to begin one."""
    rng = np.random.default_rng(seed)
    span_s = STEP_S * (FRAMES - 1)
    long_enough = [clip for clip in dataset.select() if clip.times_s[-1] > span_s]
    weights = np.array([len(clip) for clip in long_enough], dtype=np.float64)
    draws = []
    for index in rng.choice(len(long_enough), size=count, p=weights / weights.sum()):
        clip = long_enough[index]
        start_s = rng.uniform(0, clip.times_s[-1] - span_s)
        frames = np.searchsorted(clip.times_s, start_s + STEP_S * np.arange(FRAMES))
        draws.append(Draw(clip, frames))
    return draws


class Plain:
    """Seek, decode and convert with PyAV alone, each file opened once."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.open: dict[str, av.container.InputContainer] = {}

    def read(self, path: str, pts: Sequence[int]) -> NDArray[np.uint8]:
        if path not in self.open:
            self.open[path] = av.open(path)
            self.open[path].streams.video[0].codec_context.thread_count = 1
        container = self.open[path]
        stream = container.streams.video[0]
        container.seek(int(pts[0]), stream=stream, backward=True)
        wanted = set(map(int, pts))
        found = []
        for picture in container.decode(stream):
            if picture.pts in wanted:
                found.append(picture.to_ndarray(format="rgb24", width=self.size[0], height=self.size[1]))
                if len(found) == len(wanted):
                    break
        return np.stack(found)


def rates(ways: dict[str, Callable[[Draw], object]], draws: Sequence[Draw], rounds: int) -> dict[str, float]:
    """Clips a second for each way: the median over rounds in which they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, read in ways.items():
            start = time.perf_counter()
            for one in draws:
                read(one)
            seconds[name].append(time.perf_counter() - start)
    return {name: len(draws) / float(np.median(taken)) for name, taken in seconds.items()}


def measure(videos: Sequence[Path], folder: Path, *, count: int, rounds: int, seed: int) -> dict[str, float]:
    dataset = ingest(videos, folder / "dataset")
    draws = draw(dataset, count=count, seed=seed)
    reader, plain = ClipReader(dataset), Plain((dataset.info.width, dataset.info.height))
    ways: dict[str, Callable[[Draw], object]] = {
        "reader": lambda one: reader.read(one.clip, one.frames.tolist()),
        "plain": lambda one: plain.read(
            f"{dataset.url}/{one.clip.shard}", one.clip.shard_pts[one.frames].tolist()
        ),
        "original": lambda one: plain.read(one.clip.source, one.clip.pts[one.frames].tolist()),
    }
    for read in ways.values():
        read(draws[0])
    return rates(ways, draws, rounds)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, action="append", default=[])
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = options.video or [synth(folder / "world", seed=options.seed, clips=4, duration_s=8.0)]
        found = measure(videos, folder, count=options.clips, rounds=options.rounds, seed=options.seed)
    ratio = found["reader"] / found["plain"]
    if options.json:
        print(json.dumps({"clips_per_s": found, "ratio": ratio, "bound": BOUND, "met": ratio >= BOUND}))
    else:
        print(f"{'way':<10}{'clips/s':>9}")
        for way, rate in found.items():
            print(f"{way:<10}{rate:>9.1f}")
        verdict = "met" if ratio >= BOUND else "missed"
        print(f"reader / plain {ratio:.2f}; bound {BOUND}: {verdict}")
    return 0 if ratio >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
