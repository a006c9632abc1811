"""Plans that this machine has built, kept in a private folder.

A plan is native code, so what may write to the folder may run code as whoever loads from it: the folder must
be the user's own and closed to all others. Each plan is a file named by its SHA-256, ``<sha256>.plan``, and
what is known of it a document, ``<key>.json``, which names it. The document is written last: until then the
plan is not there, and a plan that is torn or altered is not what its name says and is built again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from catseye.contract import Contract
from catseye.errors import CatseyeError, InputError, UsageError
from catseye.files import exclusive, replacing, write_bytes
from catseye.runtime.device import Device
from catseye.runtime.plan import PlanReport
from catseye.runtime.precision import Precision

MAX_BYTES = 4 << 30
MAX_PLANS = 32

_OTHERS_MAY = 0o077
_DIGEST_BYTES = 32
_TIMING_BYTES = 64 << 20
_REMEDY = "delete it; it is built again"


class PlanKey(BaseModel):
    """All that a plan depends on: another key, another plan.

    Args:
        device: GPU, driver, CUDA, TensorRT and Jetson Linux.
        bundle_sha256: of the bundle file.
        precision: which of its graphs.
        dla: the DLA core that it uses, or None.
        workspace_mib: most scratch memory of a layer.
    """

    model_config = ConfigDict(frozen=True)

    device: Device
    bundle_sha256: str
    precision: Precision
    dla: int | None = None
    workspace_mib: int

    @property
    def digest(self) -> str:
        """The key in 32 hexadecimal digits."""
        document = json.dumps(self.model_dump(), sort_keys=True)
        return hashlib.sha256(document.encode()).hexdigest()[:32]


class PlanEntry(Contract):
    """The contract ``<key>.json``.

    Args:
        key: what the plan was built for.
        created: UTC time, ISO 8601.
        plan_sha256, plan_size: of the plan; empty and 0 where there is none to serve.
        report: how it was built.
        layers: what TensorRT made of the graph.
        fault: why it must not be served; empty for a plan that replayed the bundle's proof within its
            tolerances.
        checks: figure and limit of each check of the proof, by name.
        latency_ms: median time of a call on this device.
    """

    VERSION: ClassVar[str] = "1.0"
    REMEDY: ClassVar[str] = _REMEDY

    key: PlanKey
    created: str
    plan_sha256: str = ""
    plan_size: int = 0
    report: PlanReport | None = None
    layers: tuple[Any, ...] = ()
    fault: str = ""
    checks: dict[str, tuple[float, float]] = Field(default_factory=dict)
    latency_ms: float | None = None

    @property
    def proven(self) -> bool:
        """Whether it may be served."""
        return not self.fault and bool(self.plan_sha256)


@dataclass(frozen=True)
class Served:
    """A plan in use: as long as it is held, no eviction takes it."""

    entry: PlanEntry
    content: bytes


class PlanCache:
    """Plans by key, bounded in bytes and number; the least recently used goes first, one in use never.

    Args:
        folder: made where it is not there; None takes ``default_folder()``.
        max_bytes, max_plans: bounds.

    Raises:
        InputError: others may write or read in the folder, or it is not the user's.
        UsageError: a bound cannot be.
    """

    def __init__(
        self, folder: str | Path | None = None, *, max_bytes: int = MAX_BYTES, max_plans: int = MAX_PLANS
    ) -> None:
        if max_bytes < 1 or max_plans < 1:
            raise UsageError(f"a cache of {max_bytes} bytes and {max_plans} plans: give at least 1 of each")
        self.folder = Path(folder) if folder is not None else default_folder()
        self._max_bytes, self._max_plans = max_bytes, max_plans
        make_private(self.folder)

    def entries(self) -> list[PlanEntry]:
        """What is known of every plan, the most recently used first; what cannot be read is left out."""
        return [entry for _, entry in self._documents()]

    def find(self, key: PlanKey) -> PlanEntry | None:
        """What is known of the plan for exactly this key."""
        return next((entry for entry in self.entries() if entry.key == key), None)

    @contextmanager
    def serve(self, entry: PlanEntry) -> Iterator[Served | None]:
        """The plan of an entry, held for as long as the context lasts; None where it is gone or altered.

        Raises:
            CatseyeError: the entry is not proven; such a plan is never served.
        """
        if not entry.proven:
            raise CatseyeError(f"the {entry.key.precision} plan is not proven: {entry.fault}")
        try:
            descriptor = os.open(self._plan(entry), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            yield None
            return
        with os.fdopen(descriptor, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            content = stream.read(entry.plan_size + 1)
            if hashlib.sha256(content).hexdigest() != entry.plan_sha256:
                yield None
                return
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._document(entry.key))
            yield Served(entry, content)

    def holds(self, entry: PlanEntry) -> bool:
        """Whether the plan of a proven entry is there and as it was built."""
        with self.serve(entry) as served:
            return served is not None

    def keep(self, entry: PlanEntry, content: bytes) -> PlanEntry:
        """Store a plan in the place of any before it for this key, then evict what is over the bounds.

        An entry with a fault is stored without its plan, so that it is not built again and again.
        """
        with self._locked():
            if not entry.fault:
                digest = hashlib.sha256(content).hexdigest()
                entry = entry.model_copy(update={"plan_sha256": digest, "plan_size": len(content)})
                with replacing(self._plan(entry)) as aside:
                    _write_private(aside, content)
            entry.save(self._document(entry.key))
            self._evict(keep=entry.key)
        return entry

    def timing(self, device: Device) -> bytes:
        """What earlier builds on this device measured; empty where there is nothing that can be relied on."""
        try:
            stored = self._timing_path(device).read_bytes()
        except OSError:
            return b""
        digest, content = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        return content if hashlib.sha256(content).digest() == digest else b""

    def keep_timing(self, device: Device, content: bytes) -> None:
        """Store it for the next build. One that has grown past bounds is dropped, to start anew."""
        path = self._timing_path(device)
        if not content or len(content) > _TIMING_BYTES:
            path.unlink(missing_ok=True)
        else:
            write_bytes(path, hashlib.sha256(content).digest() + content)

    @contextmanager
    def building(self, device: Device, bundle_sha256: str) -> Iterator[None]:
        """Let one process at a time build for a device and a bundle.

        Raises:
            CatseyeError: another does.
        """
        name = hashlib.sha256(f"{device!r} {bundle_sha256}".encode()).hexdigest()[:32]
        busy = CatseyeError(f"{self.folder}: another process builds this bundle; wait for it to end")
        with exclusive(self.folder / f"{name}.lock", busy=busy):
            yield

    def _documents(self) -> list[tuple[float, PlanEntry]]:
        found = []
        for path in self.folder.glob("*.json"):
            with contextlib.suppress(InputError, OSError):
                entry = PlanEntry.load(path)
                if path.stem == entry.key.digest:
                    found.append((path.stat().st_mtime, entry))
        return sorted(found, key=lambda pair: pair[0], reverse=True)

    def _evict(self, *, keep: PlanKey) -> None:
        """Forget the least recently used beyond the bounds, then every plan that no document names."""
        size, count = 0, 0
        entries = sorted(self.entries(), key=lambda entry: entry.key != keep)
        for entry in entries:
            size, count = size + entry.plan_size, count + 1
            over = size > self._max_bytes or count > self._max_plans
            if over and entry.key != keep and self._remove(self._plan(entry)):
                self._document(entry.key).unlink(missing_ok=True)
                size, count = size - entry.plan_size, count - 1
        named = {entry.plan_sha256 for entry in self.entries()}
        for path in self.folder.glob("*.plan"):
            if path.stem not in named:
                self._remove(path)
        for path in self.folder.glob(".*.part.json"):
            path.unlink(missing_ok=True)

    @staticmethod
    def _remove(path: Path) -> bool:
        """Delete a plan unless someone holds it."""
        try:
            with path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except BlockingIOError:
            return False
        except (FileNotFoundError, IsADirectoryError):
            return True
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "cache.lock").open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _document(self, key: PlanKey) -> Path:
        return self.folder / f"{key.digest}.json"

    def _plan(self, entry: PlanEntry) -> Path:
        return self.folder / f"{entry.plan_sha256}.plan"

    def _timing_path(self, device: Device) -> Path:
        name = hashlib.sha256(f"{device.gpu} {device.backend} {device.tensorrt}".encode()).hexdigest()[:32]
        return self.folder / f"{name}.timing"


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/catseye/plans``, else ``~/.cache/catseye/plans``."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "catseye" / "plans"


def make_private(folder: Path) -> None:
    """Make a folder for native code, or take the one that is there.

    Raises:
        InputError: it is no folder of this user alone.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise InputError(folder, "is no folder of its own", "name another place for the plans")
    if found.st_uid != os.geteuid():
        raise InputError(
            folder, "belongs to another user", "plans are native code: name a folder of your own"
        )
    if found.st_mode & _OTHERS_MAY:
        raise InputError(folder, "is open to other users", f"plans are native code: run chmod 700 {folder}")


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
