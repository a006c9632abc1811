#!/usr/bin/env python3
"""What are pictures without labels worth beside a few with labels, where a detector labels them?

    python scripts/bench/semi_supervised.py --data DIR [--out DIR] [--rows …] [--stills N] [--seeds N]

DIR holds ``video/*.mp4``, ``detection/tusimple_supp_640x360`` and ``detectors/yolox_nano_416.onnx``. All
detectors are taught from scratch for as many steps, on the stills that ``real_stills.py`` takes for the seed,
and measured on all of ``test.txt``.

Rows: ``labels``, nothing but the labelled stills (the row ``scratch`` of ``real_stills.py``); ``own-stills``,
half of each batch from the other stills of ``train.txt``, as the detector of the row before labels them;
``own-clips``, half of each batch from frames of the videos, as that detector labels them and tracks confirm;
``yolox-stills`` and ``yolox-clips``, the same labelled by YOLOX-Nano, which all of COCO has taught:
distillation, which is not to be held to the rows without.

There is no bound: it is to be known, whatever it says. Each finished row and seed is a line in ``results/``,
so that the table can grow over days.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import real_stills
from case_results import config_of, run_cases
from real_stills import FIGURE, FIGURES, ROWS, STILLS, Work, chosen, detect, finetuning_of, unlabelled

import catseye
from catseye.console import print_table, progress_bars
from catseye.export import wrap
from catseye.model import Model
from catseye.pretrain.label_formats import write_labels
from catseye.pretrain.labels import Labels
from catseye.pretrain.prelabelling import prelabel, prelabel_clips
from catseye.pretrain.pseudo_labels import TrackRules
from catseye.runtime import Tracker

RESULTS = Path(__file__).with_name("results") / "semi_supervised.jsonl"
SEEDS = 3
SCRATCH = next(row for row in ROWS if row.name == "scratch")
SURE = 0.3
CLIP_FRAME_EVERY_S = 0.5

Extra = tuple[Path, Path]
"""A label file, and the folder of its pictures."""


def own(work: Work, count: int, seed: int) -> Model:
    """The detector of the row ``labels``, which is taught where it has not been."""
    run = work.out / f"{SCRATCH.name}-{seed}-{count}-stills" / "run"
    if not (run / "checkpoint.json").exists():
        real_stills.measure_row(SCRATCH, seed, count, work)
    return catseye.load(run)


def yolox(work: Work, _count: int, _seed: int) -> Model:
    return catseye.load(wrapped_yolox(work))


@cache
def wrapped_yolox(work: Work) -> Path:
    bundle = work.out / "yolox_nano.catseye"
    detectors = work.data / "detectors"
    vehicles = ("car", "bus", "truck")
    wrap(
        detectors / "yolox_nano_416.onnx",
        bundle,
        decoder="yolox",
        classes=detectors / "coco.names",
        keep=vehicles,
        rename=dict.fromkeys(vehicles, "vehicle"),
    )
    return bundle


def of_stills(teacher: Model, folder: Path, work: Work, labelled: Sequence[str]) -> Extra:
    """The other stills of ``train.txt``, labelled one by one."""
    images = work.stills / "images"
    names = [name for name in work.names("train.txt") if name not in set(labelled)]
    return write(prelabel(images, names, teacher, threshold=SURE, progress=work.progress), folder), images


def of_clips(teacher: Model, folder: Path, work: Work, _labelled: Sequence[str]) -> Extra:
    """Frames of the videos, labelled by what lasts in them."""
    images = folder / "images"
    labels = prelabel_clips(
        unlabelled(work),
        teacher,
        lambda: Tracker(high_threshold=0.8 * SURE, start_threshold=SURE, low_threshold=0.2 * SURE),
        pictures=images,
        rules=TrackRules(sure=SURE),
        every_s=CLIP_FRAME_EVERY_S,
        progress=work.progress,
    )
    return write(labels, folder), images


def write(labels: Labels, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_labels(labels, folder / "labels.json", form="coco")
    return folder / "labels.json"


Teacher = Callable[[Work, int, int], Model]
Pictures = Callable[[Model, Path, Work, Sequence[str]], Extra]

EXTRAS: dict[str, tuple[Teacher, Pictures]] = {
    "own-stills": (own, of_stills),
    "own-clips": (own, of_clips),
    "yolox-stills": (yolox, of_stills),
    "yolox-clips": (yolox, of_clips),
}


def measure(row: str, seed: int, count: int, work: Work) -> dict[str, float]:
    """Average precisions with what a teacher has labelled."""
    teach, label = EXTRAS[row]
    labelled = real_stills.few(work.names("train.txt"), count, seed)
    case = f"{row}-{seed}-{count}-stills"
    extra = label(teach(work, count, seed), work.out / case / "extra", work, labelled)
    config = real_stills.replace(finetuning_of(SCRATCH, count), seed=seed)
    return detect(case, labelled, work.names("test.txt"), config, None, work, extra=extra)


def row_config(row: str, count: int) -> str:
    return config_of((row, count, SURE, CLIP_FRAME_EVERY_S, chosen(finetuning_of(SCRATCH, count))), ())


def table(
    rows: Sequence[str], count: int, seeds: Sequence[int], work: Work
) -> dict[str, list[dict[str, Any]]]:
    """Figures by row, one entry a seed."""
    found = {
        "labels": list(
            run_cases(
                f"{SCRATCH.name}, {count} stills",
                seeds,
                config=real_stills.row_config(SCRATCH, count),
                results=real_stills.RESULTS,
                run=lambda seed: real_stills.measure_row(SCRATCH, seed, count, work),
            )
        )
    }
    for row in rows:
        cases = run_cases(
            f"{row}, {count} stills",
            seeds,
            config=row_config(row, count),
            results=RESULTS,
            run=lambda seed, row=row: measure(row, seed, count, work),
        )
        found[row] = list(cases)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with video/, detection/, detectors/")
    parser.add_argument("--out", type=Path, default=Path("runs/real_stills"), help="folder for everything")
    parser.add_argument("--rows", nargs="+", choices=list(EXTRAS), default=list(EXTRAS))
    parser.add_argument("--stills", type=int, default=STILLS)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds 0 to N - 1")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with progress_bars() as progress:
        work = Work(arguments.data, arguments.out, progress)
        found = table(arguments.rows, arguments.stills, range(arguments.seeds), work)
    if arguments.json:
        print(json.dumps({"cases": found}, indent=2))
        return 0
    entries = [
        {"row": row, "stills": arguments.stills, **{name: [case[name] for case in cases] for name in FIGURES}}
        for row, cases in found.items()
    ]
    means = (f"{name}, mean" for name in FIGURES)
    head = ("row", "stills", *means, "of labels", "seeds won", f"{FIGURE} by seed")
    lines = real_stills.compare(entries, beside="labels")
    print_table(f"{arguments.stills} labelled stills, {arguments.seeds} seeds", head, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
