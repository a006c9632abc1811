#!/usr/bin/env python3
"""Random clips of 4 frames at 320x192: ours beside torchcodec and decord, from originals and from our shards.

    python scripts/bench/clip_reader.py [--video FILE]… [--clips N] [--rounds N] [--clock wall|cpu] [--json]

The footage is ingested; then clips of 4 frames, 0.2 s apart, are drawn at random, as many of each height of
original, and every way reads every clip, taking turns every 8 clips in a random order. One process, one
decoder thread each, files open. Every peer resizes by itself while decoding, to the size that the picture has
in our frame, and must give the pictures that ours gives. torchcodec runs with exact and with approximate
seeks, and on shards also with no resize, and the fastest of them counts. ``batch`` are the same clips through
``read_many``, 8 at a time, and is told for itself: the peers have no such call over files. So is decord,
which comes last, because its threads go on after a call has returned.

Bounds, by height of the original, of the median over all turns: ours from originals 1.0 of torchcodec from
originals; ours from shards 8 of torchcodec from originals, and 1.2 of torchcodec from the same shards; and
0.95 of ours with no checksum to verify. Exits 1 when one is missed. Wall time is what counts; ``--clock cpu``
is for a machine that others use too.

Without --video it takes the real footage beside the project, or renders a world where there is none. Peers:
pip install torchcodec decord, and FFmpeg's shared libraries for torchcodec.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.clips import ClipReader, Request
from catseye.capture.dataset import Clip, Dataset
from catseye.capture.geometry import Image, letterbox
from catseye.capture.ingestion import ingest
from catseye.capture.originals import OriginalReader
from catseye.capture.rendering import synth
from catseye.console import print_table

FOOTAGE = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"
FRAMES, STEP_S = 4, 0.2
TURN = 8
LARGEST_DIFFERENCE = 4.0
"""Mean difference in levels that resizing and colour conversion of another kind may make."""

OURS_ORIGINAL, OURS_SHARD, OURS_BATCH = "originals: ours", "shards: ours", "shards: ours, batch"
OURS_UNCHECKED = "shards: ours, unchecked"
CODEC_ORIGINAL = ("originals: torchcodec exact", "originals: torchcodec approximate")
CODEC_SHARD = ("shards: torchcodec exact", "shards: torchcodec approximate", "shards: torchcodec no resize")
BOUNDS = (
    (OURS_ORIGINAL, CODEC_ORIGINAL, 1.0),
    (OURS_SHARD, CODEC_ORIGINAL, 8.0),
    (OURS_SHARD, CODEC_SHARD, 1.2),
    (OURS_SHARD, (OURS_UNCHECKED,), 0.95),
)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Draw:
    """One clip to read: a row, which of its frames, and their places in the source and in the shard."""

    clip: Clip
    frames: list[int]
    source_places: list[int]
    shard_places: list[int]
    shard: str


@dataclass(frozen=True)
class Verdict:
    """How many times faster a way is than the fastest of its peers; true where that is enough."""

    ours: str
    peer: str
    height: int
    ratio: float
    lower_quartile: float
    upper_quartile: float
    bound: float

    def __bool__(self) -> bool:
        return self.ratio >= self.bound


Read = Callable[[Draw], Image]
ReadMany = Callable[[Sequence[Draw]], object]
Seconds = dict[tuple[int, str], list[float]]
"""By height of the original and way, the time a clip took in each turn."""


def draw(dataset: Dataset, *, count: int, seed: int) -> list[Draw]:
    """Random clips, ``count`` for each height of original, each frame as likely to begin one."""
    rng = np.random.default_rng(seed)
    span_s = STEP_S * (FRAMES - 1)
    rows = [clip for clip in dataset.clips if len(clip)]
    source_pts, shard_pts = defaultdict(list), defaultdict(list)
    for clip in rows:
        source_pts[clip.source].extend(clip.pts.tolist())
        shard_pts[clip.shard].extend(clip.shard_pts.tolist())
    draws = []
    for height in sorted({clip.height for clip in rows}):
        fitting = [clip for clip in rows if clip.height == height and clip.times_s[-1] > span_s]
        weights = np.array([len(clip) for clip in fitting], dtype=np.float64)
        for index in rng.choice(len(fitting), size=count, p=weights / weights.sum()):
            clip = fitting[index]
            start_s = rng.uniform(0, clip.times_s[-1] - span_s)
            frames = np.searchsorted(clip.times_s, start_s + STEP_S * np.arange(FRAMES))
            draws.append(
                Draw(
                    clip,
                    frames.tolist(),
                    np.searchsorted(np.sort(source_pts[clip.source]), clip.pts[frames]).tolist(),
                    np.searchsorted(np.sort(shard_pts[clip.shard]), clip.shard_pts[frames]).tolist(),
                    f"{dataset.url}/{clip.shard}",
                )
            )
    order = rng.permutation(len(draws))
    return [draws[place] for place in order]


def without_checksums(dataset: Dataset) -> Dataset:
    """As datasets were before their manifests had any."""
    none = np.zeros(0, dtype=np.uint32)
    return replace(dataset, clips=tuple(replace(clip, shard_checksums=none) for clip in dataset.clips))


def torchcodec_ways(size: tuple[int, int]) -> dict[str, Read]:
    """Its decoders, kept open, on originals and on shards."""
    torch = import_module("torch")
    decoders, transforms = import_module("torchcodec.decoders"), import_module("torchcodec.transforms")
    torch.set_num_threads(1)

    @cache
    def decoder(path: str, to: tuple[int, int] | None, seek_mode: str) -> Any:
        return decoders.VideoDecoder(
            path,
            dimension_order="NHWC",
            num_ffmpeg_threads=1,
            seek_mode=seek_mode,
            transforms=[transforms.Resize(to)] if to else [],
        )

    def original(seek_mode: str) -> Read:
        def read(one: Draw) -> Image:
            found = decoder(one.clip.source, _inner(one.clip, size), seek_mode)
            return found.get_frames_at(one.source_places).data.numpy()

        return read

    def shard(seek_mode: str, to: tuple[int, int] | None) -> Read:
        return lambda one: decoder(one.shard, to, seek_mode).get_frames_at(one.shard_places).data.numpy()

    exact, approximate, plain = CODEC_SHARD
    return {
        CODEC_ORIGINAL[0]: original("exact"),
        CODEC_ORIGINAL[1]: original("approximate"),
        exact: shard("exact", size[::-1]),
        approximate: shard("approximate", size[::-1]),
        plain: shard("exact", None),
    }


def decord_ways(size: tuple[int, int]) -> dict[str, Read]:
    decord = import_module("decord")

    @cache
    def video(path: str, height: int, width: int) -> Any:
        return decord.VideoReader(path, width=width, height=height, num_threads=1)

    return {
        "originals: decord": lambda one: (
            video(one.clip.source, *_inner(one.clip, size)).get_batch(one.source_places).asnumpy()
        ),
        "shards: decord": lambda one: video(one.shard, *size[::-1]).get_batch(one.shard_places).asnumpy(),
    }


def if_installed(
    name: str, make: Callable[[tuple[int, int]], dict[str, Read]], size: tuple[int, int]
) -> dict[str, Read]:
    """A peer's ways; none, and a line that says why, where it does not run."""
    try:
        return make(size)
    except (ImportError, OSError, RuntimeError) as error:
        print(f"{name} does not run here: {str(error).strip().partition(chr(10))[0]}", file=sys.stderr)
        return {}


def one_by_one(read: Read) -> ReadMany:
    return lambda draws: [read(one) for one in draws]


def differences(ways: dict[str, Read], draws: Sequence[Draw], size: tuple[int, int]) -> dict[str, float]:
    """Mean difference of each way's pictures from ours, in levels, inside the border; opens every file."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for one in {one.clip.source: one for one in draws}.values():
        for kind, ours in (("originals", OURS_ORIGINAL), ("shards", OURS_SHARD)):
            expected = _inside(ways[ours](one), one.clip, size).astype(np.int16)
            for name, read in ways.items():
                if name.startswith(kind):
                    pictures = _inside(read(one), one.clip, size)
                    found[name].append(float(np.abs(pictures - expected).mean()))
    return {name: float(np.mean(levels)) for name, levels in found.items()}


def measure(
    ways: dict[str, ReadMany], draws: Sequence[Draw], *, rounds: int, clock: str, seed: int
) -> Seconds:
    now, rng, names = CLOCKS[clock], np.random.default_rng(seed), list(ways)
    seconds: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for height in {one.clip.height for one in draws}:
            alike = [one for one in draws if one.clip.height == height]
            for first in range(0, len(alike), TURN):
                some = alike[first : first + TURN]
                for place in rng.permutation(len(names)):
                    began = now()
                    ways[names[place]](some)
                    seconds[height, names[place]].append((now() - began) / len(some))
    return dict(seconds)


def verdicts(seconds: Seconds) -> list[Verdict]:
    found = []
    for height in sorted({height for height, _ in seconds}):
        for ours, peers, bound in BOUNDS:
            peer = min(peers, key=lambda name, at=height: np.median(seconds[at, name]))
            ratios = np.array(seconds[height, peer]) / np.array(seconds[height, ours])
            low, median, high = (float(value) for value in np.percentile(ratios, (25, 50, 75)))
            found.append(Verdict(ours, peer, height, median, low, high, bound))
    return found


def _inner(clip: Clip, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a source's picture inside the network frame."""
    box = letterbox(clip.width, clip.height, *size)
    return box.scaled_height, box.scaled_width


def _inside(pictures: Image, clip: Clip, size: tuple[int, int]) -> NDArray[np.uint8]:
    box = letterbox(clip.width, clip.height, *size)
    if pictures.shape[1:3] == (box.scaled_height, box.scaled_width):
        return pictures
    return pictures[:, box.top : box.top + box.scaled_height, box.left : box.left + box.scaled_width]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, action="append", default=[])
    parser.add_argument("--clips", type=int, default=50, help="for each height of original")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    logging.getLogger("catseye").setLevel(logging.ERROR)  # it warns that one drive leaves none to validate on
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = options.video or sorted(FOOTAGE.glob("*.mp4"))
        if not videos:
            size = {"width": 960, "height": 540}
            videos = [synth(folder / "world", seed=options.seed, clips=4, duration_s=8.0, **size)]
        dataset = ingest(videos, folder / "dataset")
        network = dataset.info.width, dataset.info.height
        draws = draw(dataset, count=options.clips, seed=options.seed)
        reader, originals = ClipReader(dataset), OriginalReader(dataset)
        unchecked = ClipReader(without_checksums(dataset))
        compared: dict[str, Read] = {
            OURS_ORIGINAL: lambda one: originals.read(one.clip, one.frames),
            OURS_SHARD: lambda one: reader.read(one.clip, one.frames),
            OURS_UNCHECKED: lambda one: unchecked.read(one.clip, one.frames),
            **if_installed("torchcodec", torchcodec_ways, network),
        }
        beside = if_installed("decord", decord_ways, network)
        levels = differences({**compared, **beside}, draws, network)
        ways = {name: one_by_one(read) for name, read in compared.items()}
        ways[OURS_BATCH] = lambda many: reader.read_many([Request(one.clip, one.frames) for one in many])
        given = {"rounds": options.rounds, "clock": options.clock, "seed": options.seed}
        seconds = measure(ways, draws, **given)
        last = {name: one_by_one(read) for name, read in beside.items()}
        seconds |= measure(last, draws, **given)
    complete = {*CODEC_ORIGINAL, *CODEC_SHARD} <= compared.keys()
    held = verdicts(seconds) if complete else []
    same = all(level <= LARGEST_DIFFERENCE for level in levels.values())
    passed = complete and all(held) and same
    rates = {key: 1 / float(np.median(taken)) for key, taken in seconds.items()}
    heights = sorted({height for height, _ in rates})
    if options.json:
        found = {
            "clips_per_s": {at: {way: rate for (h, way), rate in rates.items() if h == at} for at in heights},
            "difference": levels,
            "bounds": [{**asdict(one), "met": bool(one)} for one in held],
            "clock": options.clock,
            "versions": {name: version(name) for name in ("av", "torchcodec", "decord") if find_spec(name)},
            "passed": passed,
        }
        print(json.dumps(found, indent=2))
        return 0 if passed else 1
    print_table(
        f"Random clips of {FRAMES} frames, {options.clock} time",
        ("way", *(f"clips/s, {height}p" for height in heights), "differs by"),
        [
            (way, *(f"{rates[h, way]:.1f}" for h in heights), f"{levels[way]:.2f}" if way in levels else "")
            for way in (*ways, *beside)
        ],
    )
    print_table(
        "Bounds, medians over all turns",
        ("ours", "peer", "from", "ratio", "quartiles", "bound", ""),
        [
            (
                one.ours,
                one.peer,
                f"{one.height}p",
                f"{one.ratio:.2f}",
                f"{one.lower_quartile:.2f}…{one.upper_quartile:.2f}",
                f"{one.bound:g}",
                "ok" if one else "MISSED",
            )
            for one in held
        ],
    )
    if not same:
        print(f"not all ways give the same pictures, to {LARGEST_DIFFERENCE} levels", file=sys.stderr)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
