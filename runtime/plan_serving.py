"""An engine for a bundle from the plans in the cache, built where there is none that fits this device."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from catseye.errors import CatseyeError
from catseye.progress import Progress, silent
from catseye.runtime.build import build, candidates, choose_plan, fault_of, load_plan, plan_key
from catseye.runtime.bundle import Bundle
from catseye.runtime.device import this_device
from catseye.runtime.engines.tensorrt import TensorRTEngine
from catseye.runtime.plan_cache import PlanCache, PlanEntry
from catseye.runtime.plan_choice import PlanChoice, plan_for
from catseye.runtime.plan_options import PlanOptions
from catseye.runtime.tensorrt_library import installed_backend

_log = logging.getLogger(__name__)

Rebuild = Callable[[Path, str, PlanOptions], object]
"""Starts building a bundle's plan of a precision, and does not wait for it."""


def serve_plan(
    bundle: Bundle,
    *,
    precision: str = "auto",
    options: PlanOptions | None = None,
    progress: Progress = silent,
    rebuild: Rebuild | None = None,
) -> TensorRTEngine:
    """Make a bundle ready to run on TensorRT; nothing that is not proven on this machine is served.

    Where the device's software has changed since the plan was built, as by a new JetPack, and the old plan
    still loads and still replays the proof, it serves while another process builds the right one, which the
    next start takes. Otherwise the plan is built first, which takes minutes.

    Args:
        bundle: what ``open_bundle`` returned.
        precision: which graph; ``auto`` takes the fastest that the gate accepted.
        options: how plans are built, and where they are kept.
        progress: told of a build.
        rebuild: None starts ``catseye build`` at the lowest priority.

    Raises:
        InputError: the cache's folder is open to other users.
        CatseyeError: TensorRT or a GPU is missing, or no plan is proven.
    """
    options = options or PlanOptions()
    wanted, _ = candidates(bundle, precision=precision, dla=options.dla)
    device = this_device(installed_backend())
    cache = PlanCache(options.cache)
    known = cache.entries()
    choices = {name: plan_for(plan_key(device, bundle, name, options), known) for name in wanted}
    if all(choice.entry is not None for choice in choices.values()):
        found = {name: choice.entry for name, choice in choices.items() if choice.entry is not None}
        chosen, _ = choose_plan(bundle, found)
        engine = _serve(bundle, choices[chosen], cache)
        if engine is not None:
            if any(choice.do == "serve-and-rebuild" for choice in choices.values()):
                _log.warning("the device's software has changed: plans are built again in the background")
                (rebuild or start_rebuild)(bundle.path, precision, options)
            return engine
    _log.warning("%s: a plan is built for this device first, which takes minutes", bundle.path)
    report = build(bundle.path, precision=precision, options=options, progress=progress)
    (entry,) = [entry for entry in report.plans if entry.key.precision == report.chosen]
    engine = _serve(bundle, PlanChoice("serve", entry), cache)
    if engine is None:
        raise CatseyeError(f"{cache.folder}: the plan that was just built is gone; run it again")
    return engine


def start_rebuild(path: Path, precision: str, options: PlanOptions) -> subprocess.Popen[bytes]:
    """Run ``catseye build`` in a process of its own, which goes on when this one ends."""
    command = [
        "nice",
        "-n",
        "19",
        sys.executable,
        "-m",
        "catseye",
        "build",
        str(path),
        *build_arguments(precision, options),
    ]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def build_arguments(precision: str, options: PlanOptions) -> list[str]:
    """The command line of ``catseye build`` that does what these options say."""
    arguments = ["--precision", precision, "--workspace", str(options.workspace_mib)]
    if options.cache is not None:
        arguments += ["--cache", str(options.cache)]
    if options.dla is not None:
        arguments += ["--dla", str(options.dla)]
    return arguments


def _serve(bundle: Bundle, choice: PlanChoice, cache: PlanCache) -> TensorRTEngine | None:
    """The engine of a choice; None where its plan is gone, altered, does not load or fails the proof now."""
    entry: PlanEntry | None = choice.entry
    if entry is None or not entry.proven:
        return None
    held = ExitStack()
    with ExitStack() as unless_served:
        unless_served.callback(held.close)
        served = held.enter_context(cache.serve(entry))
        if served is None:
            return None
        try:
            engine = load_plan(bundle, entry.key, served.content, release=held.close)
            unless_served.callback(engine.close)
            stale = choice.do == "serve-and-rebuild"
            fault = fault_of(bundle, engine, precision=entry.key.precision)[0] if stale else ""
        except CatseyeError as error:
            fault = str(error)
        if fault:
            _log.warning("the %s plan of before does not serve: %s", entry.key.precision, fault)
            return None
        unless_served.pop_all()
        return engine
