"""The verb of those who measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from catseye.console import error_console, output_console, print_table, progress_bars
from catseye.errors import CatseyeError, UsageError
from catseye.files import write_text
from catseye.verbs.building import WORKSPACE_MIB, Cache, Dla, Workspace, plan_options
from catseye.verbs.options import Engine, GraphPrecision, Images, Json, Seed, TestList, Threads

_SUFFIXES = (".json", ".md", ".html")


def bench(
    bundle: Annotated[Path, typer.Argument(help="NAME.catseye")],
    source: Annotated[Path | None, typer.Argument(help="Video file; without it, a rendered one.")] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario",
            help="SingleStream, MultiStream, Server, Offline, Cold, Streams, or all; may be given again. "
            "Default: all but Streams.",
        ),
    ] = None,
    duration: Annotated[
        float, typer.Option("--duration", help="Seconds of each scenario; a video is taken once, no longer.")
    ] = 5.0,
    queries: Annotated[
        int | None, typer.Option("--queries", help="Queries of each scenario, in place of a time.")
    ] = None,
    samples_per_query: Annotated[int, typer.Option(help="Frames a query in MultiStream.")] = 8,
    rate: Annotated[
        float | None,
        typer.Option(help="Queries a second in Server; default: --against's, or 0.6 of SingleStream's."),
    ] = None,
    arrivals: Annotated[
        Literal["poisson", "even"],
        typer.Option(help="How queries arrive in Server; even: as from a camera."),
    ] = "poisson",
    labels: Annotated[Path | None, typer.Option(help="COCO file: AP50 of the same engine beside.")] = None,
    images: Images = None,
    test_list: TestList = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Report (.json) of before on this machine; slower than it fails."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Share by which p50 and the time a frame may grow; p99 twice that.")
    ] = 0.05,
    trtexec: Annotated[
        Path | None, typer.Option(help="What trtexec --exportTimes wrote of the same engine, to set beside.")
    ] = None,
    trtexec_profile: Annotated[
        Path | None, typer.Option(help="What trtexec --exportProfile wrote of it.")
    ] = None,
    engine: Engine = "auto",
    precision: GraphPrecision = "auto",
    threads: Threads = 0,
    cache: Cache = None,
    workspace: Workspace = WORKSPACE_MIB,
    dla: Dla = None,
    seed: Seed = 0,
    out: Annotated[
        list[Path] | None,
        typer.Option("--out", help="Write the report: FILE.json, .md or .html; may be given again."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Latency, rate, start and memory, end to end and of the engine alone, and on what machine."""
    from catseye.runtime.benchmark.comparison import compare
    from catseye.runtime.benchmark.measuring import DEFAULT_SCENARIOS, SCENARIOS
    from catseye.runtime.benchmark.measuring import bench as run_bench
    from catseye.runtime.benchmark.page import render_page
    from catseye.runtime.benchmark.report import BenchReport
    from catseye.runtime.benchmark.tables import DETAILS, markdown, tables, title

    for path in out or ():
        if path.suffix.lower() not in _SUFFIXES:
            raise UsageError(f"--out {path}: its name must end in {', '.join(_SUFFIXES)}")
    if not 0 < tolerance < 1:
        raise UsageError(f"--tolerance {tolerance}: give a share, such as 0.05")
    before = None if against is None else BenchReport.load(against)
    with progress_bars() as progress:
        report = run_bench(
            bundle,
            source,
            engine=engine,
            precision=precision,
            threads=threads,
            plans=plan_options(cache, workspace, dla),
            scenarios=SCENARIOS if scenario == ["all"] else scenario or DEFAULT_SCENARIOS,
            duration_s=duration,
            queries=queries,
            samples_per_query=samples_per_query,
            rate=rate,
            arrivals=arrivals,
            labels=labels,
            images=images,
            test_list=test_list,
            trtexec=trtexec,
            trtexec_profile=trtexec_profile,
            against=before,
            seed=seed,
            progress=progress,
        )
    changes = [] if before is None else compare(before, report, tolerance=tolerance)
    for path in out or ():
        if path.suffix.lower() == ".json":
            report.save(path)
        elif path.suffix.lower() == ".md":
            write_text(path, markdown(report, changes))
        else:
            write_text(path, render_page(report, changes))
    if as_json:
        typer.echo(report.to_json())
    else:
        output_console.print(title(report), markup=False)
        for table in tables(report, changes):
            brief = table.without(DETAILS)
            print_table(brief.title, brief.header, brief.rows)
        for each in report.notes():
            error_console.print(f"note: {each}", markup=False)
    slower = [f"{c.measurement} {c.statistic} × {c.ratio:.3f}" for c in changes if c.verdict == "slower"]
    if slower:
        disturbed = "; ".join(report.disturbances or (before.disturbances if before else ()))
        told = f"; though {disturbed}" if disturbed else ""
        raise CatseyeError(f"{bundle}: slower than {against} says: {'; '.join(slower)}{told}")
