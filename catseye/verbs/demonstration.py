"""Verbs for a first look: at the machine, and at the whole chain."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from catseye import extras
from catseye.console import output_console, print_table, progress_bars
from catseye.errors import CatseyeError
from catseye.verbs.options import Json, Seed, print_json


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
    extras.require("export")  # before the first stage, which renders for minutes and needs none
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


def doctor(
    place: Annotated[
        Path, typer.Option("--for", help="Where footage or bundles are to lie, for the room there.")
    ] = Path(),
    as_json: Json = False,
) -> None:
    """What this machine has and lacks, and the remedy. Exit code 1 where something is at fault."""
    from catseye.doctor import examine

    findings = examine(place)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [(finding.part, finding.state, finding.found, finding.remedy) for finding in findings]
        print_table("this machine", ("what", "", "found", "remedy"), rows)
    faults = [finding.part for finding in findings if finding.state == "fault"]
    if faults:
        raise CatseyeError(f"this machine: {', '.join(faults)} at fault; see the remedies above")
