#!/usr/bin/env python3
"""Distance smoothed along tracks, closing speed and time to contact: how far off, and is sigma what it says?

    python scripts/bench/approach.py [--out DIR] [--json]

On rendered drives whose vehicle shapes and surroundings differ from those that the errors were fitted on:
true boxes with edges off as a detector's, of which half of the variance is new in each frame and half lasts
for about half a second; hidden parts left out; one box in ten missed. They go through the tracker, and what
``Ranger`` says of each track is held against the truth of the vehicle that its detection is of. Calibrations
tell the camera's height and pitch, and errors are those of roads that are level and plane, as the rendered
ones are; and once more without a calibration, time to contact alone.

Peers: the same distances with each frame standing alone, and closing speed as the slope of a line through
those of the last second.

Bounds: smoothed distance is off by no more than the frame's own, on the mean over all ranges; closing speed
by less than half of the slope's; of each, 0.60 to 0.80 lie within one sigma and 0.90 or more within two.
Exits 1 when one is missed. Ten minutes of one core, nearly all of it for rendering, which is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from distance_figures import BANDS_M, Float
from distance_worlds import RENDERED, uncovered
from numpy.typing import NDArray

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Letterbox, letterbox
from catseye.capture.rendering import load_truth
from catseye.capture.rendering.vehicles import CLASSES
from catseye.console import print_table, progress_bars
from catseye.footage import World, render_world
from catseye.runtime import Tracker
from catseye.runtime.distance import Ranger
from catseye.runtime.ranging.errors import ERRORS
from catseye.runtime.ranging.known_sizes import shapes_of

WORLD = World(train_clips=24, held_out_clips=6)
SIZE = (320, 192)

MISSED, LASTS_S = 0.1, 0.5
SEEN = 0.4
"""Least visible part of a vehicle that is detected."""
AROUND = 2
"""Frames on each side that the true closing speed is taken over."""
SLOPE_S = 1.0
SOON_S = 10.0
"""True time to contact up to which it is measured."""
AWAY_MPS = 0.5
"""Closing speed below minus which a vehicle goes away, and has no time to contact."""
WITHIN_1, WITHIN_2 = (0.60, 0.80), 0.90


@dataclass(frozen=True)
class Sample:
    """One frame: boxes (N, 4) as detected, in network pixels, and what is true of them, NaN if unknown."""

    time_s: float
    boxes: Float
    classes: NDArray[np.int32]
    ids: NDArray[np.int32]
    true_m: Float
    true_closing_mps: Float


@dataclass(frozen=True)
class Drive:
    calibration: Calibration
    box: Letterbox
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Told:
    """A row a box that a track was seen at, (N,) each."""

    true_m: Float
    true_closing_mps: Float
    alone_m: Float
    alone_sigma_m: Float
    metres: Float
    sigma_m: Float
    slope_mps: Float
    closing_mps: Float
    closing_sigma_mps: Float
    contact_s: Float
    contact_sigma_s: Float


def read_drives(folder: Path) -> list[Drive]:
    return [
        _drive(path, np.random.default_rng(number))
        for number, path in enumerate(sorted(folder.glob("*.truth.npz")))
    ]


def _drive(path: Path, rng: np.random.Generator) -> Drive:
    truth = load_truth(path)
    calibration = Calibration.load(path.with_name(path.name.removesuffix(".truth.npz") + ".calibration.json"))
    box = letterbox(calibration.width, calibration.height, *SIZE)
    times = truth.pts / 90_000
    closing = closing_speeds(truth.frame_index, truth.track_ids, truth.distances_m.astype(np.float64), times)
    drift: dict[int, Float] = {}
    samples = []
    for frame, time_s in enumerate(times.tolist()):
        found = (truth.visibility >= SEEN) & (rng.random(len(truth.boxes)) > MISSED)
        rows = np.flatnonzero(found & (truth.frame_index == frame))
        whole, true_m = box.boxes_to_network(truth.boxes[rows]).astype(np.float64), truth.distances_m[rows]
        seen = uncovered(whole, true_m)
        keep = np.exp(-(times[1] - times[0]) / LASTS_S)
        for id_ in truth.track_ids[rows].tolist():
            new = rng.normal(size=4)
            drift[id_] = keep * drift[id_] + np.sqrt(1 - keep**2) * new if id_ in drift else new
        lasting = np.array([drift[id_] for id_ in truth.track_ids[rows].tolist()]).reshape(-1, 4)
        error = (rng.normal(size=seen.shape) + lasting) / np.sqrt(2)
        seen = seen + error * np.sqrt(ERRORS.edges.variance(seen[:, 3] - seen[:, 1]))[:, None]
        seen[:, 2:] = np.maximum(seen[:, 2:], seen[:, :2] + 1)
        samples.append(
            Sample(
                time_s,
                seen,
                truth.classes[rows],
                truth.track_ids[rows],
                true_m.astype(np.float64),
                closing[rows],
            )
        )
    return Drive(calibration, box, tuple(samples))


def closing_speeds(frames: NDArray[np.int32], ids: NDArray[np.int32], metres: Float, times: Float) -> Float:
    """Of each row, over ``AROUND`` frames to each side; NaN where the vehicle is not in all of them."""
    speeds = np.full(len(metres), np.nan)
    for id_ in np.unique(ids):
        rows = np.flatnonzero(ids == id_)
        before, after = rows[: -2 * AROUND], rows[2 * AROUND :]
        unbroken = frames[after] - frames[before] == 2 * AROUND
        span = times[frames[after]] - times[frames[before]]
        speed = (metres[before] - metres[after]) / span
        speeds[rows[AROUND : len(rows) - AROUND]] = np.where(unbroken, speed, np.nan)
    return speeds


def follow(drives: Sequence[Drive], *, calibrated: bool = True) -> Told:
    """What is told of all boxes of all drives, by a tracker and a ranger each."""
    rows = [row for drive in drives for row in _followed(drive, calibrated=calibrated)]
    return Told(*(np.concatenate(column).astype(np.float64) for column in zip(*rows, strict=True)))


def _followed(drive: Drive, *, calibrated: bool) -> Iterator[tuple[NDArray[np.floating], ...]]:
    options = {
        "depth": None,
        "calibration": drive.calibration if calibrated else None,
        "box": drive.box,
        "shapes": [shapes_of(name) for name in CLASSES],
        "errors": RENDERED,
    }
    tracker, ranger, alone = Tracker(), Ranger(**options), Ranger(**options)
    past: dict[int, list[tuple[float, float]]] = {}
    for sample in drive.samples:
        time_s = sample.time_s
        tracks = tracker.update(sample.boxes, np.full(len(sample.boxes), 0.9), sample.classes, time_s=time_s)
        limit = np.array([*SIZE, *SIZE], np.float32)
        boxes = np.clip(sample.boxes[tracks.detection_index], 0, limit)
        told = ranger.measure(None, boxes, tracks.classes, time_s=time_s, ids=tracks.ids)
        raw = alone.measure(None, boxes, tracks.classes, time_s=time_s)
        slopes = []
        for id_, metres in zip(tracks.ids.tolist(), raw.metres.tolist(), strict=True):
            points = [*past.get(id_, []), (time_s, metres)]
            past[id_] = points = [(t, m) for t, m in points if t > time_s - SLOPE_S and np.isfinite(m)]
            slopes.append(-np.polyfit(*zip(*points, strict=True), 1)[0] if len(points) > 2 else np.nan)
        own = tracks.detection_index
        assert told.closing_mps is not None and told.closing_sigma_mps is not None
        assert told.contact_s is not None and told.contact_sigma_s is not None
        yield (
            sample.true_m[own],
            sample.true_closing_mps[own],
            raw.metres,
            raw.sigma_m,
            told.metres,
            told.sigma_m,
            np.array(slopes),
            told.closing_mps,
            told.closing_sigma_mps,
            told.contact_s,
            told.contact_sigma_s,
        )


@dataclass(frozen=True)
class Figures:
    """Mean absolute error, its share within one and two sigma, and how many of the boxes it is said of."""

    error: float
    within_1: float
    within_2: float
    said: float
    boxes: int


def figures_of(true: Float, told: Float, sigma: Float) -> Figures:
    said = np.isfinite(told) & np.isfinite(true)
    off = np.abs(told - true)[said]
    share = off / sigma[said] if len(off) else np.array([np.nan])
    return Figures(
        error=float(off.mean()) if len(off) else float("nan"),
        within_1=float((share < 1).mean()),
        within_2=float((share < 2).mean()),
        said=float(said.sum() / max(np.isfinite(true).sum(), 1)),
        boxes=len(off),
    )


def rows_of(told: Told, blind: Told) -> dict[str, dict[str, Figures]]:
    found: dict[str, dict[str, Figures]] = {}
    for low, high in (*BANDS_M, (BANDS_M[0][0], BANDS_M[-1][1])):
        band = f"{low:g}-{high:g} m"
        here = (told.true_m >= low) & (told.true_m < high)
        both = here & np.isfinite(told.alone_m)
        found.setdefault("distance, each frame alone", {})[band] = figures_of(
            told.true_m[both], told.alone_m[both], told.alone_sigma_m[both]
        )
        found.setdefault("distance, smoothed", {})[band] = figures_of(
            told.true_m[both], told.metres[both], told.sigma_m[both]
        )
        sloped = here & np.isfinite(told.slope_mps) & np.isfinite(told.closing_mps)
        found.setdefault("closing speed, slope of a second", {})[band] = figures_of(
            told.true_closing_mps[sloped], told.slope_mps[sloped], np.full(sloped.sum(), np.nan)
        )
        found.setdefault("closing speed, smoothed", {})[band] = figures_of(
            told.true_closing_mps[sloped], told.closing_mps[sloped], told.closing_sigma_mps[sloped]
        )
        found.setdefault("closing speed, all of them", {})[band] = figures_of(
            told.true_closing_mps[here], told.closing_mps[here], told.closing_sigma_mps[here]
        )
    for name, of in (("", told), (", no calibration", blind)):
        with np.errstate(divide="ignore", invalid="ignore"):
            true = of.true_m / of.true_closing_mps
        for low, high in pairwise((0.0, 3.0, 6.0, SOON_S)):
            soon = (true >= low) & (true < high)
            found.setdefault(f"time to contact{name}", {})[f"{low:g}-{high:g} s"] = figures_of(
                true[soon], of.contact_s[soon], of.contact_sigma_s[soon]
            )
        away = of.true_closing_mps < -AWAY_MPS
        false = np.isfinite(of.contact_s[away])
        found[f"time to contact{name}"]["none: it goes away"] = Figures(
            error=float("nan"),
            within_1=float("nan"),
            within_2=float("nan"),
            said=float(false.mean()),
            boxes=int(false.sum()),
        )
    return found


def bounds(rows: dict[str, dict[str, Figures]]) -> list[str]:
    """Each bound that was missed, as a sentence."""
    band = f"{BANDS_M[0][0]:g}-{BANDS_M[-1][1]:g} m"
    alone, smooth = rows["distance, each frame alone"][band], rows["distance, smoothed"][band]
    slope, closing = rows["closing speed, slope of a second"][band], rows["closing speed, smoothed"][band]
    missed = []
    if smooth.error > alone.error:
        missed.append(f"distance: off by {smooth.error:.2f} m, each frame alone by {alone.error:.2f} m")
    if closing.error > slope.error / 2:
        missed.append(f"closing speed: off by {closing.error:.2f} m/s, the slope by {slope.error:.2f} m/s")
    for name in ("distance, smoothed", "closing speed, all of them"):
        of = rows[name][band]
        if not WITHIN_1[0] <= of.within_1 <= WITHIN_1[1] or of.within_2 < WITHIN_2:
            missed.append(f"{name}: {of.within_1:.2f} within one sigma, {of.within_2:.2f} within two")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/world"), help="folder for the world")
    parser.add_argument("--part", choices=("held-out", "train"), default="held-out", help="of the world")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with progress_bars() as progress:
        render_world(options.out, WORLD, seed=0, progress=progress)
    drives = read_drives(options.out / options.part)
    rows = rows_of(follow(drives), follow(drives, calibrated=False))
    missed = bounds(rows)
    if options.json:
        document = {name: {band: asdict(of) for band, of in bands.items()} for name, bands in rows.items()}
        print(json.dumps({"figures": document, "missed": missed}))
    else:
        lines = [
            (
                name if first else "",
                band,
                str(of.boxes),
                f"{of.said:.2f}",
                *(f"{value:.2f}" for value in (of.error, of.within_1, of.within_2)),
            )
            for name, bands in rows.items()
            for first, (band, of) in ((k == 0, item) for k, item in enumerate(bands.items()))
        ]
        heads = ("", "range", "n", "said", "off by", "1 sigma", "2 sigma")
        print_table(f"Rendered drives, {options.part}", heads, lines)
        for line in missed:
            print("MISSED", line)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
