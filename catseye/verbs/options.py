"""What the verbs share: options that mean the same everywhere, and how results are printed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from catseye.console import print_table
from catseye.errors import UsageError

Out = Annotated[Path, typer.Option("--out", help="Folder or file to write.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Jobs = Annotated[int, typer.Option(min=0, help="Processes; 0 takes one a core.")]
Width = Annotated[int, typer.Option(min=32, help="Width in pixels.")]
Height = Annotated[int, typer.Option(min=32, help="Height in pixels.")]
PresetWidth = Annotated[
    int | None, typer.Option("--width", min=32, help="Width in pixels, where not the preset's.")
]
PresetHeight = Annotated[
    int | None, typer.Option("--height", min=32, help="Height in pixels, where not the preset's.")
]
Preset = Annotated[
    str | None,
    typer.Option("--preset", help="nano, small or base: encoder and sizes that go together."),
]
Crop = Annotated[
    str | None,
    typer.Option("--crop", help="Learn from crops of this size, such as 256x160: less time a step."),
]
Engine = Annotated[
    str, typer.Option(help="auto, onnxruntime, onnxruntime-cuda, onnxruntime-tensorrt or tensorrt.")
]
GraphPrecision = Annotated[
    str,
    typer.Option(
        "--precision",
        help="Which graph of the bundle: fp32, fp16, int8, or auto, which on a processor is fp32.",
    ),
]
Threads = Annotated[
    int, typer.Option(min=0, help="Threads of the engine; 0 takes one for each core that may be used.")
]
Precision = Annotated[
    Literal["auto", "32-true", "bf16-mixed"], typer.Option(help="auto: bf16 where the processor has it.")
]
Images = Annotated[Path | None, typer.Option(help="Folder of the images; default: images/ beside labels.")]
TestList = Annotated[Path | None, typer.Option(help="File names to measure on, one a line.")]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same result.")]


def crop_sizes(crop: str | None) -> dict[str, Any]:
    """The options of a training run that ``--crop`` stands for.

    Raises:
        UsageError: it is no size.
    """
    if crop is None:
        return {}
    found = re.fullmatch(r"(\d+)x(\d+)", crop)
    if found is None:
        raise UsageError(f"--crop {crop!r}: is not of the form WIDTHxHEIGHT, such as 256x160")
    return {"crop_width": int(found[1]), "crop_height": int(found[2])}


def settled(otherwise: Mapping[str, Any], **given: object) -> dict[str, Any]:
    """Options by name: what was given, and otherwise what a preset or a default says."""
    return {**otherwise, **{name: value for name, value in given.items() if value is not None}}


def print_metrics(title: str, metrics: Mapping[str, float]) -> None:
    print_table(
        title, ("figure", "value"), [(name, f"{value:.4g}") for name, value in sorted(metrics.items())]
    )


def print_json(document: object) -> None:
    typer.echo(json.dumps(document, indent=2, default=str))
