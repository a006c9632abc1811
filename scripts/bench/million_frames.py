"""A million frames through the whole pipeline: does its memory stay flat?

    python scripts/bench/million_frames.py [--frames 1000000] [--json]

Frames are generated in memory: each has eight boxes written into its pixels, which move, vanish and come back
elsewhere, and a network of a handful of operators reads them out again, eight frames at a time. All else is
as ``run`` has it for files: resizing in a thread, two calls of the engine side by side, tracker, distances,
records as JSON Lines (which go to /dev/null). The stream's clock begins anew after every 9,000th frame, as
after a reconnection, and nothing is decoded. Resident memory is read from the kernel every 200 frames, and
every minute a line tells how far it is. SIGTERM ends it early.

Bound: past a warm-up of a twentieth of the frames, memory grows by less than 1 % up to its highest, tracks
come and go all the time, and every frame is processed. Exits 1 when it is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from catseye.capture.geometry import Planes
from catseye.capture.sources import Frame
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.engines.overlapped import CALLS, OverlappedEngine
from catseye.runtime.manifest import DepthOutput, Manifest, Network, Provenance
from catseye.runtime.pipeline import track_streams
from catseye.runtime.results import FrameResult
from catseye.runtime.sources.base import SourceFrame

BATCH, SIZE, SLOTS, DESCRIBED = 8, 64, 8, 4
RATE = 25
LIFE, GONE = 150, 30
RECONNECTS_EVERY = 9_000
SAMPLE_EVERY = 200
TELL_EVERY_S = 60.0
MOST_GROWTH = 0.01


class MovingBoxes:
    """Implements ``Source``: as many frames as it is told."""

    name, live = "boxes", False

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._closed = False

    def frames(self) -> Iterator[SourceFrame]:
        chroma = np.full((SIZE // 2, SIZE // 2), 128, dtype=np.uint8)
        slots = np.arange(SLOTS)
        for index in range(self._frames):
            if self._closed:
                return
            turn, age = np.divmod(index + 23 * slots, LIFE + GONE)
            x = (7 * slots + 11 * turn) % 30 + age // 10
            y = (13 * slots + 5 * turn) % 40
            there = np.where(age < LIFE, 230, 5)
            luma = np.zeros((SIZE, SIZE), dtype=np.uint8)
            luma[0, : 5 * SLOTS] = np.stack([x, y, x + 12, y + 16, there], axis=1).ravel()
            yield SourceFrame(
                frame=Frame(
                    index=index,
                    pts=index % RECONNECTS_EVERY,
                    time_base=Fraction(1, RATE),
                    planes=Planes(y=luma, u=chroma, v=chroma, full_range=True),
                    key=True,
                ),
                width=SIZE,
                height=SIZE,
                epoch=index // RECONNECTS_EVERY,
                arrived_s=time.perf_counter(),
                captured_utc_ns=None,
                clock="file",
            )

    def close(self) -> None:
        self._closed = True


def reading_network() -> tuple[OverlappedEngine, Manifest]:
    """A network that gives the boxes and scores that are written into the first line of a frame."""
    constants = {
        "starts": np.array([0, 0, 0]),
        "ends": np.array([1, 5 * SLOTS, 1]),
        "axes": np.array([1, 2, 3]),
        "slots": np.array([BATCH, SLOTS, 5]),
        "last": np.array([2]),
        "four": np.array([4]),
        "none": np.array([0]),
        "five": np.array([5]),
        "flat": np.array([BATCH, SLOTS]),
        "levels": np.array(255, dtype=np.float32),
        "no": np.zeros((BATCH, SLOTS), dtype=np.int32),
        "described": np.tile(
            np.eye(DESCRIBED, dtype=np.float32)[np.arange(SLOTS) % DESCRIBED], (BATCH, 1, 1)
        ),
        "far": np.full((BATCH, 16, 16), 20, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["pixels", "starts", "ends", "axes"], ["line"]),
        helper.make_node("Reshape", ["line", "slots"], ["rows"]),
        helper.make_node("Slice", ["rows", "none", "four", "last"], ["boxes"]),
        helper.make_node("Slice", ["rows", "four", "five", "last"], ["sure"]),
        helper.make_node("Reshape", ["sure", "flat"], ["sure_flat"]),
        helper.make_node("Div", ["sure_flat", "levels"], ["scores"]),
        helper.make_node("Identity", ["no"], ["classes"]),
        helper.make_node("Identity", ["described"], ["embeddings"]),
        helper.make_node("Identity", ["far"], ["depth"]),
    ]
    outputs = {
        "boxes": (BATCH, SLOTS, 4),
        "scores": (BATCH, SLOTS),
        "classes": (BATCH, SLOTS),
        "embeddings": (BATCH, SLOTS, DESCRIBED),
        "depth": (BATCH, 16, 16),
    }
    graph = helper.make_graph(
        nodes,
        "reads",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, (BATCH, SIZE, SIZE, 3))],
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT32 if name == "classes" else TensorProto.FLOAT, shape
            )
            for name, shape in outputs.items()
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    manifest = Manifest(
        name="reads",
        created="2026-01-01T00:00:00+00:00",
        classes=("box",),
        network=Network(width=SIZE, height=SIZE, batch=BATCH),
        top_k=SLOTS,
        embedding_dim=DESCRIBED,
        depth_shape=(16, 16),
        depth=DepthOutput(width=16, height=16, canonical_focal_px=SIZE, metric=False),
        proof_frames=BATCH,
        fragment_frames=1,
        provenance=Provenance(encoder="none"),
    )
    engine = OnnxRuntimeEngine(model.SerializeToString(), threads=1, calls=CALLS)
    return OverlappedEngine(engine), manifest


class Watch:
    """A sink that notes the process's memory as frames go by."""

    def __init__(self, frames: int) -> None:
        self._frames, self._done = frames, 0
        self._began_s = self._told_s = time.monotonic()
        self.samples: list[int] = []

    def __call__(self, _frame: Frame, _result: FrameResult) -> None:
        self._done += 1
        if self._done % SAMPLE_EVERY:
            return
        self.samples.append(resident_bytes())
        if time.monotonic() > self._told_s + TELL_EVERY_S:
            self._told_s = time.monotonic()
            rate = self._done / (self._told_s - self._began_s)
            mib = self.samples[-1] / 2**20
            print(
                f"{self._done:,} of {self._frames:,}, {rate:.0f}/s, {mib:.1f} MiB",
                file=sys.stderr,
                flush=True,
            )


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(frames: int) -> dict[str, Any]:
    engine, manifest = reading_network()
    watch = Watch(frames)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - it is no path but a name of the system's

        def write(_frame: Frame, result: FrameResult) -> None:
            nowhere.write(json.dumps(result.record(), allow_nan=False) + "\n")

        (summary,) = track_streams(
            engine, manifest, [MovingBoxes(frames)], threshold=0.4, sinks=[write, watch], stop=stop
        )
    samples = watch.samples[max(1, frames // SAMPLE_EVERY // 20) :]
    if not samples:
        raise SystemExit(f"ended within the warm-up, after {summary.processed} frames")
    return {
        "frames": frames,
        "processed": summary.processed,
        "dropped": summary.dropped,
        "tracks": summary.tracks,
        "epochs": summary.epochs,
        "frames_a_second": round(summary.fps),
        "warm_mib": round(samples[0] / 2**20, 2),
        "highest_mib": round(max(samples) / 2**20, 2),
        "last_mib": round(samples[-1] / 2**20, 2),
        "growth_percent": round(100 * (max(samples) / samples[0] - 1), 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.frames < 2 * SAMPLE_EVERY:
        parser.error(f"--frames is {arguments.frames}: give {2 * SAMPLE_EVERY} or more")
    figures = run(arguments.frames)
    passed = (
        figures["growth_percent"] < 100 * MOST_GROWTH
        and figures["processed"] == figures["frames"]
        and figures["tracks"] > figures["frames"] // (LIFE + GONE)
    )
    if arguments.json:
        print(json.dumps({**figures, "passed": passed}))
    else:
        from catseye.console import print_table

        rows = [(name.replace("_", " "), value) for name, value in figures.items()]
        print_table(f"Memory over many frames, bound: < {MOST_GROWTH:.0%} growth", ("figure", ""), rows)
        print("memory is flat" if passed else "memory is NOT flat")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
