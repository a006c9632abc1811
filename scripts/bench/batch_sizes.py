#!/usr/bin/env python3
"""Frames a call: what a frame costs in a batch, and whether its tracks are those of frames one by one.

    python scripts/bench/batch_sizes.py RUN --video FILE [--batches 1,2,4] [--frames N] [--rounds N] [--json]

RUN is a finished fine-tuning run, which is exported for each input and each batch. Every bundle tracks what
is in the video, on ONNX Runtime and one thread. A record of a track is found again where the same frame has
it under the one id that the track mostly has there, with an overlap (IoU) of 0.9 or more. Latency is the
median work of one call over its frames, all bundles in turns, against as many calls of batch 1.

Of what rgb8 detects in every tenth frame at the bundle's threshold, a share has a counterpart of that overlap
in each bundle. Tracks of two inputs are not held to each other: where a score lies next to the threshold,
rounding decides in which frame a track starts.

Bounds: a frame in a batch costs at most 1.1 times one by itself; of the records that batch 1 of the same
input gives, and of rgb8's detections, 0.99 are found again. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import thread_time

import numpy as np

from catseye.capture.sources import VideoFile
from catseye.console import print_table, progress_bars
from catseye.export import export
from catseye.runtime.association import iou, matched
from catseye.runtime.bundle import Bundle
from catseye.runtime.engines.base import EngineOutput, InputLayout
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.network_input import in_batches, network_input, stacked
from catseye.runtime.pipeline import tracked_frames
from catseye.runtime.proof import replay
from catseye.runtime.verification import golden_inputs

LATENCY_BOUND, SAME_BOUND = 1.1, 0.99
SPACING = 10
OVERLAP = 0.9
WARM_UP = 3

Records = Mapping[int, tuple[np.ndarray, np.ndarray]]
"""By frame: ids (n,) and boxes (n, 4)."""


@dataclass(frozen=True)
class Row:
    """One bundle; shares of batch 1's track records found ``again``, and of rgb8's detections."""

    input: InputLayout
    batch: int
    frame_ms: float
    ratio: float
    records: int
    again: float
    detected: float

    def __bool__(self) -> bool:
        return self.ratio <= LATENCY_BOUND and min(self.again, self.detected) >= SAME_BOUND


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--batches", default="1,2,4")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    batches = sorted({1, *map(int, options.batches.split(","))})
    with TemporaryDirectory() as folder, progress_bars() as progress:
        bundles = [
            export(
                options.run,
                Path(folder) / f"{layout}-{batch}.catseye",
                input=layout,
                batch=batch,
                progress=progress,
            )
            for layout in ("rgb8", "nv12")
            for batch in batches
        ]
        rows = measure(bundles, options.video, frames=options.frames, rounds=options.rounds)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "met": all(rows)}, indent=2))
    else:
        show(rows, f"{options.video.name}, {options.frames} frames")
    return 0 if all(rows) else 1


def measure(bundles: Sequence[Bundle], video: Path, *, frames: int, rounds: int) -> list[Row]:
    engines = [OnnxRuntimeEngine(bundle.graph(), threads=1) for bundle in bundles]
    pairs = list(zip(bundles, engines, strict=True))
    found = [track(bundle, engine, video, frames) for bundle, engine in pairs]
    seen = [detect(bundle, engine, video, frames) for bundle, engine in pairs]
    times_s = latencies(pairs, rounds)
    rows: list[Row] = []
    for number, bundle in enumerate(bundles):
        network = bundle.manifest.network
        first = next(k for k, other in enumerate(bundles) if other.manifest.network.input == network.input)
        rows.append(
            Row(
                input=network.input,
                batch=network.batch,
                frame_ms=1e3 * times_s[number],
                ratio=times_s[number] / times_s[first],
                records=sum(len(ids) for ids, _ in found[number].values()),
                again=found_again(found[first], found[number]),
                detected=detected_again(seen[0], seen[number], least=bundle.manifest.score_threshold),
            )
        )
    return rows


def track(bundle: Bundle, engine: OnnxRuntimeEngine, video: Path, frames: int) -> Records:
    manifest = bundle.manifest
    with VideoFile(video, threads=1) as file:
        results = tracked_frames(engine, manifest, file, threshold=manifest.score_threshold, limit=frames)
        return {
            result.frame: (result.tracks.ids, np.asarray(result.tracks.boxes_xyxy)) for _, result in results
        }


def detect(bundle: Bundle, engine: OnnxRuntimeEngine, video: Path, frames: int) -> EngineOutput:
    network = bundle.manifest.network
    with VideoFile(video, threads=1) as file:
        chosen = islice(file.frames(), 0, frames, SPACING)
        inputs = stacked([network_input(frame.planes, network) for frame in chosen])
    return replay(engine, inputs, batch=network.batch)


def detected_again(of: EngineOutput, among: EngineOutput, *, least: float) -> float:
    """Share of one bundle's detections that another has too, whatever their score there."""
    best = [
        iou(boxes[scores >= least], other).max(axis=1, initial=0)
        for boxes, scores, other in zip(of.boxes, of.scores, among.boxes, strict=True)
    ]
    return float((np.concatenate(best) >= OVERLAP).mean())


def found_again(of: Records, among: Records) -> float:
    """Share of the records of one run that another has, by the best pairing of their ids."""
    total, together = 0, Counter[tuple[int, int]]()
    for frame, (ids, boxes) in of.items():
        other_ids, other_boxes = among[frame]
        for mine, theirs in np.argwhere(iou(boxes, other_boxes) >= OVERLAP):
            together[int(ids[mine]), int(other_ids[theirs])] += 1
        total += len(ids)
    held = matched((mine, theirs, float(frames)) for (mine, theirs), frames in sorted(together.items()))
    return sum(together[pair] for pair in held.items()) / total if total else 1.0


def latencies(pairs: Sequence[tuple[Bundle, OnnxRuntimeEngine]], rounds: int) -> list[float]:
    """Seconds of work a frame, for each bundle."""
    calls = [next(in_batches(golden_inputs(bundle), bundle.manifest.network.batch))[0] for bundle, _ in pairs]
    spent: list[list[float]] = [[] for _ in pairs]
    for turn in range(-WARM_UP, rounds):
        for number, (bundle, engine) in enumerate(pairs):
            began = thread_time()
            engine.infer(calls[number])
            if turn >= 0:
                spent[number].append((thread_time() - began) / bundle.manifest.network.batch)
    return [median(times) for times in spent]


def show(rows: Sequence[Row], source: str) -> None:
    header = (
        "input",
        "batch",
        "a frame",
        "x batch 1",
        "track records",
        "found again",
        "rgb8's detections",
        "",
    )
    cells = [
        (
            row.input,
            str(row.batch),
            f"{row.frame_ms:.2f} ms",
            f"{row.ratio:.2f}",
            str(row.records),
            f"{row.again:.3f}",
            f"{row.detected:.3f}",
            "ok" if row else "MISSED",
        )
        for row in rows
    ]
    print_table(source, header, cells)


if __name__ == "__main__":
    sys.exit(main())
