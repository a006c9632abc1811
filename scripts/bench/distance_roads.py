#!/usr/bin/env python3
"""Are distances right, and as sure as they say, where roads rise and fall, cameras nod and lenses bend?

    python scripts/bench/distance_roads.py [--data DIR] [--json]

Drives through the rendered world's traffic of which only boxes and distances are worked out, of vehicle
shapes that no error was fitted on, with edges off as a detector's, a second between frames:

- on a road that rises, falls and leans, from a camera that nods and of which the calibrated pitch is a little
  off, each by as much as ``runtime/ranging/errors.py`` says of real ones; with the pitch known and unknown,
  beside the same taken for a level plane, as rendered roads are, and by size alone.
- on a level plane through two lenses, edges exact: with the lens undone, and taken for a pinhole, over all
  boxes and over those near the picture's sides.

With ``--data``, the real stereo drive as one stream: YOLOX-Nano's boxes, with the pitch unknown and as the
stereo pairs show the road on the mean. What they show of the road in each frame is printed too.

Bounds: 0.60 to 0.76 of distances within one standard deviation on roads and on the real drive, 0.92 or more
within two on roads; on roads a smaller mean error than by size alone, and than taken for a plane; and by an
undone lens, at the sides, at most 0.8 of the relative error with the lens ignored. Exits 1 when one is
missed. Five minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from case_results import ROOT
from distance import WITHIN_1, calibration_faults, print_rows
from distance_figures import Figures, Float, by_range
from distance_real import KITTI_HEIGHT_M, measure_cases, stereo_cases
from distance_sketches import FLAT, Ride, sketch
from distance_worlds import RENDERED, Stream, as_detected, measure
from stereo_pairs import StereoDrive, read_drive

from catseye.capture.rendering.vehicles import CLASSES
from catseye.console import print_table
from catseye.runtime.distance import CueName
from catseye.runtime.ranging.errors import ERRORS, BoxErrors
from catseye.runtime.ranging.known_sizes import shapes_of

SEED, CLIPS, FRAMES, FPS = 12_000, 32, 12, 1.0
SIZE = (448, 256)
ROAD = Ride(mount_rad=0.003, nod_rad=0.0036, curvature=2.2e-4, tilt=0.03)
LENSES = {
    "barrel": replace(FLAT, lens="plumb_bob", coefficients=(-0.30, 0.09)),
    "fisheye": replace(FLAT, lens="equidistant", coefficients=(-0.02, 0.003, 0.0, 0.0)),
}
EXACT_PX = 0.15
SIDE = 0.6
"""Share of the way from the middle to the picture's side from which on a box is near it."""
LENS_GAIN = 0.8
STEREO_FPS = 10.0
NEAR_M, FAR_M = (5.0, 20.0), ((20.0, 30.0), (30.0, 45.0), (45.0, 70.0))
LANE_M, OFF_M = 2.0, 0.1
BOTH: tuple[CueName, ...] = ("ground", "size")

Rows = dict[str, dict[str, Figures]]


def road_rows(streams: Sequence[Stream]) -> tuple[Rows, list[str]]:
    shapes, seen = [shapes_of(name) for name in CLASSES], as_detected(streams, ERRORS.edges)
    unknown = [_without(stream, pitch=True) for stream in seen]
    found = {
        "road: by size alone": measure(seen, errors=ERRORS, cues=BOTH[1:], shapes=shapes),
        "road: taken for a plane": measure(seen, errors=RENDERED, cues=BOTH, shapes=shapes),
        "road: pitch known": measure(seen, errors=ERRORS, cues=BOTH, shapes=shapes),
        "road: pitch unknown": measure(unknown, errors=ERRORS, cues=BOTH, shapes=shapes),
        "road: by ground alone": measure(seen, errors=ERRORS, cues=BOTH[:1], shapes=shapes),
    }
    rows = {name: by_range(measured) for name, measured in found.items()}
    missed = []
    for name in ("road: pitch known", "road: pitch unknown"):
        missed += calibration_faults(name, rows)
        for other in ("road: by size alone", "road: taken for a plane"):
            worse, best = rows[name]["all"].error_m, rows[other]["all"].error_m
            if worse > best:
                missed.append(f"{name}: {worse:.2f} m off, {other.removeprefix('road: ')} {best:.2f} m")
    return rows, missed


def lens_rows(name: str, streams: Sequence[Stream]) -> tuple[Rows, list[str]]:
    shapes = [shapes_of(each) for each in CLASSES]
    errors = replace(RENDERED, edges=BoxErrors(px=EXACT_PX, share=0.0))
    middles = np.concatenate([(s.boxes[:, 0] + s.boxes[:, 2]) / 2 for each in streams for s in each.samples])
    aside = np.abs(middles / SIZE[0] - 0.5) > SIDE / 2
    rows: Rows = {}
    for how, through in (("undone", streams), ("ignored", [_without(each, pitch=False) for each in streams])):
        measured = measure(through, errors=errors, cues=BOTH, shapes=shapes)
        rows[f"{name} {how}"] = by_range(measured)
        rows[f"{name} {how}, at the sides"] = by_range(measured.chosen(aside))
    undone, ignored = (rows[f"{name} {how}, at the sides"]["all"].relative for how in ("undone", "ignored"))
    if undone > LENS_GAIN * ignored:
        return rows, [f"{name}: {undone:.3f} off at the sides, {ignored:.3f} with the lens ignored"]
    return rows, []


def _without(stream: Stream, *, pitch: bool) -> Stream:
    """The same with a calibration that does not tell the pitch, or else one that tells of no lens."""
    update = {"pitch_rad": None} if pitch else {"rectified": True}
    return replace(stream, calibration=stream.calibration.model_copy(update=update))


def real_rows(folder: Path, detector: Path, pitch_rad: float) -> tuple[Rows, list[str]]:
    cases = stereo_cases(folder, detector)
    known = [
        replace(case, calibration=case.calibration.model_copy(update={"pitch_rad": pitch_rad}))
        for case in cases
    ]
    found = {
        "stereo: by size alone": measure_cases(cases, BOTH[1:]),
        "stereo: pitch unknown, each picture by itself": measure_cases(cases, BOTH),
        "stereo: pitch unknown": measure_cases(cases, BOTH, fps=STEREO_FPS),
        "stereo: pitch known": measure_cases(known, BOTH, fps=STEREO_FPS),
        "stereo: pitch known, taken for a plane": measure_cases(known, BOTH, fps=STEREO_FPS, errors=RENDERED),
    }
    rows = {name: by_range(measured, enough=5) for name, measured in found.items()}
    missed = []
    for name in ("stereo: pitch unknown", "stereo: pitch known"):
        share = rows[name]["all"].within_1
        if not WITHIN_1[0] <= share <= WITHIN_1[1]:
            missed.append(f"{name}: {share:.3f} within 1 sigma, not {WITHIN_1[0]} to {WITHIN_1[1]}")
    return rows, missed


@dataclass(frozen=True)
class RoadSeen:
    """Of each frame: the camera's height and pitch against the road nearby, and what slopes farther off are
    off by, in radians, NaN where too little road is seen."""

    height_m: Float
    pitch_rad: Float
    off_rad: Float


def road_seen(drive: StereoDrive) -> RoadSeen:
    """A line through the road in the lane ahead of each frame, and how far the road beyond leaves it."""
    fx, fy, cx, cy = drive.intrinsics
    v, u = np.mgrid[0 : drive.depth.shape[1], 0 : drive.depth.shape[2]].astype(np.float64)
    heights, pitches, off = [], [], []
    for z in drive.depth.astype(np.float64):
        lane = np.abs((u - cx) / fx * z) < LANE_M
        y = (v - cy) / fy * z
        near = lane & (z > NEAR_M[0]) & (z < NEAR_M[1])
        line = _line(z[near], y[near])
        heights.append(line[0])
        pitches.append(-line[1])
        left = (y - line[0]) / z - line[1]
        row = []
        for low, high in FAR_M:
            part = left[lane & (z > low) & (z < high)]
            part = part[np.abs(part) < 0.02]
            row.append(float(np.median(part)) if len(part) > 30 else np.nan)
        off.append(row)
    return RoadSeen(np.array(heights), np.array(pitches), np.array(off))


def _line(z: Float, y: Float) -> Float:
    """Offset and slope of y over z, by least squares over what lies near."""
    design, line = np.stack([np.ones_like(z), z], axis=1), np.array([KITTI_HEIGHT_M, 0.0])
    for within in (0.5, 0.3, 0.15, OFF_M, OFF_M, OFF_M):
        kept = np.abs(y - design @ line) < within
        line = np.linalg.lstsq(design[kept], y[kept], rcond=None)[0]
    return np.asarray(line)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared/data", help="left out where it is not there"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    rides = (ROAD, *LENSES.values())
    road, *lenses = sketch(
        seed=SEED, clips=CLIPS, frames=FRAMES, fps=FPS, size=SIZE, appearance="heldout", rides=rides
    )
    rows, missed = road_rows(road)
    for name, streams in zip(LENSES, lenses, strict=True):
        more, faults = lens_rows(name, streams)
        rows, missed = rows | more, missed + faults
    seen = None
    if arguments.data.is_dir():
        folder = arguments.data / "depth_pose/kitti_odom_seq1_half"
        seen = road_seen(read_drive(folder))
        detector = arguments.data / "detectors/yolox_nano_416.onnx"
        more, faults = real_rows(folder, detector, float(seen.pitch_rad.mean()))
        rows, missed = rows | more, missed + faults
    shown = {} if seen is None else _shown(seen)
    if arguments.json:
        tables = {name: {b: asdict(f) for b, f in bands.items()} for name, bands in rows.items()}
        print(json.dumps({"rows": tables, "road of the stereo drive": shown, "missed": missed}))
        return 1 if missed else 0
    print_rows(f"Roads and lenses; bound of 1 sigma {WITHIN_1[0]} to {WITHIN_1[1]}", rows)
    if shown:
        lines = [(name, f"{mean:.2f}", f"{spread:.2f}") for name, (mean, spread) in shown.items()]
        print_table("The road of the stereo drive, 51 frames", ("", "mean", "deviation"), lines)
    for fault in missed:
        print("MISSED", fault)
    return 1 if missed else 0


def _shown(seen: RoadSeen) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of what each frame shows."""
    columns = {"camera above the road, m": seen.height_m, "pitch, mrad": 1e3 * seen.pitch_rad}
    for (low, high), off in zip(FAR_M, seen.off_rad.T, strict=True):
        columns[f"slope at {low:g}-{high:g} m off, mrad"] = 1e3 * off
    return {name: (float(np.nanmean(each)), float(np.nanstd(each))) for name, each in columns.items()}


if __name__ == "__main__":
    sys.exit(main())
