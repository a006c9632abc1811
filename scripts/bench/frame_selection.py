#!/usr/bin/env python3
"""Are 100 stills that `catseye select` chose worth more labels than 100 drawn at random?

    python scripts/bench/frame_selection.py --data DIR [--run RUN] [--out DIR] [--rows …] [--seeds N] [--json]

DIR holds ``video/*.mp4`` and ``detection/tusimple_supp_640x360``. Chosen is among the stills of
``train.txt``; each detector is fine-tuned on its stills from the same pretrained run with the options of
``real_stills.py``, and measured on all of ``test.txt``. RUN is that pretrained run, which looks at the stills
too; without it the row ``joint`` of ``real_stills.py`` is pretrained, or found where that left it in --out. A
seed decides the draw, the weights that are not pretrained and the order of learning; to the selection it only
decides between equals, so that its stills are the same for every seed.

Rows: ``random``; ``selected``, at once, by what stills are like; ``two-rounds``, half of them so, and the
other half by a detector taught with the first (as long as any other), which also says what it doubts.

There is no bound: it is to be known, whatever it says. Each finished row and seed is a line in ``results/``,
so that the table can grow over days.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from case_results import config_of, run_cases
from real_stills import FIGURE, FIGURES, FINETUNING, ROWS, Work, chosen, detect, few, pretrained

from catseye.console import print_table, progress_bars
from catseye.files import sha256_of
from catseye.pretrain.checkpoint import MODEL_FILE
from catseye.pretrain.finetuning import FinetuneConfig
from catseye.pretrain.label_formats import read_labels
from catseye.pretrain.labels import Labels
from catseye.pretrain.selection import SELECTION_FILE, Selection, SelectOptions, select

RESULTS = Path(__file__).with_name("results") / "frame_selection.jsonl"
STILLS = 100
SEEDS = 3

Draw = Callable[["Trial", int], list[str]]


class Trial:
    """What all cases of a run of this script have in common.

    Args:
        work: where things are.
        run: the pretrained run.
        config: of fine-tuning, but for the seed.
        count: stills a detector is taught with.
    """

    def __init__(self, work: Work, run: Path, config: FinetuneConfig, count: int) -> None:
        self.work, self.run, self.config, self.count = work, run, config, count
        self.pool = work.names("train.txt")

    def hash_of(self, row: str) -> str:
        """Of what decides a row's figures. Not of the code: a line names its commit."""
        return config_of((row, self.count, chosen(self.config), sha256_of(self.run / MODEL_FILE)), ())

    def detect(self, row: str, names: Sequence[str], seed: int) -> dict[str, float]:
        name = f"selection-{row}-{seed}-{self.hash_of(row)}"
        config = replace(self.config, seed=seed)
        return detect(name, names, self.work.names("test.txt"), config, self.run, self.work)

    def select(self, run: Path, budget: int, seed: int, *, labels: Labels | None = None) -> list[str]:
        """Names of stills that a run chooses; a selection that is there is taken."""
        sha = sha256_of(run / MODEL_FILE)[:12]
        folder = self.work.out / f"selected-{budget}-{seed}-{sha}"
        if (folder / SELECTION_FILE).exists():
            selection = Selection.load(folder / SELECTION_FILE)
        else:
            selection = select(
                self.work.stills / "images",
                run,
                folder,
                SelectOptions(budget=budget, seed=seed),
                names_list=self.work.stills / "train.txt",
                labels=labels,
                images=self.work.stills / "images",
                progress=self.work.progress,
            )
        return [picked.file_name for picked in selection.pictures]


def at_random(trial: Trial, seed: int) -> list[str]:
    return few(trial.pool, trial.count, seed)


def at_once(trial: Trial, seed: int) -> list[str]:
    return trial.select(trial.run, trial.count, seed)


def in_two_rounds(trial: Trial, seed: int) -> list[str]:
    first = trial.select(trial.run, trial.count // 2, seed)
    trial.detect("first-round", first, seed)
    folder = trial.work.out / f"selection-first-round-{seed}-{trial.hash_of('first-round')}"
    every = read_labels(trial.work.stills / "instances_coco.json")
    labels = every.only(first, source="the first round")
    return first + trial.select(folder / "run", trial.count - len(first), seed, labels=labels)


DRAWS: dict[str, Draw] = {"random": at_random, "selected": at_once, "two-rounds": in_two_rounds}


def measure(trial: Trial, row: str, seed: int) -> dict[str, float]:
    names = DRAWS[row](trial, seed)
    labelled = read_labels(trial.work.stills / "instances_coco.json").only(names, source=row)
    boxes = sum(len(image.boxes) for image in labelled.images)
    return {**trial.detect(row, names, seed), "stills": len(names), "boxes": boxes}


def table(
    trial: Trial, rows: Sequence[str], seeds: Sequence[int], *, results: Path
) -> dict[str, list[dict[str, Any]]]:
    """Figures by row, one entry a seed."""
    return {
        row: list(
            run_cases(
                f"{row}, {trial.count} stills",
                seeds,
                config=trial.hash_of(row),
                results=results,
                run=lambda seed, row=row: measure(trial, row, seed),
            )
        )
        for row in rows
    }


def lines(found: dict[str, list[dict[str, Any]]]) -> list[tuple[str, ...]]:
    """Lines of the printed table, each row beside random with the same seeds."""
    base = found.get("random")
    made = []
    for row, cases in found.items():
        ap = {name: np.array([case.get(name, np.nan) for case in cases]) for name in FIGURES}
        won = "" if base is None else str(sum(a > b[FIGURE] for a, b in zip(ap[FIGURE], base, strict=True)))
        boxes = np.mean([case["boxes"] for case in cases])
        means = (f"{values.mean():.3f} ± {values.std():.3f}" for values in ap.values())
        made.append((row, f"{boxes:.0f}", *means, won, " ".join(f"{value:.3f}" for value in ap[FIGURE])))
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with video/ and detection/")
    parser.add_argument("--run", type=Path, help="pretrained run; else the joint one of real_stills.py")
    parser.add_argument("--out", type=Path, default=Path("runs/real_stills"), help="folder for everything")
    parser.add_argument("--rows", nargs="+", choices=list(DRAWS), default=["random", "selected"])
    parser.add_argument("--stills", type=int, default=STILLS, help="stills to label")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds 0 to N - 1")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--steps", type=int, default=FINETUNING.steps, help="of fine-tuning; fewer is a trial"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of finished cases")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.seeds)
    with progress_bars() as progress:
        work = Work(arguments.data, arguments.out, progress)
        joint = next(row for row in ROWS if row.name == "joint")
        run = arguments.run or pretrained(joint, work)
        assert run is not None  # the joint row has tasks
        config = replace(FINETUNING, steps=arguments.steps, depth_weight=0)
        trial = Trial(work, run, config, arguments.stills)
        found = table(trial, arguments.rows, seeds, results=arguments.results)
    if arguments.json:
        print(json.dumps({"cases": found}, indent=2))
    else:
        head = ("row", "boxes", *(f"{name}, mean" for name in FIGURES), "seeds won", f"{FIGURE} by seed")
        print_table(f"{arguments.stills} stills of {len(trial.pool)}, {len(seeds)} seeds", head, lines(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
