"""How long it takes to open a dataset of many clips, by clips and by frames.

    python scripts/bench/open_dataset.py [--clips N] [--rounds N] [--json]

Manifests of N clips (10,000) are written with 50 and with 500 frames a clip, and one of N / 10 clips with
500; each is opened in turns. Figures are medians in milliseconds; ``first frames`` is opening plus asking
for the times of one clip, which reads that column for all of them.

Bounds: ten times the frames take at most 1.3 times as long to open; ten times the clips at least 3 times as
long as a tenth of them. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

from catseye.capture.dataset import ClipOptions, open_dataset, write_dataset
from catseye.capture.manifest import Clip

FRAMES_BOUND, CLIPS_BOUND = 1.3, 3.0


def rows(clips: int, frames: int) -> list[Clip]:
    """Clips as an ingest makes them, with numbers that do not compress better than real ones."""
    rng = np.random.default_rng(0)
    step = 3600
    found = []
    for index in range(clips):
        pts = np.cumsum(rng.integers(step - 9, step + 10, frames))
        found.append(
            Clip(
                clip_id=f"{index // 30:016x}-{index:07d}",
                source=f"/footage/van-{index // 3000}/front/{index // 30:06d}.mp4",
                source_sha256=f"{index // 30:064x}",
                drive=f"van-{index // 3000}",
                vehicle="van",
                camera="front",
                start_time=None,
                width=1280,
                height=720,
                time_base=Fraction(1, 90_000),
                pts=pts,
                durations=np.append(np.diff(pts), step),
                key_flags=np.arange(frames) % 25 == 0,
                shard=f"shards/{index // 30:016x}-000.mp4",
                shard_pts=pts - pts[0],
                shard_key_flags=np.arange(frames) % 25 == 0,
                shard_checksums=rng.integers(0, 2**32, frames, dtype=np.uint32),
                tags=frozenset(),
                usable=True,
                reason="",
                split="train",
                speed_mps=rng.normal(20, 3, frames).astype(np.float32),
                intrinsics=(0.9, 1.6, 0.5, 0.5),
                calibration_hash="c" * 64,
                brightness=100.0,
                sharpness=100.0,
                motion=10.0,
                obstruction=0.0,
                corruption=0.0,
                scene_hashes=rng.integers(0, 2**63, max(2, frames // 5 * 2)).astype(np.uint64),
            )
        )
    return found


def open_ms(folder: Path, *, frames: bool) -> float:
    start = time.perf_counter()
    dataset = open_dataset(folder)
    if frames:
        assert dataset.clips[-1].pts.size
    return 1000 * (time.perf_counter() - start)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cases = [(options.clips, 50), (options.clips, 500), (options.clips // 10, 500)]
    table = []
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / f"{clips}x{frames}" for clips, frames in cases]
        for folder, (clips, frames) in zip(folders, cases, strict=True):
            folder.mkdir()
            write_dataset(folder, rows(clips, frames), {}, ClipOptions(width=320, height=192, max_clip_s=10))
        taken = np.array(
            [
                [[open_ms(folder, frames=frames) for frames in (False, True)] for folder in folders]
                for _ in range(options.rounds + 1)
            ]
        )[1:]  # the first warms up
        for folder, (clips, frames), (opened, first_frames) in zip(
            folders, cases, np.median(taken, axis=0).tolist(), strict=True
        ):
            table.append(
                {
                    "clips": clips,
                    "frames": frames,
                    "megabytes": (folder / "clips.parquet").stat().st_size / 1e6,
                    "open_ms": opened,
                    "first_frames_ms": first_frames,
                }
            )
    by_frames = table[1]["open_ms"] / table[0]["open_ms"]
    by_clips = table[1]["open_ms"] / table[2]["open_ms"]
    met = by_frames <= FRAMES_BOUND and by_clips >= CLIPS_BOUND
    if options.json:
        print(json.dumps({"cases": table, "by_frames": by_frames, "by_clips": by_clips, "met": met}))
    else:
        print(f"{'clips':>7}{'frames':>8}{'MB':>8}{'open ms':>9}{'first frames ms':>17}")
        for row in table:
            print(
                f"{row['clips']:>7}{row['frames']:>8}{row['megabytes']:>8.1f}"
                f"{row['open_ms']:>9.0f}{row['first_frames_ms']:>17.0f}"
            )
        print(f"ten times the frames: {by_frames:.2f} times as long (at most {FRAMES_BOUND})")
        print(f"ten times the clips: {by_clips:.1f} times as long (at least {CLIPS_BOUND})")
        print("met" if met else "missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
