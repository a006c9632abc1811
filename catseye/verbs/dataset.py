"""Verbs that make a dataset and show what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from catseye import extras
from catseye.console import output_console, print_table, progress_bars
from catseye.errors import UsageError
from catseye.verbs.options import (
    Jobs,
    Json,
    Out,
    Preset,
    PresetHeight,
    PresetWidth,
    Seed,
    print_json,
    settled,
)


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    out: Out,
    holdout: Annotated[
        list[Path] | None, typer.Option(help="Footage kept out of training; repeatable.")
    ] = None,
    preset: Preset = None,
    width: PresetWidth = None,
    height: PresetHeight = None,
    drive_from: Annotated[
        str | None, typer.Option(help="Regular expression whose group 1 is the drive.")
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="calibration.json of the camera.")] = None,
    blur: Annotated[
        Path | None, typer.Option(help="Blur in the shards what this bundle or run detects.")
    ] = None,
    blur_classes: Annotated[list[str] | None, typer.Option(help="Which of its classes; repeatable.")] = None,
    decoder: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="cuda decodes on NVIDIA's decoders.")
    ] = "cpu",
    jobs: Jobs = 0,
    ray: Annotated[str | None, typer.Option(help="Address of a Ray cluster to do the work.")] = None,
    stall_s: Annotated[
        float, typer.Option(help="Seconds without a frame after which a video is given up.")
    ] = 60,
    as_json: Json = False,
) -> None:
    """Footage to dataset, by default of 320x192: clips, tags, short-GOP shards and a Parquet manifest."""
    from catseye.capture.ingestion import ingest as run_ingest
    from catseye.pretrain.presets import preset as preset_named
    from catseye.redactor import Redactor

    if blur_classes and blur is None:
        raise UsageError("--blur-classes needs --blur: name the bundle that detects them")
    if ray is not None:
        extras.require("cluster")  # before all footage is hashed
    redact = Redactor(blur, blur_classes or ()) if blur is not None else None

    with progress_bars() as progress:
        dataset = run_ingest(
            paths,
            out,
            holdout=holdout or (),
            **settled(preset_named(preset).ingesting if preset else {}, width=width, height=height),
            drive_from=drive_from,
            calibration=calibration,
            redact=redact,
            redacted_by=redact.described if redact is not None else "",
            decoder=decoder,
            jobs=jobs,
            ray=ray,
            stall_s=stall_s,
            progress=progress,
        )
    rows = _clip_rows(dataset)
    if as_json:
        print_json(
            {"dataset": str(out), "clips": [dict(zip(_CLIP_HEADER, row, strict=True)) for row in rows]}
        )
    else:
        print_table(str(out), _CLIP_HEADER, rows)


_CLIP_HEADER = ("kept or why not", "split", "clips", "seconds")


def _clip_rows(dataset: Any) -> list[tuple[str, str, int, float]]:
    sums: dict[tuple[str, str], list[float]] = {}
    for clip in dataset.clips:
        key = ("kept" if clip.usable else clip.reason, clip.split)
        sums.setdefault(key, []).append(float(clip.times_s[-1]) if len(clip) else 0.0)
    return [(*key, len(seconds), round(sum(seconds), 1)) for key, seconds in sorted(sums.items())]


def erase(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    drive: Annotated[str, typer.Argument(help="The drive, as `inspect` names it.")],
) -> None:
    """Take a drive out of a dataset for good: rows, shards, telemetry. The originals are not touched."""
    from catseye.capture.erasure import erase_drive

    left = erase_drive(dataset, drive)
    output_console.print(f"erased {drive} from {dataset}: {len(left.clips)} clips are left", markup=False)


def inspect(
    dataset: Annotated[str, typer.Argument(help="Dataset folder or URL.")],
    out: Annotated[Path, typer.Option("--out", help="HTML page to write.")] = Path("dataset.html"),
    thumbnails: Annotated[int, typer.Option(help="Pictures on each contact sheet.")] = 24,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """What is in a dataset, and what is missing from it, on one page."""
    from catseye.capture.inspection import inspect as run_inspect

    with progress_bars() as progress:
        summary = run_inspect(dataset, out=out, thumbnails_each=thumbnails, seed=seed, progress=progress)
    if as_json:
        print_json(summary.to_document())
    else:
        for balance in summary.balances:
            output_console.print(balance.sentence, markup=False)
        output_console.print(f"Look at {out}", markup=False)
