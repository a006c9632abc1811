#!/usr/bin/env python3
"""How far off are distances of boxes, and is their uncertainty what it says?

    python scripts/bench/distance.py [--out DIR] [--run RUN] [--data DIR] [--json]

On two rendered worlds. One gives the errors of the cues that suit it best, to hold against those in
``runtime/ranging/errors.py``; on the other, of vehicle shapes and surroundings that the first does not have,
all is measured, with the errors of the code, but for what real roads add to them: rendered ones are level and
plane. What rises, falls and shakes is for ``distance_roads.py``.

- true boxes: the cues apart, and fused; edges are taken for exact to half a pixel.
- boxes as a detector places them: edges off by random amounts, as YOLOX-Nano's are on labelled stills.
- hidden parts left out of the boxes as well, as some detectors do: what stands behind others seems lower.
- with ``--run``, a pretrained run with depth: its depth, in metres and as if it were relative, and all fused,
  with the errors of its depth as fitted on the first world, and with those of the code.
  A world that the run was trained on must not be among those measured: ``--world`` names its held-out part,
  to be measured as well.

With ``--data``, real footage, with the errors of the code and no depth: a stereo drive (boxes by YOLOX-Nano,
semi-global matching for reference), lidar frames and TuSimple's two vehicles.

Bounds, on the held-out world: of fused distances between 0.60 and 0.76 lie within one standard deviation of
the truth, and 0.92 or more within two, for each kind of box; and fused, true boxes are on the mean no farther
off than by the best cue alone, of those for which that says anything. Exits 1 when one is missed. 20 minutes
of one core, most of it for rendering, which a later call does not do again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from case_results import ROOT
from distance_figures import Figures, Measured, by_range, figures_of
from distance_real import detector_edges, lidar_cases, measure_cases, stereo_cases, tusimple_cases
from distance_worlds import RENDERED, Stream, as_detected, fit_errors, measure, read_world

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import letterbox
from catseye.capture.rendering import synth
from catseye.capture.rendering.vehicles import CLASSES
from catseye.console import print_table, progress_bars
from catseye.pretrain.checkpoint import INFO_FILE, CheckpointInfo
from catseye.progress import Progress
from catseye.runtime.distance import CUES, CueName, Ranger
from catseye.runtime.manifest import DepthOutput
from catseye.runtime.ranging.depth_map import depth_at
from catseye.runtime.ranging.errors import ERRORS, BoxErrors, CueErrors
from catseye.runtime.ranging.known_sizes import shapes_of

CLIPS, CLIP_S, FPS = 32, 12.0, 1.0
SIZE = (448, 256)
FIT_SEED, TEST_SEED = 2000, 3000
HALF_A_PIXEL = 0.2
"""Standard deviation of the rendered boxes' edges, against the vehicles' own corners projected."""
WITHIN_1, WITHIN_2 = (0.60, 0.76), 0.92
STILLS = 350
BOXES = 100
SINGLE = 5
"""Real boxes from which on they have figures together, and not each its own."""

Rows = dict[str, dict[str, Figures]]


def render(out: Path, progress: Progress) -> tuple[Path, Path]:
    """The world to fit on and the one to measure on, a second between frames, so that few are alike."""
    size = {"width": SIZE[0], "height": SIZE[1]}
    fit, test = out / "fit", out / "test"
    for folder, seed, look in ((fit, FIT_SEED, "train"), (test, TEST_SEED, "heldout")):
        synth(
            folder,
            seed=seed,
            clips=CLIPS,
            duration_s=CLIP_S,
            fps=FPS,
            **size,
            appearance=look,
            label_every=round(CLIP_S * FPS),
            progress=progress,
        )
    return fit, test


def world_rows(streams: Sequence[Stream]) -> tuple[Rows, list[str]]:
    """Figures of boxes alone, and the bounds that they miss."""
    shapes, exact = [shapes_of(name) for name in CLASSES], replace(RENDERED, edges=_exact(streams))
    both: tuple[CueName, ...] = ("ground", "size")
    ground, size, fused = (
        measure(streams, errors=exact, cues=cues, shapes=shapes) for cues in (both[:1], both[1:], both)
    )
    found = {
        "ground, true boxes": ground,
        "size, true boxes": size,
        "fused, true boxes": fused,
        "fused, of those by ground": fused.chosen(np.isfinite(ground.metres)),
        "fused, all of one class": measure(
            streams, errors=exact, cues=both, shapes=[shapes_of("vehicle")], one_class=True
        ),
        "fused, as detected": measure(
            as_detected(streams, ERRORS.edges), errors=RENDERED, cues=both, shapes=shapes
        ),
        "fused, hidden parts left out": measure(
            as_detected(streams, ERRORS.edges, hide=True), errors=RENDERED, cues=both, shapes=shapes
        ),
        "as detected, road taken for real": measure(
            as_detected(streams, ERRORS.edges), errors=ERRORS, cues=both, shapes=shapes
        ),
    }
    rows = {name: by_range(measured) for name, measured in found.items()}
    missed = [fault for name in rows if name.startswith("fused") for fault in calibration_faults(name, rows)]
    for name, cue in (("ground", ground), ("size", size)):
        alone, joined = _where_both(cue, fused)
        if joined > alone:
            missed.append(f"fused, true boxes: {joined:.2f} m off, by {name} alone {alone:.2f} m")
    return rows, missed


def calibration_faults(name: str, rows: Rows) -> list[str]:
    """Bounds on the uncertainty that a row misses."""
    figures, (low, high) = rows[name]["all"], WITHIN_1
    faults = []
    if not low <= figures.within_1 <= high:
        faults.append(f"{name}: {figures.within_1:.3f} within 1 sigma, not {low} to {high}")
    if not figures.within_2 >= WITHIN_2:
        faults.append(f"{name}: {figures.within_2:.3f} within 2 sigma, below {WITHIN_2}")
    return faults


def run_rows(
    streams: Sequence[Stream], depth: DepthOutput, fitted: CueErrors, *, title: str
) -> tuple[Rows, list[str]]:
    """Figures with a run's depth maps, at the run's own size, by the errors of depth that are its own."""
    shapes, code = [shapes_of(name) for name in CLASSES], replace(RENDERED, edges=_exact(streams))
    own = {name: getattr(fitted, name) for name in ("depth", "depth_px", "depth_near_px")}
    errors = replace(code, **own)
    relative = depth.model_copy(update={"metric": False})
    found = {}
    if depth.metric:
        found["depth"] = measure(streams, errors=errors, cues=("depth",), shapes=shapes, depth=depth)
    found |= {
        "depth, scale by the road": measure(
            streams, errors=errors, cues=("depth",), shapes=shapes, depth=relative
        ),
        "depth, scale by sizes": measure(
            streams, errors=errors, cues=("depth",), shapes=shapes, depth=relative, height_known=False
        ),
        "fused, ground and size": measure(streams, errors=errors, cues=("ground", "size"), shapes=shapes),
        "fused, all": measure(streams, errors=errors, cues=CUES, shapes=shapes, depth=depth),
        "fused, all, errors of the code": measure(
            streams, errors=code, cues=CUES, shapes=shapes, depth=depth
        ),
        "fused, camera's height unknown": measure(
            streams, errors=errors, cues=CUES, shapes=shapes, depth=depth, height_known=False
        ),
    }
    rows = {f"{title}: {name}": by_range(measured) for name, measured in found.items()}
    return rows, calibration_faults(f"{title}: fused, all", rows)


def real_rows(data: Path) -> Rows:
    """Figures on real footage; of few boxes, each number by itself."""
    detector, pose = data / "detectors/yolox_nano_416.onnx", data / "depth_pose"
    cases = {
        "stereo": stereo_cases(pose / "kitti_odom_seq1_half", detector),
        "lidar": lidar_cases(pose / "kitti_object_lidar"),
        "TuSimple": tusimple_cases(data / "video/tusimple_velocity_clips"),
    }
    chosen: dict[str, tuple[CueName, ...]] = {
        "ground": ("ground",),
        "size": ("size",),
        "fused": ("ground", "size"),
    }
    rows: Rows = {}
    for source, several in cases.items():
        for name, cues in chosen.items():
            measured = measure_cases(several, cues)
            rows[f"{source}: {name}"] = by_range(measured, enough=SINGLE)
            if len(measured.true_m) < SINGLE:
                for each, case in enumerate(zip(*vars(measured).values(), strict=True)):
                    one = figures_of(Measured(*(np.array([value]) for value in case)))
                    place = f"{each + 1}: true {case[0]:.1f} m, found {case[1]:.1f} ± {case[2]:.1f}"
                    rows[f"{source}: {name}"] |= {place: one} if one else {}
    return rows


def _exact(streams: Sequence[Stream]) -> BoxErrors:
    """Errors of true boxes, in network pixels."""
    return BoxErrors(px=HALF_A_PIXEL * streams[0].box.scale_x, share=0.0)


def _where_both(cue: Measured, fused: Measured) -> tuple[float, float]:
    """Mean absolute errors of a cue and of all fused, over the boxes for which the cue says anything."""
    said = np.isfinite(cue.metres)
    alone, joined = (np.abs(each.metres - each.true_m)[said].mean() for each in (cue, fused))
    return float(alone), float(joined)


def milliseconds() -> tuple[float, float]:
    """One frame of 100 boxes: all cues fused, and the depth map alone, as medians."""
    rng = np.random.default_rng(0)
    corner = rng.uniform((0, 60), (400, 120), (BOXES, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(8, 90, (BOXES, 2))], axis=1).astype(np.float32)
    depth = rng.uniform(5, 80, (SIZE[1] // 4, SIZE[0] // 4)).astype(np.float32)
    box = letterbox(*SIZE, *SIZE)
    K = ((448.0, 0.0, 224.0), (0.0, 448.0, 70.0), (0.0, 0.0, 1.0))
    camera = Calibration(width=SIZE[0], height=SIZE[1], K=K, height_m=1.5, pitch_rad=0.02)
    meaning = DepthOutput(
        width=depth.shape[1], height=depth.shape[0], canonical_focal_px=SIZE[0], metric=True
    )
    ranger = Ranger(
        depth=meaning,
        calibration=camera,
        box=box,
        shapes=[shapes_of(name) for name in (*CLASSES, "vehicle")],
    )
    classes = rng.integers(0, 4, BOXES)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(200):
        began = time.perf_counter()
        ranger.measure(depth, boxes, classes, time_s=0.0)
        between = time.perf_counter()
        depth_at(depth, boxes.astype(np.float64), box)
        times[0].append(between - began)
        times[1].append(time.perf_counter() - between)
    return 1e3 * float(np.median(times[0])), 1e3 * float(np.median(times[1]))


def print_rows(title: str, rows: Rows) -> None:
    heads = ("", "range", "n", "said", "m", "relative", "1 sigma", "2 sigma", "NLL", "ECE")
    lines = [
        (
            name if first else "",
            band,
            each.boxes,
            f"{each.said:.2f}",
            f"{each.error_m:.2f}",
            f"{each.relative:.3f}",
            f"{each.within_1:.2f}",
            f"{each.within_2:.2f}",
            f"{each.nll:.2f}",
            f"{each.ece:.3f}",
        )
        for name, bands in rows.items()
        for first, (band, each) in ((k == 0, item) for k, item in enumerate(bands.items()))
    ]
    print_table(title, heads, lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/distance"), help="folder for the worlds")
    parser.add_argument("--run", type=Path, help="a pretrained run with depth")
    parser.add_argument("--world", type=Path, help="rendered clips that the run did not learn from")
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared/data", help="left out where it is not there"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with progress_bars() as progress:
        fit, test = render(arguments.out, progress)
    width, height = SIZE
    fit_streams = read_world(fit, width=width, height=height)
    shapes = [shapes_of(name) for name in CLASSES]
    start = replace(RENDERED, edges=_exact(fit_streams))
    fitted = fit_errors(fit_streams, start, shapes, hidden=ERRORS.edges)
    rows, missed = world_rows(read_world(test, width=width, height=height))
    if arguments.run is not None:
        info = CheckpointInfo.load(arguments.run / INFO_FILE)
        size = {"width": info.width, "height": info.height, "run": arguments.run}
        assert info.depth is not None
        depth = DepthOutput(
            width=info.width // 4,
            height=info.height // 4,
            canonical_focal_px=info.depth.canonical_focal * info.width,
            metric=info.depth.metric,
        )
        streams = read_world(fit, **size)
        start = replace(fitted, edges=_exact(streams))
        fitted = replace(fit_errors(streams, start, shapes, depth=depth), edges=ERRORS.edges)
        worlds = {"run": test} | ({"its own world": arguments.world} if arguments.world else {})
        for title, folder in worlds.items():
            more, faults = run_rows(read_world(folder, **size), depth, fitted, title=title)
            rows, missed = rows | more, missed + faults
    real = arguments.data.is_dir()
    on_real = real_rows(arguments.data) if real else {}
    edges = None
    if real:
        stills = arguments.data / "detection/tusimple_supp_640x360"
        edges = detector_edges(stills, arguments.data / "detectors/yolox_nano_416.onnx", stills=STILLS)
    took = milliseconds()
    if arguments.json:
        document = {
            "rows": {
                name: {b: asdict(f) for b, f in bands.items()} for name, bands in (rows | on_real).items()
            },
            "fitted": asdict(fitted),
            "edges": None if edges is None else {**asdict(edges[0]), "boxes": edges[1]},
            "milliseconds": {"all cues": took[0], "depth map": took[1]},
            "missed": missed,
        }
        print(json.dumps(document))
        return 1 if missed else 0
    print_rows(f"Held-out worlds; bound of 1 sigma {WITHIN_1[0]} to {WITHIN_1[1]}, of 2 {WITHIN_2}", rows)
    if real:
        print_rows("Real footage, no depth; no bound", on_real)
    names = ("nod_rad", "ground", "cut", "depth", "depth_px", "depth_near_px")
    lines = [(name, f"{getattr(RENDERED, name):.4g}", f"{getattr(fitted, name):.4g}") for name in names]
    if edges is not None:
        lines.append((f"edges, px (YOLOX, {edges[1]} boxes)", f"{ERRORS.edges.px:.3g}", f"{edges[0].px:.3g}"))
        lines.append(("edges, share", f"{ERRORS.edges.share:.3g}", f"{edges[0].share:.3g}"))
    print_table("Errors of the cues", ("", "in the code", "fitted"), lines)
    print(f"{BOXES} boxes: {took[0]:.2f} ms for all cues, {took[1] / took[0]:.2f} of it for the depth map")
    for fault in missed:
        print("MISSED", fault)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
