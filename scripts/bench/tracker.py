"""Our tracker and its peers on the same boxes: HOTA, MOTA and IDF1 by TrackEval, and milliseconds a frame.

    python scripts/bench/tracker.py [--data FOLDER] [--json]

Needs ``pip install trackeval 'trackers>=2.6,<2.7'``. FOLDER holds ``<set>/<sequence>/{gt/gt.txt,det/det.txt,
seqinfo.ini}`` in MOT format. Every tracker has one set of parameters for all sequences, its defaults, and is
told the frame rate. Speed is on simulated traffic of 10, 100 and 300 boxes, ours also with appearance and
with camera motion on 1920x1080 luma.

Bounds: on each set HOTA and IDF1 at or above the best peer's; at 100 and 300 boxes a quarter of the fastest
peer's time, or less. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.runtime import Tracker
from catseye.runtime.association import iou

ROOT = Path(__file__).resolve().parents[2]
PEERS = ("SORTTracker", "ByteTrackTracker", "OCSORTTracker", "BoTSORTTracker", "CBIoUTracker")
COUNTS = (10, 100, 300)
EMBEDDING = 32
"""Length of an embedding."""
TRAFFIC_RATE = 25.0

Float = NDArray[np.float64]
Shown = tuple[Float, NDArray[np.int64]]
"""(boxes_xyxy, ids) of the tracks shown in a frame."""

Step = Callable[[Float, Float, float], Shown]
"""(boxes_xyxy, scores, time_s) to the tracks shown."""

Judged = tuple[dict[str, Any], ...]
"""A sequence by each of TrackEval's metrics."""


@dataclass(frozen=True)
class Frame:
    time_s: float
    boxes: Float
    scores: Float
    truth_boxes: Float
    truth_ids: NDArray[np.int64]


@dataclass(frozen=True)
class Sequence:
    rate: float
    frames: list[Frame]


def read_sets(data: Path) -> dict[str, dict[str, Sequence]]:
    """All sequences of a folder, by set and name.

    Raises:
        SystemExit: it has a folder without any.
    """
    sets = {
        label.name: {
            ini.parent.name: read_sequence(ini.parent) for ini in sorted(label.glob("*/seqinfo.ini"))
        }
        for label in sorted(data.iterdir())
    }
    if bare := [name for name, sequences in sets.items() if not sequences] or ([] if sets else [data.name]):
        raise SystemExit(
            f"{data}: {', '.join(bare)} has no seqinfo.ini one folder down; give the folder of the sets"
        )
    return sets


def read_sequence(folder: Path) -> Sequence:
    ini = configparser.ConfigParser()
    ini.read(folder / "seqinfo.ini")
    rate = ini.getfloat("Sequence", "frameRate")
    truth = np.loadtxt(folder / "gt" / "gt.txt", delimiter=",", ndmin=2)
    truth = truth[truth[:, 6] > 0]
    found = np.loadtxt(folder / "det" / "det.txt", delimiter=",", ndmin=2)
    length = int(max(truth[:, 0].max(), found[:, 0].max(), ini.getint("Sequence", "seqLength", fallback=0)))
    frames = []
    for k in range(1, length + 1):
        here, real = found[found[:, 0] == k], truth[truth[:, 0] == k]
        frames.append(
            Frame(
                k / rate, corners(here), np.clip(here[:, 6], 0, 1), corners(real), real[:, 1].astype(np.int64)
            )
        )
    return Sequence(rate, frames)


def corners(rows: Float) -> Float:
    return np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)


def ours(**options: Any) -> Step:
    tracker = Tracker(**options)

    def step(boxes: Float, scores: Float, time_s: float) -> tuple[Float, NDArray[np.int64]]:
        tracks = tracker.update(boxes, scores, np.zeros(len(boxes), np.int32), time_s=time_s)
        return tracks.boxes_xyxy.astype(np.float64), tracks.ids

    return step


def peer(name: str, rate: float) -> Step:
    import supervision
    import trackers

    options: dict[str, Any] = {"enable_cmc": False} if name == "BoTSORTTracker" else {}
    tracker = getattr(trackers, name)(frame_rate=rate, **options)

    def step(boxes: Float, scores: Float, time_s: float) -> tuple[Float, NDArray[np.int64]]:
        given = supervision.Detections(
            xyxy=boxes.astype(np.float32),
            confidence=scores.astype(np.float32),
            class_id=np.zeros(len(boxes), int),
        )
        out = tracker.update(given)
        shown = out.tracker_id >= 0
        return out.xyxy[shown].astype(np.float64), out.tracker_id[shown].astype(np.int64)

    return step


def evaluate(sequences: dict[str, Sequence], make: Callable[[float], Step]) -> dict[str, float]:
    """HOTA, MOTA and IDF1 in percent over all sequences together, and the switches of ids."""
    return together({name: judged(of.frames, tracked(of, make)) for name, of in sequences.items()})


def tracked(sequence: Sequence, make: Callable[[float], Step]) -> list[Shown]:
    step = make(sequence.rate)
    return [step(frame.boxes, frame.scores, frame.time_s) for frame in sequence.frames]


def scored(truth: dict[str, list[Frame]], shown: dict[str, list[Shown]]) -> dict[str, float]:
    """The same of what some tracker has shown in each frame."""
    return together({name: judged(frames, shown[name]) for name, frames in truth.items()})


def judged(frames: list[Frame], shown: list[Shown]) -> Judged:
    """What TrackEval makes of one sequence."""
    case = _paired(frames, shown)
    with contextlib.redirect_stdout(io.StringIO()):
        return tuple(metric.eval_sequence(case) for metric in _metrics())


def together(sequences: Mapping[str, Judged]) -> dict[str, float]:
    """HOTA, MOTA and IDF1 in percent over all sequences together, and the switches of ids."""
    hota, clear, identity = (
        metric.combine_sequences({name: of[place] for name, of in sequences.items()})
        for place, metric in enumerate(_metrics())
    )
    return {
        "HOTA": 100 * float(np.mean(hota["HOTA"])),
        "MOTA": 100 * float(clear["MOTA"]),
        "IDF1": 100 * float(identity["IDF1"]),
        "switches": int(clear["IDSW"]),
    }


@cache
def _metrics() -> tuple[Any, ...]:
    with contextlib.redirect_stdout(io.StringIO()):
        from trackeval.metrics import CLEAR, HOTA, Identity

        return HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False})


def _paired(frames: list[Frame], shown: list[Shown]) -> dict[str, Any]:
    """What TrackEval's metrics take: ids from 0 without gaps, and overlaps frame by frame."""
    truth_ids = np.unique(np.concatenate([f.truth_ids for f in frames]))
    track_ids = np.unique(np.concatenate([ids for _, ids in shown]))
    return {
        "gt_ids": [np.searchsorted(truth_ids, f.truth_ids) for f in frames],
        "tracker_ids": [np.searchsorted(track_ids, ids) for _, ids in shown],
        "similarity_scores": [
            iou(f.truth_boxes, boxes).astype(np.float64) for f, (boxes, _) in zip(frames, shown, strict=True)
        ],
        "num_gt_ids": len(truth_ids),
        "num_tracker_ids": len(track_ids),
        "num_gt_dets": sum(len(f.truth_ids) for f in frames),
        "num_tracker_dets": sum(len(ids) for _, ids in shown),
        "num_timesteps": len(frames),
    }


def traffic(count: int, frames: int, *, seed: int = 0) -> Iterator[tuple[Float, Float, float]]:
    """``count`` boxes drifting over 1920×1080 at 25 frames a second, one in ten unseen each time."""
    draw = np.random.default_rng(seed)
    centre = draw.random((count, 2)) * [1920, 1080]
    speed = draw.normal(0, 60, (count, 2))
    size = draw.uniform(30, 90, (count, 1)) * [1.4, 1.0]
    for k in range(frames):
        at = (centre + speed * k / TRAFFIC_RATE) % [1920, 1080] + draw.normal(0, 1, (count, 2))
        boxes = np.concatenate([at - size / 2, at + size / 2], axis=1)
        seen = draw.random(count) > 0.1
        yield boxes[seen], draw.uniform(0.3, 1, count)[seen], k / TRAFFIC_RATE


def milliseconds(steps: Mapping[str, Step], count: int, frames: int = 120) -> dict[str, float]:
    """Processor time of each tracker, all in turns on each frame; medians after the first 20."""
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for boxes, scores, time_s in traffic(count, frames):
        for name, step in steps.items():
            before = time.process_time()
            step(boxes, scores, time_s)
            spent[name].append(time.process_time() - before)
    return {name: 1e3 * float(np.median(each[20:])) for name, each in spent.items()}


def apart(count: int, frames: int = 120) -> dict[str, float]:
    """Milliseconds of processor time a frame by what our tracker looks at, medians after the first 20."""
    draw = np.random.default_rng(0)
    looks = draw.normal(size=(count, EMBEDDING)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    ground = cv2.resize(draw.integers(0, 256, (100, 150), dtype=np.uint8), (2400, 1400))
    ways = {
        "motion": Tracker(),
        "and appearance": Tracker(min_likeness=0.7),
        "and camera motion": Tracker(camera_motion=True),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for number, (boxes, scores, time_s) in enumerate(traffic(count, frames)):
        kinds = np.zeros(len(boxes), np.int32)
        frame = np.ascontiguousarray(ground[number : number + 1080, 2 * number : 2 * number + 1920])
        extras: tuple[dict[str, Any], ...] = ({}, {"embeddings": looks[: len(boxes)]}, {"frame": frame})
        for (name, tracker), extra in zip(ways.items(), extras, strict=True):
            before = time.process_time()
            tracker.update(boxes, scores, kinds, time_s=time_s, **extra)
            spent[name].append(time.process_time() - before)
    return {name: 1e3 * float(np.median(each[20:])) for name, each in spent.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "tracking")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sets = read_sets(options.data)

    makers: dict[str, Callable[[float], Step]] = {"catseye": lambda rate: ours()}
    makers |= {name: partial(peer, name) for name in PEERS}
    figures: dict[str, dict[str, Any]] = {}
    for name, make in makers.items():
        figures[name] = {label: evaluate(sequences, make) for label, sequences in sets.items()}
        figures[name]["ms"] = {}
    for count in COUNTS:
        steps = {name: make(TRAFFIC_RATE) for name, make in makers.items()}
        for name, value in milliseconds(steps, count).items():
            figures[name]["ms"][count] = value

    times = {count: apart(count) for count in COUNTS}
    missed = bounds(figures, list(sets))
    if options.json:
        print(json.dumps({"figures": figures, "apart_ms": times, "missed": missed}))
    else:
        print_table(figures, list(sets), missed)
        for count, ways in times.items():
            print(f"{count} boxes:", ", ".join(f"{name} {value:.2f} ms" for name, value in ways.items()))
    return 1 if missed else 0


def bounds(figures: dict[str, dict[str, Any]], sets: list[str]) -> list[str]:
    """Each bound that was missed, as a sentence."""
    own, peers = figures["catseye"], [figures[name] for name in PEERS]
    missed = []
    for label in sets:
        for metric in ("HOTA", "IDF1"):
            best = max(p[label][metric] for p in peers)
            if own[label][metric] < best:
                missed.append(
                    f"{label}: {metric} {own[label][metric]:.1f} is below the best peer's {best:.1f}"
                )
    for count in (100, 300):
        bound = min(p["ms"][count] for p in peers) / 4
        if own["ms"][count] > bound:
            missed.append(f"{count} boxes: {own['ms'][count]:.2f} ms a frame is above {bound:.2f}")
    return missed


def print_table(figures: dict[str, dict[str, Any]], sets: list[str], missed: list[str]) -> None:
    header = ["tracker".ljust(16), *(f"{s} {m}" for s in sets for m in ("HOTA", "MOTA", "IDF1", "IDSW"))]
    header += [f"ms@{count}" for count in COUNTS]
    print("  ".join(header))
    for name, row in figures.items():
        cells = [f"{row[s][m]:.1f}" for s in sets for m in ("HOTA", "MOTA", "IDF1", "switches")]
        cells += [f"{row['ms'][count]:.2f}" for count in COUNTS]
        print("  ".join(cell.rjust(len(title)) for cell, title in zip([name, *cells], header, strict=True)))
    for line in missed:
        print("MISSED", line)


if __name__ == "__main__":
    sys.exit(main())
