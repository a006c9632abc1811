"""A folder of a thousand videos, its ingest killed again and again: nothing is done twice, nothing is missed.

    python scripts/bench/ingest_resume.py [--files N] [--kills N] [--jobs N] [--seed N] [--json]

An ingest is killed with SIGKILL at random instants, workers and all, and started again. What a run has
finished is known by its rows, which it leaves aside until the end. Whatever was finished at a kill must be
the same files on the disk at the end, not new ones of the same name.

Bounds: nothing finished is written a second time; every video is in the dataset; the dataset is that of an
ingest which nobody disturbed. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

from catseye.capture import open_dataset
from catseye.console import print_table
from catseye.files import sha256_of

SIZE = {"width": 64, "height": 48}
FRAMES, RATE = 30, 20


def render(path: Path, seed: int) -> None:
    """A second and a half of a texture that drives by, another for every seed."""
    coarse = np.random.default_rng(seed).integers(20, 230, (6, 24, 3)).astype(np.uint8)
    scene = cv2.resize(coarse, (256, 48), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = SIZE["width"], SIZE["height"], "yuv420p"
        for number in range(FRAMES):
            rgb = np.ascontiguousarray(scene[:, 4 * number : 4 * number + SIZE["width"]])
            picture = VideoFrame.from_ndarray(rgb, format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def start(footage: Path, out: Path, *, jobs: int) -> subprocess.Popen[bytes]:
    """The command as an operator gives it, in a process group of its own."""
    size = [text for name, value in SIZE.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "catseye", "ingest", str(footage), "--out", str(out), *size]
    return subprocess.Popen(
        [*command, "--jobs", str(jobs)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def finished(out: Path) -> set[str]:
    """Contents whose rows lie aside."""
    return {path.stem for path in (out / ".work").glob("[!.]*.parquet")}


def on_disk(out: Path, content: str) -> dict[str, tuple[int, int]]:
    """Inode and time of writing of a content's shards and of its rows."""
    files = [*(out / "shards").glob(f"{content[:16]}*"), *(out / ".work").glob(f"{content}.parquet")]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def killed_ingest(footage: Path, out: Path, *, kills: int, jobs: int, seed: int) -> dict[str, int]:
    """Kill an ingest until it has been killed so often, then let it end. Counts what was done twice."""
    rng = np.random.default_rng(seed)
    total = len(list(footage.iterdir()))
    before: dict[str, dict[str, tuple[int, int]]] = {}
    twice = in_vain = 0
    for wanted in np.sort(rng.integers(0, total, kills)):
        process = start(footage, out, jobs=jobs)
        while process.poll() is None and len(finished(out)) < max(int(wanted), len(before) + 1):
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.3)))
        if process.poll() is not None:
            in_vain += 1
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        twice += sum(on_disk(out, content) != files for content, files in before.items())
        before = {content: on_disk(out, content) for content in finished(out)}
    at_last_kill = len(before)
    last = start(footage, out, jobs=jobs)
    if last.wait() != 0:
        raise SystemExit(f"the ingest that nobody killed ended with {last.returncode}")
    for content, files in before.items():
        shards = {name: stamp for name, stamp in files.items() if not name.endswith(".parquet")}
        twice += {name: stamp for name, stamp in on_disk(out, content).items() if name in shards} != shards
    return {"kills": kills - in_vain, "finished_at_the_last_kill": at_last_kill, "done_twice": twice}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        footage = Path(name, "footage")
        footage.mkdir()
        for number in range(options.files):
            render(footage / f"{number:05d}.mp4", 1000 * options.seed + number)
        figures: dict[str, int | bool] = {"files": options.files}
        figures |= killed_ingest(
            footage, Path(name, "killed"), kills=options.kills, jobs=options.jobs, seed=options.seed
        )
        if start(footage, Path(name, "whole"), jobs=options.jobs).wait() != 0:
            raise SystemExit("the undisturbed ingest failed")
        killed, whole = open_dataset(Path(name, "killed")), open_dataset(Path(name, "whole"))
        given = {sha256_of(path) for path in footage.iterdir()}
        figures["missing"] = len(given - {clip.source_sha256 for clip in killed.clips})
        figures["same_dataset"] = killed.fingerprint == whole.fingerprint
    if options.json:
        print(json.dumps(figures))
    else:
        print_table(
            "An ingest killed again and again",
            ["what", "count"],
            [[key.replace("_", " "), str(value)] for key, value in figures.items()],
        )
    return 0 if figures["done_twice"] == figures["missing"] == 0 and figures["same_dataset"] else 1


if __name__ == "__main__":
    sys.exit(main())
