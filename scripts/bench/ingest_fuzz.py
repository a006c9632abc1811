"""Mutated videos into an ingest: nothing crashes it or hangs it, and each is accounted for.

    python scripts/bench/ingest_fuzz.py [--files N] [--seed N] [--jobs N] [--keep DIR] [--json]

Small videos of every codec and container are mutated in turns: bits flipped, cut off, spliced with another,
filled with zeros, given a wrong suffix, emptied, and told to be huge (sizes in headers set to their
greatest). All go into one ingest, in a process of its own, which has a time limit by their number.

Bounds: the ingest ends by itself, without an error; every file is a row with clips that can be used or with a
reason, and the reason is no error of ours; no process takes more than 1.5 GiB. Exits 1 when one is missed.
Mutated files that still decode are copies of each other, so most are set aside as near-duplicates; that is a
reason too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.codec import codecs_available
from av.video.frame import VideoFrame

from catseye.capture.ingestion import UNEXPECTED, ingest

MEMORY_BOUND = 1.5 * 2**30
STALL_S = 10.0
SECONDS_A_FILE = 30.0

SOURCES = (
    ("h264.mp4", "libx264", {"bf": "2"}, {}),
    ("h264-fragments.mp4", "libx264", {}, {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    ("hevc.mkv", "libx265", {"x265-params": "log-level=error:pools=1"}, {}),
    ("mpeg2.ts", "mpeg2video", {}, {}),
    ("mjpeg.avi", "mjpeg", {}, {}),
    ("av1.mov", "libsvtav1", {"preset": "12", "svtav1-params": "lp=1"}, {}),
    ("h264.ts", "libx264", {}, {}),
)
SUFFIXES = (".mp4", ".mkv", ".avi", ".ts", ".mov")

HEADERS = (
    *(
        b"tkhd",
        b"mdhd",
        b"mvhd",
        b"stsz",
        b"stts",
        b"stsc",
        b"stco",
        b"trun",
        b"avc1",
        b"av01",
        b"mdat",
        b"moov",
    ),
    *(b"avih", b"strh", b"strf", b"idx1"),
    *(b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b"),
    *(b"\x00\x00\x01\xb3", b"\xff\xc0"),
)
"""What sizes stand beside: boxes of MP4, chunks of AVI, elements of Matroska, an MPEG-2 sequence, a JPEG."""

Bytes = bytearray
Mutation = Callable[[Bytes, np.random.Generator, Sequence[bytes]], Bytes]


def render(path: Path, codec: str, codec_options: dict[str, str], container_options: dict[str, str]) -> None:
    """Two seconds of a texture that drives by."""
    rng = np.random.default_rng(len(path.name))
    coarse = rng.integers(20, 230, (8, 40, 3)).astype(np.uint8)
    scene = cv2.resize(coarse, (640, 96), interpolation=cv2.INTER_CUBIC)
    container_format = "mp4" if path.suffix == ".mov" and codec == "libsvtav1" else None
    with av.open(str(path), "w", format=container_format, options=container_options) as container:
        stream = container.add_stream(codec, rate=25, options={"g": "12", **codec_options})
        stream.width, stream.height = 160, 96
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(50):
            rgb = np.ascontiguousarray(scene[:, 5 * number : 5 * number + 160])
            picture = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=stream.pix_fmt)
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    # SVT-AV1 gives a process of root's real-time priority, which would leave the others no core.
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def flip_bits(content: Bytes, rng: np.random.Generator, others: Sequence[bytes]) -> Bytes:
    for at in rng.integers(0, len(content), int(2 ** rng.integers(0, 9))):
        content[at] ^= 1 << int(rng.integers(8))
    return content


def cut_off(content: Bytes, rng: np.random.Generator, others: Sequence[bytes]) -> Bytes:
    return content[: int(rng.integers(1, len(content)))]


def splice(content: Bytes, rng: np.random.Generator, others: Sequence[bytes]) -> Bytes:
    other = others[int(rng.integers(len(others)))]
    return content[: int(rng.integers(1, len(content)))] + other[int(rng.integers(len(other))) :]


def fill_with_zeros(content: Bytes, rng: np.random.Generator, others: Sequence[bytes]) -> Bytes:
    start, stop = sorted(rng.integers(0, len(content), 2).tolist())
    content[start:stop] = bytes(stop - start)
    return content


def leave(content: Bytes, rng: np.random.Generator, others: Sequence[bytes]) -> Bytes:
    return content + bytes(rng.integers(0, 256, 8, dtype=np.uint8))  # content of its own, in a wrong suffix


def empty(content: Bytes, rng: np.random.Generator, others: Sequence[bytes]) -> Bytes:
    return Bytes()


def make_huge(content: Bytes, rng: np.random.Generator, others: Sequence[bytes]) -> Bytes:
    """Set numbers of two to eight bytes to their greatest, where headers lie."""
    found = [at for name in HEADERS if (at := bytes(content).find(name)) >= 0]
    for at in rng.choice(found or [0], size=min(3, max(1, len(found))), replace=False):
        size = int(rng.choice([2, 4, 8]))
        start = max(0, int(at) + int(rng.integers(-8, 40)))
        content[start : start + size] = b"\x7f" + b"\xff" * (size - 1)
    return content


MUTATIONS: dict[str, Mutation] = {
    "bit flips": flip_bits,
    "truncation": cut_off,
    "spliced": splice,
    "zero-filled": fill_with_zeros,
    "wrong extension": leave,
    "zero bytes": empty,
    "huge sizes": make_huge,
}


def make_files(folder: Path, *, count: int, seed: int) -> dict[Path, str]:
    """Mutated files, and the mutation of each."""
    originals: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as name:
        for file_name, codec, codec_options, container_options in SOURCES:
            if codec not in codecs_available:
                continue  # PyAV has carried other encoders of AV1
            path = Path(name) / file_name
            render(path, codec, codec_options, container_options)
            originals[file_name] = path.read_bytes()
    made = {}
    names = list(originals)
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        kind = list(MUTATIONS)[index % len(MUTATIONS)]
        original = names[index // len(MUTATIONS) % len(names)]
        content = MUTATIONS[kind](Bytes(originals[original]), rng, list(originals.values()))
        suffix = str(rng.choice(SUFFIXES)) if kind == "wrong extension" else Path(original).suffix
        path = folder / f"{index:05d}-{kind.replace(' ', '-')}-{Path(original).stem}{suffix}"
        path.write_bytes(content)
        made[path] = kind
    return made


def run_ingest(folder: Path, out: Path, jobs: int, results: Any) -> None:
    """Ingest, and tell what came of each path and how much memory the greediest process took."""
    try:
        dataset = ingest([folder], out, width=96, height=64, jobs=jobs, stall_s=STALL_S)
        rows: dict[str, list[str]] = {}
        for clip in dataset.clips:
            rows.setdefault(clip.source, []).append(clip.reason or f"{len(clip)} frames")
        fault = ""
    except BaseException:
        rows, fault = {}, traceback.format_exc()
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    results.put((rows, fault, most * 1024))


def measure(files: dict[Path, str], folder: Path, *, jobs: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=run_ingest, args=(folder, folder.parent / "dataset", jobs, results))
    start = time.perf_counter()
    process.start()
    limit_s = 60 + SECONDS_A_FILE * len(files) / jobs
    try:
        rows, fault, most = results.get(timeout=limit_s)
    except Exception:
        rows, fault, most = {}, f"crashed, or went on for more than {limit_s:.0f} s", 0
    process.join(10)
    process.kill()
    kinds: dict[str, Counter[str]] = {kind: Counter() for kind in MUTATIONS}
    for path, kind in files.items():
        reasons = rows.get(str(path), [])
        usable = any(reason.endswith(" frames") for reason in reasons)
        kinds[kind]["used" if usable else "set aside" if reasons else "lost"] += 1
    lost = sum(counts["lost"] for counts in kinds.values())
    unexpected = [reason for reasons in rows.values() for reason in reasons if UNEXPECTED in reason]
    return {
        "files": len(files),
        "kinds": kinds,
        "lost": lost,
        "fault": fault,
        "seconds": time.perf_counter() - start,
        "peak_bytes": most,
        "stalled": sum("came for" in reason for reasons in rows.values() for reason in reasons),
        "crashed": sum("crashes" in reason for reasons in rows.values() for reason in reasons),
        "unexpected": unexpected,
        "met": not (lost or fault or unexpected) and most <= MEMORY_BOUND,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="leave the files in this folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = (options.keep or Path(name)) / "files"
        folder.mkdir(parents=True)
        found = measure(make_files(folder, count=options.files, seed=options.seed), folder, jobs=options.jobs)
    if options.json:
        print(json.dumps(found))
    else:
        print(f"{'mutation':<18}{'used':>7}{'set aside':>11}{'lost':>7}")
        for kind, counts in found["kinds"].items():
            print(f"{kind:<18}{counts['used']:>7}{counts['set aside']:>11}{counts['lost']:>7}")
        print(
            f"{found['files']} files in {found['seconds']:.0f} s; peak {found['peak_bytes'] / 2**20:.0f} MiB"
        )
        print(f"decoder crashes {found['crashed']}, stalls {found['stalled']}")
        for text in filter(None, [found["fault"], *found["unexpected"]]):
            print(text)
        print("met" if found["met"] else "missed")
    return 0 if found["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
