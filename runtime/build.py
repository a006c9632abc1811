"""Compiling a bundle's graphs with TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from catseye.errors import CatseyeError
from catseye.progress import Progress, silent
from catseye.runtime.bundle import open_bundle
from catseye.runtime.plan import AHEAD_OF_TIME, PlanReport, build_plan


def build(
    path: str | Path,
    *,
    ahead_of_time: bool = False,
    compute_capabilities: Sequence[str] = AHEAD_OF_TIME,
    progress: Progress = silent,
) -> tuple[PlanReport, ...]:
    """Compile every graph of a bundle for each compute capability, as a check that needs no GPU.

    The plans are dropped: a plan is good only where its proof has been replayed, which takes a GPU.

    Raises:
        InputError: the bundle is refused, see ``open_bundle``.
        CatseyeError: ``ahead_of_time`` is off, which this version does not do, or TensorRT refuses a graph.
    """
    if not ahead_of_time:
        raise CatseyeError("this version compiles plans only as a check without a GPU: give --ahead-of-time")
    bundle = open_bundle(path)
    jobs = [(precision, sm) for precision in bundle.manifest.precisions for sm in compute_capabilities]
    reports = []
    for done, (precision, capability) in enumerate(jobs):
        progress(f"compiling {precision} for {capability}", done, len(jobs))
        plan = build_plan(bundle.graph(precision), backend="tensorrt-rtx", compute_capabilities=[capability])
        reports.append(plan.report)
    progress("compiled", len(jobs), len(jobs))
    return tuple(reports)
