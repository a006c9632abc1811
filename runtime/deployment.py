"""Which bundle a vehicle runs: installed beside the one in service, proven there, switched to in one step.

    PLACE/bundles/<sha256>.catseye    what was deployed, named by its content
    PLACE/current.catseye             a link to one of them: what `run` is given
    PLACE/previous.catseye            a link to the one before it, for the way back
    PLACE/deployments.jsonl           a line for every change

A link is replaced by renaming another over it, so that whoever opens ``current.catseye`` finds a whole bundle
at any instant, and a power cut leaves the old one or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from catseye.errors import CatseyeError, InputError, UsageError
from catseye.files import exclusive, fsync, replacing
from catseye.progress import Progress, silent
from catseye.runtime.bundle import open_bundle
from catseye.runtime.plan_options import PlanOptions
from catseye.runtime.verification import verify

CURRENT, PREVIOUS = "current.catseye", "previous.catseye"
KEPT = 3

_BUNDLES, _LOG, _LOCK = "bundles", "deployments.jsonl", ".deploying"

Restart = Callable[[], None]
"""Restarts what runs ``current.catseye``; raises CatseyeError where that does not come up."""


@dataclass(frozen=True)
class Deployment:
    """One change of the bundle in service.

    Args:
        time: UTC, ISO 8601.
        did: ``deploy``, ``roll back``, or ``return`` where what was switched to did not start.
        name, key: of the bundle that is in service now, and of who signed it.
        sha256: its content.
        replaced: content of the one before; empty where there was none.
        engine: what replayed its proof here.
    """

    time: str
    did: Literal["deploy", "roll back", "return"]
    name: str
    key: str
    sha256: str
    replaced: str
    engine: str


def deploy(
    bundle: str | Path,
    place: str | Path,
    *,
    engine: str = "auto",
    threads: int = 0,
    plans: PlanOptions | None = None,
    restart: Restart | None = None,
    keep: int = KEPT,
    progress: Progress = silent,
) -> Deployment:
    """Install a bundle, prove it on this machine, and put it in service; on any fault nothing has changed.

    With TensorRT the proof builds the plan, so that the first start does not wait for it.

    Args:
        bundle: a signed bundle; it is copied.
        place: folder of this vehicle's bundles, made where it is not there.
        engine, threads, plans: what it will run on, see ``load_engine``.
        restart: called once it is in service; where it fails, the bundle before is put back and started.
        keep: bundles left in the folder, the newest; those in service and before it always are.
        progress: told of the proof.

    Raises:
        InputError: the bundle is refused, see ``open_bundle``.
        UsageError: an option cannot be.
        CatseyeError: it fails its proof here, it does not start, or another process deploys.
    """
    if keep < 1:
        raise UsageError(f"keep is {keep}: give 1 or more")
    place = Path(place)
    with _changing(place):
        installed = _install(Path(bundle), place)
        try:
            done = _prove(
                installed, place, "deploy", engine=engine, threads=threads, plans=plans, progress=progress
            )
        except CatseyeError:
            if installed not in (_target(place / CURRENT), _target(place / PREVIOUS)):
                installed.unlink()
            raise
        _put_in_service(installed, place, done, restart)
        _forget(place, keep=keep)
    return done


def roll_back(
    place: str | Path,
    *,
    engine: str = "auto",
    threads: int = 0,
    plans: PlanOptions | None = None,
    restart: Restart | None = None,
    progress: Progress = silent,
) -> Deployment:
    """Put the bundle before back in service, proven anew; done twice, all is as it was.

    Raises:
        InputError: there is none before, or it is refused.
        CatseyeError: it fails its proof, it does not start, or another process deploys.
    """
    place = Path(place)
    with _changing(place):
        before = _target(place / PREVIOUS)
        if before is None:
            raise InputError(place, "has no bundle to go back to", "deploy one")
        done = _prove(
            before, place, "roll back", engine=engine, threads=threads, plans=plans, progress=progress
        )
        _put_in_service(before, place, done, restart)
    return done


def history(place: str | Path) -> list[Deployment]:
    """Every change so far, the newest last. A line that a power cut has torn is left out."""
    try:
        lines = (Path(place) / _LOG).read_text().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(Deployment(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


@contextmanager
def _changing(place: Path) -> Iterator[None]:
    (place / _BUNDLES).mkdir(parents=True, exist_ok=True)
    busy = CatseyeError(f"{place}: another process deploys; wait for it to end")
    with exclusive(place / _LOCK, busy=busy):
        yield


def _install(bundle: Path, place: Path) -> Path:
    """Copy a bundle under the name of its content, unless it is there whole."""
    sha256 = open_bundle(bundle).sha256
    installed = place / _BUNDLES / f"{sha256}.catseye"
    with replacing(installed) as aside:
        shutil.copyfile(bundle, aside)
        if open_bundle(aside).sha256 != sha256:
            raise InputError(bundle, "changed while it was copied", "deploy it again when it is complete")
    return installed


def _prove(
    installed: Path,
    place: Path,
    did: Literal["deploy", "roll back"],
    *,
    engine: str,
    threads: int,
    plans: PlanOptions | None,
    progress: Progress,
) -> Deployment:
    report = verify(
        installed, engine=engine, precision="auto", threads=threads, plans=plans, progress=progress
    )
    if not report:
        failed = ", ".join(check.name for check in report.checks if not check)
        raise CatseyeError(
            f"{report.name}: differs from its proof in {failed}; what was in service still is, "
            "do not use this bundle on this machine"
        )
    current = _target(place / CURRENT)
    return Deployment(
        time=_now(),
        did=did,
        name=report.name,
        key=report.key,
        sha256=report.sha256,
        replaced=current.stem if current is not None else "",
        engine=report.engine,
    )


def _put_in_service(installed: Path, place: Path, done: Deployment, restart: Restart | None) -> None:
    """Switch the links, and back where ``restart`` fails."""
    links = {name: _target(place / name) for name in (PREVIOUS, CURRENT)}
    if links[CURRENT] != installed:
        _link(place / PREVIOUS, links[CURRENT])
        _link(place / CURRENT, installed)
    _note(place, done)
    if restart is None:
        return
    try:
        restart()
    except CatseyeError as error:
        before = links[CURRENT]
        if before is None or before == installed:
            raise
        for name, target in links.items():
            _link(place / name, target)
        was = open_bundle(before)
        _note(place, Deployment(_now(), "return", was.manifest.name, was.key, was.sha256, installed.stem, ""))
        fate = f"{was.manifest.name} is in service again"
        try:
            restart()
        except CatseyeError as again:
            fate = f"{was.manifest.name} is put back and does not start either: {again}"
        raise CatseyeError(f"{done.name}: {error}; {fate}") from None


def _forget(place: Path, *, keep: int) -> None:
    """Delete bundles beyond the newest, but none that a link leads to."""
    linked = {_target(place / CURRENT), _target(place / PREVIOUS)}
    newest_first = sorted((place / _BUNDLES).glob("*.catseye"), key=lambda file: -file.stat().st_mtime_ns)
    for file in newest_first[keep:]:
        if file not in linked:
            file.unlink()


def _target(link: Path) -> Path | None:
    """The bundle that a link leads to; None where there is no link, or nothing at its end."""
    if not link.is_symlink():
        return None
    target = link.parent / link.readlink()
    return target if target.exists() else None


def _link(link: Path, target: Path | None) -> None:
    if target is None:
        link.unlink(missing_ok=True)
        return
    aside = link.with_name(f".{link.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target.relative_to(link.parent))
    aside.replace(link)
    fsync(link.parent)


def _note(place: Path, done: Deployment) -> None:
    with (place / _LOG).open("a") as log:
        log.write(json.dumps(asdict(done)) + "\n")
        log.flush()
        os.fsync(log.fileno())


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
