"""Verbs that prove a bundle on this machine, put it in service, and take it back."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from catseye.console import print_table, progress_bars
from catseye.errors import CatseyeError, UsageError
from catseye.verbs.building import WORKSPACE_MIB, Cache, Dla, Workspace, plan_options
from catseye.verbs.options import Engine, Json, Threads, print_json

if TYPE_CHECKING:
    from catseye.runtime.deployment import Restart

_LONGEST_START_S = 1800


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


def deploy(
    bundle: Annotated[
        Path | None, typer.Argument(help="NAME.catseye; without it, what was deployed is listed.")
    ] = None,
    place: Annotated[
        Path,
        typer.Option("--to", help="Folder of this vehicle's bundles; `run` takes current.catseye in it."),
    ] = Path("/var/lib/catseye"),
    roll_back: Annotated[
        bool, typer.Option("--roll-back", help="Put the bundle before back in service.")
    ] = False,
    restart: Annotated[
        str | None,
        typer.Option(
            "--restart",
            help="Command that restarts what runs the bundle, such as 'systemctl restart catseye-run'; "
            "should it fail, the bundle before comes back.",
        ),
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="Bundles that stay in the folder.")] = 3,
    engine: Engine = "auto",
    threads: Threads = 0,
    cache: Cache = None,
    workspace: Workspace = WORKSPACE_MIB,
    dla: Dla = None,
    as_json: Json = False,
) -> None:
    """Install a bundle, prove it on this machine, switch to it, and roll back."""
    from catseye.runtime import deployment

    if roll_back and bundle is not None:
        raise UsageError("--roll-back takes no bundle: it goes back to the one before")
    if bundle is None and not roll_back:
        done = deployment.history(place)
        title = f"deployed to {place}"
    else:
        plans = plan_options(cache, workspace, dla)
        told = restarting(restart) if restart is not None else None
        with progress_bars() as progress:
            if bundle is None:
                change = deployment.roll_back(
                    place, engine=engine, threads=threads, plans=plans, restart=told, progress=progress
                )
            else:
                change = deployment.deploy(
                    bundle,
                    place,
                    engine=engine,
                    threads=threads,
                    plans=plans,
                    restart=told,
                    keep=keep,
                    progress=progress,
                )
        done, title = [change], f"in service: {place / deployment.CURRENT}"
    if as_json:
        print_json([asdict(change) for change in done])
        return
    rows = [
        (change.time, change.did, change.name, change.sha256[:12], change.key, change.replaced[:12])
        for change in done
    ]
    print_table(title, ("time", "did", "bundle", "sha256", "signed by", "in place of"), rows)


def restarting(command: str) -> Restart:
    """Run a command that ends well once what it starts is ready, as `systemctl restart` does.

    Raises:
        UsageError: it is no command line.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--restart {command!r}: is no command line ({error})") from None
    if not words:
        raise UsageError("--restart: names no command")

    def restart() -> None:
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=_LONGEST_START_S, check=False
            )
        except OSError as error:
            raise CatseyeError(f"{command!r} cannot be run ({error.strerror})") from None
        except subprocess.TimeoutExpired:
            raise CatseyeError(f"{command!r} did not end within {_LONGEST_START_S} s") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it gives no reason"]
            raise CatseyeError(f"{command!r} failed ({lines[0]})")

    return restart
