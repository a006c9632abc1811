"""The options that ``export`` and ``wrap`` share: how frames enter a graph, which precisions are made, what
one may lose and on what that is measured; and the table of what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from catseye.console import output_console, print_table
from catseye.errors import UsageError

if TYPE_CHECKING:
    from catseye.export.held_out import HeldOut
    from catseye.runtime.manifest import Verdict
    from catseye.runtime.precision import Precision

Precisions = Annotated[
    str,
    typer.Option("--precisions", help="Graphs in the bundle, with commas between: fp32, fp16, int8."),
]
Calibration = Annotated[
    list[Path] | None,
    typer.Option(
        "--calibration",
        help="Video, or folder of videos or pictures, to measure ranges on; repeatable.",
    ),
]
InputOption = Annotated[
    Literal["rgb8", "nv12"],
    typer.Option("--input", help="How frames enter the graph: RGB, or a decoder's planes."),
]
MatrixOption = Annotated[
    Literal["bt601", "bt709"],
    typer.Option("--matrix", help="Colour matrix of the planes of --input nv12."),
]
FullRange = Annotated[
    bool,
    typer.Option("--full-range", help="Luma of those planes covers 0 to 255, not 16 to 235."),
]
HeldOutLabels = Annotated[
    Path | None, typer.Option("--labels", help="Labels of held-out stills that each precision is tried on.")
]
HeldOutDataset = Annotated[
    str | None,
    typer.Option("--dataset", help="Dataset whose test clips try the depth and embedding of each precision."),
]
ApBudget = Annotated[float, typer.Option(help="AP points that a precision may lose.")]
DepthBudget = Annotated[float, typer.Option(help="AbsRel that a precision may lose.")]
Rank1Budget = Annotated[float, typer.Option(help="Points of embedding rank-1 that a precision may lose.")]

_COLUMNS = {
    "ap": "AP",
    "ap50": "AP50",
    "ap50_h10": "from 10 px",
    "ap50_h20": "from 20 px",
    "depth_absrel": "AbsRel",
    "depth_change": "depth change",
    "rank1": "rank-1",
    "float_layers": "layers in float",
}


def named(precisions: str) -> list[str]:
    """The names in ``--precisions``."""
    return [name.strip() for name in precisions.split(",") if name.strip()]


def held_out_of(
    *, labels: Path | None, test_list: Path | None, images: Path | None, dataset: str | None = None
) -> HeldOut | None:
    """What the options name, or None where they name nothing.

    Raises:
        UsageError: a list or a folder of images is given without labels.
    """
    if labels is None and (test_list or images):
        raise UsageError("--test-list and --images need --labels")
    if labels is None and dataset is None:
        return None
    from catseye.export.held_out import HeldOut

    return HeldOut(labels=labels, test_list=test_list, images=images, dataset=dataset)


def print_verdicts(verdicts: Mapping[Precision, Verdict]) -> None:
    """A row a precision, as far as task metrics were measured, and why each is in the bundle or not."""
    found = [name for name in _COLUMNS if any(name in verdict.figures for verdict in verdicts.values())]
    if found:
        rows = [
            (precision, *(_cell(verdict.figures.get(name), name) for name in found))
            for precision, verdict in verdicts.items()
        ]
        print_table("Held-out frames", ("precision", *(_COLUMNS[name] for name in found)), rows)
    for precision, verdict in verdicts.items():
        place = "" if verdict.accepted else " is left out"
        output_console.print(f"{precision}{place}: {verdict.reason}", markup=False, soft_wrap=True)


def _cell(value: float | None, name: str) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if name == "float_layers" else f"{value:.3f}"
