#!/usr/bin/env python3
"""Do the tracker's parameters hold where they were not chosen?

    python scripts/bench/tracker_validation.py [--data FOLDER] [--draws N] [--json]

Sets of parameters are drawn at random around the defaults, the same each time, and each is measured on every
sequence. The best is that with the highest mean of HOTA and IDF1, each set of sequences counting the same.
The defaults are not among them: they were tuned on these very sequences.

- on itself: chosen on all sequences, and measured on them.
- held-out sequence: each sequence is tracked with what is best on all others.
- held-out set: each set is tracked with what is best on the other.

Then defaults beside peers at theirs: at full rate, on every second and third frame, and where a worse
detector has looked at the KITTI sequences: more missed, more false alarms, lower scores, edges farther off.

Bounds: HOTA and IDF1 of held-out sequences, and of the defaults in each case, at or above the best peer's.
Exits 1 when one is missed. Needs ``pip install trackeval 'trackers>=2.6,<2.7'``; ten minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tracker import (
    PEERS,
    ROOT,
    Frame,
    Judged,
    Sequence,
    Step,
    evaluate,
    judged,
    ours,
    peer,
    read_sets,
    together,
    tracked,
)

from catseye.console import print_table, progress_bars
from catseye.runtime.association import iou

Options = dict[str, float]
Sets = dict[str, dict[str, Sequence]]
Results = dict[str, dict[str, Judged]]
"""By set and sequence."""

SEED = 0
WORSE_EDGES, WORSE_MISSED, FALSE_ALARMS = 0.06, 0.2, 0.4
"""Relative to a box's sides; of what is large and in the open; and a frame."""


def drawn(count: int) -> list[Options]:
    """Sets of parameters around the defaults."""
    draw = np.random.default_rng(SEED).uniform

    def one() -> Options:
        start = draw(0.45, 0.7)
        return {
            "measurement_noise": draw(0.04, 0.09),
            "acceleration_noise": draw(0.21, 0.63),
            "initial_rate": draw(0.5, 1.5),
            "min_iou": draw(0.15, 0.4),
            "min_iou_low": draw(0.19, 0.41),
            "max_lost_s": draw(0.8, 2.0),
            "start_threshold": start,
            "high_threshold": draw(0.3, min(0.55, start)),
            "max_start_overlap": draw(0.5, 0.8),
        }

    return [one() for _ in range(count)]


def every(sets: Sets, step: int) -> Sets:
    return {
        label: {name: Sequence(of.rate / step, of.frames[::step]) for name, of in sequences.items()}
        for label, sequences in sets.items()
    }


def worse(sequence: Sequence, *, seed: int) -> Sequence:
    """The sequence as a worse detector sees it: what is small or behind others is missed more often."""
    draw = np.random.default_rng(seed)
    everywhere = np.concatenate([frame.truth_boxes for frame in sequence.frames])
    frames = []
    for frame in sequence.frames:
        boxes = frame.truth_boxes
        size = boxes[:, 2:] - boxes[:, :2]
        behind = boxes[:, None, 3] < boxes[None, :, 3]
        hidden = (iou(boxes, boxes) * behind).max(axis=1, initial=0.0)
        small = np.exp(-size[:, 1] / 20)
        found = draw.random(len(boxes)) > WORSE_MISSED + 0.3 * small + 0.7 * hidden
        placed = boxes + draw.normal(0, WORSE_EDGES, boxes.shape) * np.tile(size, 2)
        placed[:, 2:] = np.maximum(placed[:, 2:], placed[:, :2] + 2)
        false = everywhere[draw.integers(0, len(everywhere), draw.poisson(FALSE_ALARMS))]
        scores = draw.normal(0.75 - 0.35 * hidden - 0.3 * small, 0.15)
        frames.append(
            Frame(
                frame.time_s,
                np.concatenate([placed[found], false + draw.normal(0, 15, (len(false), 1))]),
                np.clip(np.concatenate([scores[found], draw.normal(0.3, 0.15, len(false))]), 0.05, 0.99),
                boxes,
                frame.truth_ids,
            )
        )
    return Sequence(sequence.rate, frames)


def results_of(sets: Sets, options: Options) -> Results:
    def make(_: float) -> Step:
        return ours(**options)

    return {
        label: {name: judged(of.frames, tracked(of, make)) for name, of in sequences.items()}
        for label, sequences in sets.items()
    }


def worth(results: Results) -> float:
    """Mean of HOTA and IDF1 over the sets."""
    figures = [together(sequences) for sequences in results.values() if sequences]
    return float(np.mean([(of["HOTA"] + of["IDF1"]) / 2 for of in figures]))


def without(results: Results, *, label: str, name: str | None = None) -> Results:
    """All but one sequence, or all but a set."""
    left = {key: dict(sequences) for key, sequences in results.items()}
    if name is None:
        del left[label]
    else:
        del left[label][name]
    return left


def best(measured: Iterable[Results]) -> int:
    return int(np.argmax([worth(results) for results in measured]))


def cross_validated(measured: list[Results]) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of each set of sequences, by how its parameters were chosen."""
    labels = list(measured[0])
    itself = measured[best(measured)]
    one_out = {
        label: {
            name: measured[best(without(each, label=label, name=name) for each in measured)][label][name]
            for name in measured[0][label]
        }
        for label in labels
    }
    set_out = {
        label: measured[best(without(each, label=label) for each in measured)][label] for label in labels
    }
    chosen = {"on itself": itself, "held-out sequence": one_out, "held-out set": set_out}
    return {
        name: {label: together(sequences) for label, sequences in results.items()}
        for name, results in chosen.items()
    }


def compared(sets: Sets) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of each tracker at its defaults."""
    makers: dict[str, Callable[[float], Step]] = {"catseye": lambda _: ours()}
    makers |= {name: partial(peer, name) for name in PEERS}
    return {
        name: {label: evaluate(sequences, make) for label, sequences in sets.items()}
        for name, make in makers.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "tracking")
    parser.add_argument("--draws", type=int, default=40, help="sets of parameters")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    sets = read_sets(options.data)
    measured = []
    candidates = drawn(options.draws)
    with progress_bars() as progress:
        for number, candidate in enumerate(candidates, start=1):
            measured.append(results_of(sets, candidate))
            progress("measure", number, len(candidates))
    figures = {"cross-validated": cross_validated(measured)}
    kitti = {name: worse(of, seed=number) for number, (name, of) in enumerate(sets["kitti_cars"].items())}
    cases = {"every frame": sets, "every second": every(sets, 2), "every third": every(sets, 3)}
    for name, case in {**cases, "worse detections": {"kitti_cars": kitti}}.items():
        figures[name] = compared(case)
    missed = bounds(figures)
    if options.json:
        spread = [worth(results) for results in measured]
        print(json.dumps({"figures": figures, "worth": spread, "missed": missed}))
    else:
        show(figures)
        for line in missed:
            print("MISSED", line)
    return 1 if missed else 0


def bounds(figures: dict[str, Any]) -> list[str]:
    """Each bound that was missed, as a sentence."""
    asked = {"held-out sequence": (figures["cross-validated"]["held-out sequence"], figures["every frame"])}
    asked |= {name: (of["catseye"], of) for name, of in figures.items() if "catseye" in of}
    missed = []
    for case, (own, others) in asked.items():
        for label, of in own.items():
            for metric in ("HOTA", "IDF1"):
                most = max(others[name][label][metric] for name in PEERS)
                if of[metric] < most:
                    missed.append(
                        f"{case}, {label}: {metric} {of[metric]:.1f} is below the best peer's {most:.1f}"
                    )
    return missed


def show(figures: dict[str, Any]) -> None:
    for case, rows in figures.items():
        labels = list(next(iter(rows.values())))
        metrics = ("HOTA", "MOTA", "IDF1")
        lines = [
            (name, *(" / ".join(f"{of[label][metric]:.1f}" for metric in metrics) for label in labels))
            for name, of in rows.items()
        ]
        print_table(case, ("", *(f"{label} {' / '.join(metrics)}" for label in labels)), lines)


if __name__ == "__main__":
    sys.exit(main())
