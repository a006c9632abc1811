#!/usr/bin/env python3
"""A frame from file to tracks: against its bare parts, and against Ultralytics ``track`` on the same ONNX.

    python scripts/bench/end_to_end.py --data DIR --ultralytics PYTHON [--yolo FILE.onnx] [--bundle FILE]
        [--video FILE] [--rounds 5] [--cores 0,1] [--json]

DIR holds ``video/highway_shadows.mp4`` (251 frames, 1280x720, H.264), ``detectors/yolox_nano_416.onnx`` and
``coco.names`` beside it. PYTHON is the interpreter of an environment with ``ultralytics`` and ``lap``. Both
sides run YOLOX-Nano with its real weights behind input and output of a YOLO export (``yolox_as_yolo.py``),
and FILE.onnx, such as a YOLO11n; where nobody has its weights, ``yolo_stand_in.py`` makes one of that layout.
Catseye runs it wrapped, with a showing threshold of 0.25; Ultralytics with its defaults and ByteTrack: both
look at scores from below 0.1 on, and neither is flooded. Both write a line of JSON a frame, and draw nothing.
Catseye runs it once as it is, square, and once as ``wrap --height`` makes it for the video's aspect;
Ultralytics has no such thing for a file that was exported for one size.

**Bare parts**: ``catseye run`` in Python, with JSON Lines written, against decoding by plain PyAV and, on
ready tensors, ``session.run`` of the model as it was before it was wrapped (of one that was re-shaped, and of
a BUNDLE, the float32 graph), each over the same frames, one after the other. What is done once, opening the
bundle and loading the graph, is measured in the same turns and taken off. Once by processor time, where the
process may use one core and the engine has one thread; once by the clock on the wall with as many threads as
cores on both sides, where ours overlap and the bare parts do not.

**Ultralytics**: each whole command in a process of its own, in turns, on one core and on all given, with as
many threads of ONNX Runtime on both sides. Frames a second from the first result to the end of the process;
memory is the most that was resident; the first result is the first line in the file, from the start of the
process. Both sides' modules are compiled beforehand, as pip does. What the bare parts would have, one after
the other and with nothing around them, stands below: more is not to be had of this ONNX Runtime on one core.

Bounds: 1.15 times the bare parts by processor time; twice the frames a second of Ultralytics, 0.35 of its
memory, 0.4 of its time to the first result. Ratios are medians over the rounds. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import compileall
import json
import math
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import av
import numpy as np
import onnxruntime

from catseye.console import print_table
from catseye.runtime import run
from catseye.runtime.bundle import open_bundle
from catseye.runtime.engines import load_engine

HERE = Path(__file__).resolve().parent
VIDEO = "video/highway_shadows.mp4"
THRESHOLD = 0.25
READY = 16
STEP = 32
ENGINE = "onnxruntime"
PARTS, FASTER, MEMORY, FIRST = 1.15, 2.0, 0.35, 0.4


@dataclass(frozen=True)
class Model:
    """A detector as our bundle, the bare graph that does the same work, and what Ultralytics runs."""

    name: str
    bundle: Path
    bare: Path
    peer: Path | None = None


@dataclass(frozen=True)
class Row:
    """A figure of both sides, their ratio as the median over the rounds, and whether it must lie below."""

    what: str
    ours: float
    other: float
    ratio: float
    bound: float | None
    least: bool = False

    def __bool__(self) -> bool:
        if self.bound is None:
            return True
        return self.ratio >= self.bound if self.least else self.ratio <= self.bound


def row(what: str, ours: Sequence[float], other: Sequence[float], bound: float | None, **more: bool) -> Row:
    ratio = median(a / b for a, b in zip(ours, other, strict=True))
    return Row(what, median(ours), median(other), ratio, bound, **more)


# Bare parts: one process a count of cores, so that no pool of threads is left from before.


def turns(model: Model, video: Path, threads: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds a frame, (processor, wall) for each part in turns."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    bare = onnxruntime.InferenceSession(str(model.bare), options, providers=["CPUExecutionProvider"])
    (given,) = bare.get_inputs()
    dtype = np.uint8 if given.type == "tensor(uint8)" else np.float32
    draw = np.random.default_rng(0)
    ready = [draw.integers(0, 255, given.shape).astype(dtype) for _ in range(READY)]
    bare.run(None, {given.name: ready[0]})
    count = sum(1 for _ in decoded(video))
    found: dict[str, list[float]] = {}

    def spent(part: str, work: Any) -> None:
        before = process_time(), perf_counter()
        work()
        for clock, at, now in zip(("cpu", "wall"), before, (process_time(), perf_counter()), strict=True):
            found.setdefault(f"{part} {clock}", []).append(1e3 * (now - at) / count)

    with TemporaryDirectory() as folder:
        lines = Path(folder) / "tracks.jsonl"
        for _ in range(rounds):
            spent("decoding", lambda: [None for _ in decoded(video)])
            spent("session", lambda: [bare.run(None, {given.name: x}) for x in islice(cycle(ready), count)])
            spent("start", lambda: load_engine(open_bundle(model.bundle), engine=ENGINE, threads=threads))
            spent("ours", lambda: run(model.bundle, video, jsonl=lines, engine=ENGINE, threads=threads))
    return found


def decoded(video: Path) -> Iterator[Any]:
    with av.open(str(video)) as container:
        container.streams.video[0].thread_type = "AUTO"
        yield from container.decode(video=0)


def bare_rows(model: Model, video: Path, cores: Sequence[int], rounds: int) -> list[Row]:
    rows = []
    for clock, used, bound in (("cpu", cores[:1], PARTS), ("wall", cores, None)):
        with confined(used), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(turns, model, video, len(used), rounds).result()
        ours, start, *bare = (found[f"{part} {clock}"] for part in ("ours", "start", "decoding", "session"))
        label = "ms of processor a frame" if clock == "cpu" else "ms a frame by the wall"
        rows.append(
            row(
                f"{label}: bare parts, {counted(used)}",
                [whole - once for whole, once in zip(ours, start, strict=True)],
                [sum(pair) for pair in zip(*bare, strict=True)],
                bound,
            )
        )
    return rows


def counted(cores: Sequence[int]) -> str:
    return f"{len(cores)} thread{'s' * (len(cores) > 1)}"


@contextmanager
def confined(cores: Sequence[int]) -> Iterator[None]:
    """Processes started within may use these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# Ultralytics: whole commands. What starts them is small, since Linux counts a process's memory before exec.

LAUNCHER = """
import json, os, sys, time
out, command = sys.argv[1], sys.argv[2:]
start = time.perf_counter()
child = os.fork()
if child == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execvp(command[0], command)
first = None
while not (ended := os.wait4(child, os.WNOHANG))[0]:
    if first is None:
        for name in (out, out + ".part"):
            if os.path.exists(name) and os.path.getsize(name):
                first = time.perf_counter() - start
    time.sleep(0.005 if first is None else 0.02)
end = time.perf_counter() - start
_, status, usage = ended
print(json.dumps({
    "status": status, "first": first, "wall": end, "cpu": usage.ru_utime + usage.ru_stime,
    "rss": usage.ru_maxrss / 1024,
}))
"""


def measured(command: Sequence[str], out: Path) -> dict[str, float]:
    """Seconds to the first result and in all, of processor, and MiB; ``fps`` after the first result."""
    out.unlink(missing_ok=True)
    launched = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(out), *command]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(launched, capture_output=True, text=True, check=True, env=plain)
    found: dict[str, float] = json.loads(done.stdout)
    if found["status"] or found["first"] is None:
        raise SystemExit(f"{' '.join(command)} fails:\n{done.stderr}")
    frames = len(out.read_text().splitlines())
    found["fps"] = (frames - 1) / (found["wall"] - found["first"])
    found["frames"] = frames
    found["cpu"] *= 1e3 / frames
    return found


def peer_rows(
    model: Model,
    video: Path,
    python: str,
    cores: Sequence[int],
    rounds: int,
    folder: Path,
    bare_ms: Sequence[float],
) -> list[Row]:
    rows = []
    for used, bare in zip((cores[:1], cores), bare_ms, strict=True):
        threads, ours, theirs = str(len(used)), [], []
        out = folder / "tracks.jsonl"
        catseye = [sys.executable, "-m", "catseye", "run", str(model.bundle), str(video), "--jsonl", str(out)]
        catseye += ["--engine", ENGINE, "--threads", threads]
        script = [python, str(HERE / "ultralytics_track.py"), str(model.peer), str(video), str(out), threads]
        with confined(used):
            for _ in range(rounds):
                ours.append(measured(catseye, out))
                theirs.append(measured(script, out))
        if ours[0]["frames"] != theirs[0]["frames"]:
            raise SystemExit(f"{ours[0]['frames']} frames and {theirs[0]['frames']}: not the same work")
        at = f": Ultralytics, {counted(used)}"
        for key, what, bound in (
            ("fps", "frames a second", FASTER),
            ("rss", "MiB resident at most", MEMORY),
            ("first", "s to the first result", FIRST),
            ("cpu", "ms of processor a frame, start included", None),
        ):
            pair = ([each[key] for each in side] for side in (ours, theirs))
            rows.append(row(what + at, *pair, bound, least=key == "fps"))
        limit = [1e3 / bare] * rounds
        rows.append(
            row(f"frames a second of the bare parts{at}", limit, [side["fps"] for side in theirs], None)
        )
    return rows


def wrapped(onnx: Path, video: Path, out: Path, *, height: int | None = None) -> Path:
    from catseye.export import wrap

    options = {"decoder": "yolo11", "score_threshold": THRESHOLD, "videos": [video]}
    return wrap(onnx, out, height=height, **options).path


def height_for(onnx: Path, video: Path) -> int:
    """The least height, in whole steps of the network, that holds the video at the network's width."""
    width = onnxruntime.InferenceSession(str(onnx)).get_inputs()[0].shape[3]
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        return STEP * math.ceil(width * stream.height / stream.width / STEP)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--video", type=Path, help="another video than DIR's")
    parser.add_argument("--ultralytics", help="interpreter of an environment that has it")
    parser.add_argument("--yolo", type=Path, action="append", default=[], help="an Ultralytics export")
    parser.add_argument("--bundle", type=Path, action="append", default=[], help="a bundle of our own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", default=",".join(map(str, sorted(os.sched_getaffinity(0))[:2])))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for stage in ("catseye", "capture", "runtime"):
        compileall.compile_dir(HERE.parents[1] / stage, quiet=2)
    cores, video = [int(core) for core in options.cores.split(",")], options.video or options.data / VIDEO
    rows: dict[str, list[Row]] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for model in models(options, video, folder):
            rows[model.name] = bare_rows(model, video, cores, options.rounds)
            if model.peer and options.ultralytics:
                bare_ms = [found.other for found in rows[model.name]]
                rows[model.name] += peer_rows(
                    model, video, options.ultralytics, cores, options.rounds, folder, bare_ms
                )
    missed = [f"{name}: {row.what}" for name, found in rows.items() for row in found if not row]
    if options.json:
        document = {name: [asdict(row) for row in found] for name, found in rows.items()}
        print(json.dumps({"figures": document, "missed": missed}))
    else:
        for name, found in rows.items():
            print_table(
                name, ("figure", "Catseye", "other", "ratio", "bound", ""), [cells(row) for row in found]
            )
    return 1 if missed else 0


def models(options: argparse.Namespace, video: Path, folder: Path) -> Iterator[Model]:
    from yolox_as_yolo import yolox_as_yolo

    detectors = options.data / "detectors"
    yolox = yolox_as_yolo(
        detectors / "yolox_nano_416.onnx", detectors / "coco.names", folder / "yolox_nano_416.onnx"
    )
    for onnx in (yolox, *options.yolo):
        square = folder / f"{onnx.stem}.catseye"
        yield Model(onnx.stem, wrapped(onnx, video, square), bare=onnx, peer=onnx)
        height = height_for(onnx, video)
        bundle = wrapped(onnx, video, folder / f"{onnx.stem}_{height}.catseye", height=height)
        yield Model(f"{onnx.stem}, {height} high", bundle, bare=graph_of(bundle, folder), peer=onnx)
    for bundle in options.bundle:
        yield Model(bundle.stem, bundle, bare=graph_of(bundle, folder))


def graph_of(bundle: Path, folder: Path) -> Path:
    graph = folder / f"{bundle.stem}.fp32.onnx"
    graph.write_bytes(open_bundle(bundle).graph("fp32"))
    return graph


def cells(row: Row) -> tuple[str, ...]:
    bound = "" if row.bound is None else f"{'>=' if row.least else '<='} {row.bound:g}"
    verdict = "" if row.bound is None else "ok" if row else "MISSED"
    return row.what, f"{row.ours:.2f}", f"{row.other:.2f}", f"{row.ratio:.3f}", bound, verdict


if __name__ == "__main__":
    sys.exit(main())
