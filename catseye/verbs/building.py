"""The verb that compiles plans, and the options of plans that others share."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from catseye.console import output_console, print_table, progress_bars
from catseye.errors import UsageError
from catseye.verbs.options import Json, print_json

if TYPE_CHECKING:
    from catseye.runtime.plan_options import PlanOptions

Cache = Annotated[
    Path | None,
    typer.Option("--cache", help="Folder of TensorRT's plans; default: catseye/plans in the user's cache."),
]
Dla = Annotated[
    int | None,
    typer.Option("--dla", min=0, help="Core of the deep-learning accelerator for TensorRT to use."),
]
Workspace = Annotated[
    int, typer.Option("--workspace", min=1, help="Most scratch memory a layer of a plan may use, in MiB.")
]

WORKSPACE_MIB = 1024


def plan_options(cache: Path | None, workspace: int, dla: int | None) -> PlanOptions:
    from catseye.runtime.plan_options import PlanOptions

    return PlanOptions(cache=cache, workspace_mib=workspace, dla=dla)


def build(
    bundle: Annotated[Path, typer.Argument(help="NAME.catseye")],
    precision: Annotated[
        Literal["auto", "fp32", "fp16", "int8"],
        typer.Option(help="Which graph; auto builds what the gate accepted and serves the fastest."),
    ] = "auto",
    cache: Cache = None,
    workspace: Workspace = WORKSPACE_MIB,
    dla: Dla = None,
    layers: Annotated[
        Path | None, typer.Option("--layers", help="Write each plan's layers to this file, as JSON.")
    ] = None,
    ahead_of_time: Annotated[
        bool, typer.Option("--ahead-of-time", help="Compile with no GPU, as a check; nothing is kept.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compile a bundle's graphs with TensorRT for this board, and prove each plan before it may be served."""
    if ahead_of_time:
        if (precision, cache, dla) != ("auto", None, None):
            raise UsageError(
                "--ahead-of-time compiles every graph and keeps none: leave out the other options"
            )
        _check_ahead_of_time(bundle, layers=layers, as_json=as_json)
        return
    from catseye.runtime.build import build as run_build

    options = plan_options(cache, workspace, dla)
    with progress_bars() as progress:
        report = run_build(bundle, precision=precision, options=options, layers=layers, progress=progress)
    if as_json:
        print_json(report.to_json())
        return
    rows: list[tuple[str, ...]] = [
        (
            entry.key.precision,
            "yes" if entry.proven else entry.fault,
            "" if entry.latency_ms is None else f"{entry.latency_ms:.2f} ms",
            f"{entry.plan_size / 1e6:.1f} MB",
            "" if entry.report is None else f"{entry.report.seconds:.0f} s",
        )
        for entry in report.plans
    ]
    rows += [(name, f"left out: {reason}", "", "", "") for name, reason in report.left_out.items()]
    print_table(str(bundle), ("precision", "proven", "a call", "plan", "took"), rows)
    output_console.print(f"serves {report.chosen}: {report.reason}")


def _check_ahead_of_time(bundle: Path, *, layers: Path | None, as_json: bool) -> None:
    from catseye.runtime.build import compile_ahead_of_time

    with progress_bars() as progress:
        reports = compile_ahead_of_time(bundle, layers=layers, progress=progress)
    if as_json:
        print_json([asdict(report) for report in reports])
        return
    rows = [
        (
            f"{report.backend} {report.version}",
            report.precision,
            ", ".join(report.compute_capabilities),
            report.layers,
            f"{report.size / 1e6:.1f} MB",
            f"{report.seconds:.1f} s",
        )
        for report in reports
    ]
    print_table(str(bundle), ("compiler", "precision", "for", "layers", "plan", "took"), rows)
