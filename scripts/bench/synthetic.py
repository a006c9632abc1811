#!/usr/bin/env python3
"""Does training work? On rendered worlds with vehicles and surroundings kept out of it, in an hour or less.

Each figure has a bound that holds only if something was learned:

- order: the accuracy over 12 orders, three standard errors above chance;
- future: the error of predicting latents, below that of copying the last frame;
- depth: the median-scaled absolute relative error, below that of the best constant;
- features: the spread of L2-normalised features of a dimension, far from zero, so that nothing collapsed;
- detection: AP50 of the fine-tuned detector.

It prints a table and exits with 1 when a bound is missed. A finished case is a line in ``results/``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from case_results import current_commit

from catseye.console import print_table, progress_bars
from catseye.demo import Effort, demo
from catseye.files import write_text
from catseye.footage import World

RESULTS = Path(__file__).with_name("results") / "synthetic.jsonl"

EFFORT = Effort(
    world=World(train_clips=24, held_out_clips=6),
    dataset_size=(160, 96),
    detector_size=(320, 192),
    pretrain_steps=600,
    pretrain_batch=4,
    finetune_steps=640,
    finetune_batch=8,
)
"""Under half an hour on two cores that multiply bfloat16."""


@dataclass(frozen=True)
class Check:
    """A figure and the bound it has to beat; true where it does."""

    name: str
    value: float
    bound: float
    more_is_better: bool = True

    def __bool__(self) -> bool:
        return self.value > self.bound if self.more_is_better else self.value < self.bound


def checks(figures: dict[str, float]) -> list[Check]:
    """What must hold of a run's figures."""
    chance = figures["order_chance"] + 3 * figures["order_accuracy_se"]
    return [
        Check("order accuracy", figures["order_accuracy"], chance),
        Check("future skill against copying", figures["future_skill"], 0.0),
        Check(
            "depth AbsRel, median-scaled", figures["depth_absrel"], figures["depth_absrel_constant"], False
        ),
        Check("spread of features, 1 is ideal", figures["feature_spread"], 0.3),
        Check("detection AP50", figures["finetune_ap50"], 0.5),
    ]


def record(seed: int, commit: str, seconds: float, figures: dict[str, float]) -> None:
    """Add a line to the committed results, unless this seed, effort and commit are there."""
    effort = hashlib.sha256(json.dumps(asdict(EFFORT)).encode()).hexdigest()[:12]
    case = {"case": "synthetic", "seed": seed, "config": effort, "commit": commit}
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    if not any(json.loads(line).items() >= case.items() for line in lines):
        lines.append(json.dumps({**case, "seconds": round(seconds), "figures": figures}, sort_keys=True))
        write_text(RESULTS, "".join(f"{line}\n" for line in lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/synthetic"), help="folder for everything")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    began, commit = time.monotonic(), current_commit()
    with progress_bars() as progress:
        stages = demo(arguments.out, effort=EFFORT, seed=arguments.seed, progress=progress)
    figures = {name: value for stage in stages for name, value in stage.figures.items()}
    held = checks(figures)
    record(arguments.seed, commit, sum(stage.seconds for stage in stages), figures)
    if arguments.json:
        seconds = sum(stage.seconds for stage in stages)
        print(json.dumps({"figures": figures, "seconds": seconds, "passed": all(held)}, indent=2))
    else:
        rows = [
            (
                c.name,
                f"{c.value:.3f}",
                f"{'>' if c.more_is_better else '<'} {c.bound:.3f}",
                "ok" if c else "MISSED",
            )
            for c in held
        ]
        print_table(
            f"Held-out worlds, seed {arguments.seed}, {time.monotonic() - began:.0f} s",
            ("figure", "value", "bound", ""),
            rows,
        )
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
