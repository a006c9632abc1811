#!/usr/bin/env python3
"""What each precision of a bundle finds on held-out frames, and whether it keeps its budget.

    python scripts/bench/task_figures.py BUNDLE [--labels FILE --test-list FILE] [--dataset DATASET]
        [--stereo DIR] [--calibration PATH] [--json]

AP by size on labelled stills, depth and rank-1 of embeddings on a dataset's test clips, and depth on the real
pairs of a stereo drive, which are matched for a reference, of every graph in the bundle, on ONNX Runtime.
With calibration footage the precisions that the bundle lacks are made of its float32 graph. Bound: none loses
more against the float32 graph than the budget, by default 1 point of AP, 0.02 of AbsRel and 2 points of
rank-1. Exits 1 when one does.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from stereo_pairs import read_drive

from catseye.console import print_table, progress_bars
from catseye.export.calibration_frames import calibration_inputs
from catseye.export.gate import Budget
from catseye.export.held_out import HeldOut, HeldOutClip, HeldOutFrames, read_held_out
from catseye.export.precision_gate import open_gate
from catseye.export.precisions import Ranges, convert
from catseye.pretrain.pseudo_tracks import PseudoTracks
from catseye.progress import Progress
from catseye.runtime import open_bundle
from catseye.runtime.bundle import Bundle
from catseye.runtime.manifest import Manifest
from catseye.runtime.network_input import pictures_input
from catseye.runtime.precision import PRECISIONS, Precision

COLUMNS = ("ap", "ap50", "ap50_h10", "ap50_h20", "depth_absrel", "depth_absrel_raw", "depth_change", "rank1")

STEREO_S = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--test-list", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--dataset")
    parser.add_argument("--calibration", type=Path, action="append", default=[])
    parser.add_argument("--stereo", type=Path, help="a drive in KITTI's odometry layout")
    parser.add_argument("--ap-budget", type=float, default=Budget.ap_points)
    parser.add_argument("--depth-budget", type=float, default=Budget.abs_rel)
    parser.add_argument("--rank1-budget", type=float, default=Budget.rank1_points)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    budget = Budget(
        ap_points=options.ap_budget, abs_rel=options.depth_budget, rank1_points=options.rank1_budget
    )
    bundle = open_bundle(options.bundle)
    with progress_bars() as progress:
        frames = held_out_frames(options, bundle.manifest, progress)
        gate = open_gate(bundle.graph(), bundle.manifest, frames, budget, threads=options.threads)
        figures = {
            name: gate.figures if name == "fp32" else gate.measure(graph, progress=progress)
            for name, graph in graphs_of(bundle, options.calibration).items()
        }
    judged = {name: gate.judge(of) for name, of in figures.items() if name != "fp32"}
    if options.json:
        document = {
            name: {**of.values, **of.counts, "reason": judged[name].reason if name in judged else ""}
            for name, of in figures.items()
        }
        print(json.dumps(document))
    else:
        columns = [column for column in COLUMNS if any(column in of.values for of in figures.values())]
        rows = [
            (name, *(f"{of.values[column]:.3f}" if column in of.values else "" for column in columns))
            for name, of in figures.items()
        ]
        print_table(f"{options.bundle.name} on held-out frames", ("precision", *columns), rows)
        for name, judgement in judged.items():
            print(f"{name}: {judgement.reason}")
    return 0 if all(judged.values()) else 1


def held_out_frames(options: argparse.Namespace, manifest: Manifest, progress: Progress) -> HeldOutFrames:
    clips = () if options.stereo is None else (stereo_clip(options.stereo, manifest),)
    if clips and options.labels is None and options.dataset is None:
        return HeldOutFrames((), clips)
    held_out = HeldOut(
        labels=options.labels, test_list=options.test_list, images=options.images, dataset=options.dataset
    )
    found = read_held_out(held_out, manifest, progress=progress)
    return HeldOutFrames(found.stills, (*found.clips, *clips))


def graphs_of(bundle: Bundle, calibration: Sequence[Path]) -> dict[Precision, bytes]:
    found = {name: bundle.graph(name) for name in bundle.manifest.precisions}
    if calibration:
        network = bundle.manifest.network
        ranges = Ranges(found["fp32"], calibration_inputs(calibration, network), batch=network.batch)
        for name in PRECISIONS:
            found.setdefault(name, convert(found["fp32"], name, ranges))
    return found


def stereo_clip(folder: Path, manifest: Manifest) -> HeldOutClip:
    """What the left camera saw as a clip of held-out frames, in which nobody knows the vehicles."""
    drive = read_drive(folder)
    box = manifest.network.letterbox(drive.pictures.shape[2], drive.pictures.shape[1])
    nothing = PseudoTracks(np.empty(0, np.int64), np.empty((0, 4), np.float32), np.empty(0, np.int64))
    return HeldOutClip(
        drive=folder.name,
        frames=pictures_input(drive.pictures, manifest.network),
        box=box,
        focal_px=drive.intrinsics[0] * box.scale_x,
        times_s=np.arange(len(drive.pictures)) * STEREO_S,
        depth=tuple(drive.depth),
        tracks=nothing,
    )


if __name__ == "__main__":
    sys.exit(main())
