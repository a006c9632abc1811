"""Verbs of those who deploy to a board and measure there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from catseye.console import print_table, progress_bars
from catseye.errors import CatseyeError
from catseye.files import write_json
from catseye.verbs.building import WORKSPACE_MIB, Cache, Dla, Workspace, plan_options
from catseye.verbs.options import Engine, GraphPrecision, Json, Threads, print_json


def verify(
    bundle: Annotated[Path, typer.Argument(help="NAME.catseye")],
    engine: Engine = "auto",
    precision: Annotated[
        str,
        typer.Option("--precision", help="Replay all of the bundle's graphs, or fp32, fp16 or int8 alone."),
    ] = "all",
    threads: Threads = 0,
    cache: Cache = None,
    workspace: Workspace = WORKSPACE_MIB,
    dla: Dla = None,
    as_json: Json = False,
) -> None:
    """Signature, schema and proof of a bundle, on this machine."""
    from catseye.runtime.verification import verify as run_verify

    with progress_bars() as progress:
        report = run_verify(
            bundle,
            engine=engine,
            precision=precision,
            threads=threads,
            plans=plan_options(cache, workspace, dla),
            progress=progress,
        )
    if as_json:
        print_json({**asdict(report), "passed": bool(report)})
    else:
        rows = [
            (check.name, f"{check.value:.3g}", f"{check.limit:.3g}", "ok" if check else "FAILED")
            for check in report.checks
        ]
        title = f"{report.path}: {report.name}, signed by {report.key}, on {report.engine}"
        print_table(title, ("check", "value", "limit", ""), rows)
    if not report:
        failed = ", ".join(check.name for check in report.checks if not check)
        raise CatseyeError(f"{bundle}: differs from its proof in {failed}; do not use it on this machine")


def run(
    bundle: Annotated[Path, typer.Argument(help="NAME.catseye")],
    source: Annotated[Path, typer.Argument(help="Video file.")],
    jsonl: Annotated[Path | None, typer.Option(help="Write a record a frame to this file.")] = None,
    video: Annotated[Path | None, typer.Option(help="Write the video, tracks drawn, to this file.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="calibration.json of the camera.")] = None,
    engine: Engine = "auto",
    precision: GraphPrecision = "auto",
    threads: Threads = 0,
    cache: Cache = None,
    workspace: Workspace = WORKSPACE_MIB,
    dla: Dla = None,
    as_json: Json = False,
) -> None:
    """Detect, track and measure distance."""
    from catseye.runtime import run as run_source

    with progress_bars() as progress:
        summary = run_source(
            bundle,
            source,
            jsonl=jsonl,
            video=video,
            calibration=calibration,
            engine=engine,
            precision=precision,
            threads=threads,
            plans=plan_options(cache, workspace, dla),
            progress=progress,
        )
    if as_json:
        print_json(asdict(summary))
    else:
        rows = [
            ("frames in", f"{summary.frames_in}"),
            ("processed", f"{summary.processed}"),
            ("dropped", f"{summary.dropped}"),
            ("packets that did not decode", f"{summary.corrupt_packets}"),
            ("tracks", f"{summary.tracks}"),
            ("took", f"{summary.seconds:.2f} s, {summary.fps:.1f} frames/s"),
        ]
        if summary.output_age is not None:
            age = summary.output_age
            rows.append(("age at output, p50 and p99", f"{age.p50_ms:.1f} ms, {age.p99_ms:.1f} ms"))
        print_table(str(source), ("figure", "value"), rows)


def bench(
    bundle: Annotated[Path, typer.Argument(help="NAME.catseye")],
    source: Annotated[Path | None, typer.Argument(help="Video file; without it, a rendered one.")] = None,
    engine: Engine = "auto",
    precision: GraphPrecision = "auto",
    threads: Threads = 0,
    cache: Cache = None,
    workspace: Workspace = WORKSPACE_MIB,
    dla: Dla = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the report as JSON to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Latency and throughput, end to end and of the engine alone, with a fingerprint of the device."""
    from catseye.runtime import bench as run_bench

    with progress_bars() as progress:
        report = run_bench(
            bundle,
            source,
            engine=engine,
            precision=precision,
            threads=threads,
            plans=plan_options(cache, workspace, dla),
            progress=progress,
        )
    if out is not None:
        write_json(out, report.to_json())
    if as_json:
        print_json(report.to_json())
    else:
        print_table(str(bundle), ("figure", "value"), report.table())
