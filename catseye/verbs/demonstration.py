"""The verb that runs the whole chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catseye.console import output_console, print_table, progress_bars
from catseye.verbs.options import Seed


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything.")] = Path("demo"),
    video: Annotated[list[Path] | None, typer.Option(help="Footage to learn from; repeatable.")] = None,
    holdout: Annotated[Path | None, typer.Option(help="The video to track, kept out of training.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Boxes of your vehicles: COCO JSON, YOLO or CVAT.")
    ] = None,
    train_list: Annotated[Path | None, typer.Option(help="File names to train on, one a line.")] = None,
    test_list: Annotated[Path | None, typer.Option(help="File names to measure on, one a line.")] = None,
    seed: Seed = 0,
) -> None:
    """All of it: from footage to tracked vehicles on a video held out of all training."""
    from catseye.demo import demo as run_demo

    with progress_bars() as progress:
        stages = run_demo(
            out,
            videos=video or (),
            holdout=holdout,
            labels=labels,
            train_list=train_list,
            test_list=test_list,
            seed=seed,
            progress=progress,
        )
    rows = [(s.name, s.did, f"{s.seconds:.1f} s") for s in stages]
    print_table("What each stage did", ("stage", "did", "took"), rows)
    figures = [(f"{s.name}: {name}", f"{value:.4g}") for s in stages for name, value in s.figures.items()]
    print_table("What was measured", ("figure", "value"), figures)
    output_console.print(f"Look at {out / 'report.html'} and {out / 'tracked.mp4'}")
