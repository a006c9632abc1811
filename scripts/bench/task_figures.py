#!/usr/bin/env python3
"""What each precision of a bundle finds on held-out frames, and whether it keeps its budget.

    python scripts/bench/task_figures.py BUNDLE [--labels FILE --test-list FILE] [--dataset DATASET] [--json]

AP by size on labelled stills, depth and rank-1 of embeddings on a dataset's test clips, of every graph in the
bundle, on ONNX Runtime. Bound: none loses more against the float32 graph than the budget, by default 1 point
of AP, 0.02 of AbsRel and 2 points of rank-1. Exits 1 when one does.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from catseye.console import print_table, progress_bars
from catseye.export.gate import Budget
from catseye.export.held_out import HeldOut, read_held_out
from catseye.export.precision_gate import open_gate
from catseye.runtime import open_bundle

COLUMNS = ("ap", "ap50", "ap50_h10", "ap50_h20", "depth_absrel", "depth_change", "rank1")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--test-list", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--dataset")
    parser.add_argument("--ap-budget", type=float, default=Budget.ap_points)
    parser.add_argument("--depth-budget", type=float, default=Budget.abs_rel)
    parser.add_argument("--rank1-budget", type=float, default=Budget.rank1_points)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    held_out = HeldOut(
        labels=options.labels, test_list=options.test_list, images=options.images, dataset=options.dataset
    )
    budget = Budget(
        ap_points=options.ap_budget, abs_rel=options.depth_budget, rank1_points=options.rank1_budget
    )
    bundle = open_bundle(options.bundle)
    with progress_bars() as progress:
        frames = read_held_out(held_out, bundle.manifest, progress=progress)
        gate = open_gate(bundle.graph(), bundle.manifest, frames, budget, threads=options.threads)
        figures = {
            name: gate.figures if name == "fp32" else gate.measure(bundle.graph(name), progress=progress)
            for name in bundle.manifest.precisions
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


if __name__ == "__main__":
    sys.exit(main())
