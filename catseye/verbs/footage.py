"""Verbs that make footage, and what belongs to a camera."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catseye.console import output_console, print_table, progress_bars
from catseye.verbs.options import Height, Jobs, Json, Out, Seed, Width, print_json


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


def calibrate(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures or videos of the board, or folders.")],
    out: Annotated[Path, typer.Option("--out", help="calibration.json to write.")] = Path("calibration.json"),
    board: Annotated[str, typer.Option(help="Inner corners, as 9x6; auto finds out.")] = "auto",
    square: Annotated[float | None, typer.Option(help="Side of a square in metres.")] = None,
    camera: Annotated[str, typer.Option(help="Who the camera is.")] = "camera",
    height: Annotated[float | None, typer.Option(help="Metres of the camera above the road.")] = None,
    pitch: Annotated[float | None, typer.Option(help="Radians of its axis below the horizon.")] = None,
    as_json: Json = False,
) -> None:
    """Chessboard pictures to a camera's intrinsics and distortion, with pictures to judge them by."""
    from catseye.capture.chessboard import calibrate as run_calibrate

    with progress_bars() as progress:
        report = run_calibrate(
            pictures,
            out=out,
            board=board,
            square_m=square,
            camera=camera,
            height_m=height,
            pitch_rad=pitch,
            progress=progress,
        )
    if as_json:
        print_json(report.to_document())
        return
    rows = [
        ("reprojection error, RMS", f"{report.error_px:.3f} px"),
        ("views used", f"{report.used} of {len(report.views)}"),
        ("model", report.model),
        ("field of view", " x ".join(f"{angle:.1f}°" for angle in report.field_of_view_deg)),
        ("picture covered by boards", f"{report.covered:.0%}"),
        (
            "rows of corners off straight, taken and undistorted",
            " and ".join(f"{off:.2f} px" for off in report.straightness_px),
        ),
    ]
    print_table(str(report.path), ("figure", "value"), rows)
    for view in report.views:
        if not view.used:
            output_console.print(f"left out {view.name}: {view.reason}", markup=False, soft_wrap=True)
    output_console.print(f"Look at {report.undistorted} and {report.coverage}", markup=False, soft_wrap=True)
