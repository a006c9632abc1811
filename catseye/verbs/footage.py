"""Verbs of those who collect footage."""

from __future__ import annotations

from typing import Annotated

import typer

from catseye.console import output_console, progress_bars
from catseye.verbs.options import Height, Jobs, Out, Seed, Width


def synth(
    out: Out,
    clips: Annotated[int, typer.Option(min=1, help="Clips to render.")] = 8,
    duration: Annotated[float, typer.Option(help="Seconds a clip.")] = 8.0,
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 12.5,
    width: Width = 320,
    height: Height = 192,
    seed: Seed = 0,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Draw colours and shapes kept for testing.")
    ] = False,
    jobs: Jobs = 0,
) -> None:
    """Render a road world with exact boxes, tracks, depth, pose and speed."""
    from catseye.capture.rendering import synth as render

    with progress_bars() as progress:
        render(
            out,
            seed=seed,
            clips=clips,
            duration_s=duration,
            fps=fps,
            width=width,
            height=height,
            appearance="heldout" if held_out else "train",
            jobs=jobs,
            progress=progress,
        )
    output_console.print(f"{clips} clips in {out}")
