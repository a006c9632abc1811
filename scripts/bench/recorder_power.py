"""A recorder whose power is cut, at every kind of moment: what was synced must be footage after a salvage.

    python scripts/bench/recorder_power.py [--points 200] [--seconds 20] [--json]

Two cameras are recorded once, and every write, sync, new name and rename below the folder is traced. Then the
trace is replayed to random points, and the disk is made as a power cut there may leave it:

- lost: nothing that was not synced is there, neither content nor names;
- torn: of the content not synced each page of 4 KiB is there or is zeros, by chance, the size is anything
  in between, and of the names not synced there are the first so many.

Bounds: after a salvage each frame that had to be on the disk is in a closed segment; every closed segment has
the SHA-256 that the journal says; the journal is readable; a second salvage finds nothing to do. On the disk
must be what was synced, and what was written longer than the time between syncs after the last of them,
unless the cut came right after it. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal

import av
from numbered_footage import HEIGHT, WIDTH, footage_of, numbered, numbers_in

from catseye.capture.recording.options import RecordOptions, SourceSpec
from catseye.capture.recording.recorder import record
from catseye.capture.recording.salvaging import salvage

CAMERAS = ("front", "rear")
RATE, GOP = 25, 10
PAGE = 4096
OPTIONS = RecordOptions(segment_s=2.0, fsync_s=0.8, fragment_s=0.25)

Mode = Literal["lost", "torn"]


@dataclass(frozen=True)
class Write:
    inode: int
    content: bytes


@dataclass(frozen=True)
class Sync:
    inode: int


@dataclass(frozen=True)
class Name:
    """A path now stands for an inode; None where it no longer stands for any."""

    path: Path
    inode: int | None
    is_folder: bool = False


@dataclass(frozen=True)
class Rename:
    source: Path
    target: Path


@dataclass(frozen=True)
class SyncFolder:
    path: Path


Event = Write | Sync | Name | Rename | SyncFolder


class Trace:
    """What a process does to the files below a folder, through the functions of ``os``."""

    def __init__(self, root: Path) -> None:
        self.events: list[tuple[float, Event]] = []
        self._root = root
        self._lock = threading.RLock()
        self._open: dict[int, tuple[Path, int]] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Trace every thread of this process meanwhile."""
        tracers: dict[str, Callable[..., Any]] = {
            "open": self._traced_open,
            "close": self._traced_close,
            "write": self._traced_write,
            "fsync": self._traced_sync,
            "fdatasync": self._traced_sync,
            "rename": self._traced_rename,
            "mkdir": self._traced_mkdir,
        }
        real = {name: getattr(os, name) for name in tracers}

        def patched(name: str) -> Callable[..., Any]:
            def call(*given: Any, **named: Any) -> Any:
                with self._lock:
                    return tracers[name](real[name], *given, **named)

            return call

        for name in tracers:
            setattr(os, name, patched(name))
        try:
            yield
        finally:
            for name, function in real.items():
                setattr(os, name, function)

    def _add(self, event: Event) -> None:
        self.events.append((time.monotonic(), event))

    def _traced_open(self, real: Callable[..., int], path: Any, flags: int, *given: Any, **named: Any) -> int:
        is_new = not Path(path).exists()
        descriptor = real(path, flags, *given, **named)
        if self._root in Path(path).parents or Path(path) == self._root:
            inode = os.fstat(descriptor).st_ino
            self._open[descriptor] = (Path(path), inode)
            if is_new:
                self._add(Name(Path(path), inode))
        return descriptor

    def _traced_close(self, real: Callable[..., None], descriptor: int) -> None:
        self._open.pop(descriptor, None)
        real(descriptor)

    def _traced_write(self, real: Callable[..., int], descriptor: int, content: Any) -> int:
        written = real(descriptor, content)
        if descriptor in self._open:
            self._add(Write(self._open[descriptor][1], bytes(content[:written])))
        return written

    def _traced_sync(self, real: Callable[..., None], descriptor: int) -> None:
        real(descriptor)
        if descriptor in self._open:
            path, inode = self._open[descriptor]
            self._add(SyncFolder(path) if path.is_dir() else Sync(inode))

    def _traced_rename(self, real: Callable[..., None], source: Any, target: Any, **named: Any) -> None:
        real(source, target, **named)
        self._add(Rename(Path(source), Path(target)))

    def _traced_mkdir(self, real: Callable[..., None], path: Any, *given: Any, **named: Any) -> None:
        real(path, *given, **named)
        self._add(Name(Path(path), Path(path).stat().st_ino, is_folder=True))


@dataclass
class Disk:
    """What is on a disk for sure, and what is under way to it."""

    root: Path
    synced_at: dict[int, float] = field(default_factory=dict)
    writes: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    synced: dict[int, bytes] = field(default_factory=dict)
    written: dict[int, bytes] = field(default_factory=dict)
    names: dict[Path, int] = field(default_factory=dict)
    folders: set[Path] = field(default_factory=set)
    unsynced_names: dict[Path, list[Name | Rename]] = field(default_factory=dict)

    def take(self, at: float, event: Event) -> None:
        if isinstance(event, Write):
            self.written[event.inode] = self.written.get(event.inode, b"") + event.content
            self.writes.setdefault(event.inode, []).append((at, len(self.written[event.inode])))
        elif isinstance(event, Sync):
            self.synced[event.inode] = self.written.get(event.inode, b"")
            self.synced_at[event.inode] = at
            self.writes[event.inode] = []
        elif isinstance(event, SyncFolder):
            self.names, self.folders = self._with_names(self.unsynced_names.pop(event.path, []))
        else:
            path = event.path if isinstance(event, Name) else event.target
            self.unsynced_names.setdefault(path.parent, []).append(event)

    def owed(self) -> list[bytes]:
        """What must be there of each file, by the promise to sync at each write once that is due."""
        owed = []
        for inode, written in self.written.items():
            due_s = self.synced_at.get(inode, float("-inf")) + OPTIONS.fsync_s
            sizes = [size for at, size in self.writes[inode][:-1] if at >= due_s]
            owed.append(written[: max([len(self.synced.get(inode, b"")), *sizes])])
        return owed

    def after_power_cut(self, mode: Mode, draw: random.Random) -> tuple[dict[Path, bytes], set[Path]]:
        """Files and folders that are there afterwards."""
        lasting: list[Name | Rename] = []
        if mode == "torn":
            for events in self.unsynced_names.values():
                lasting += events[: draw.randint(0, len(events))]
        names, folders = self._with_names(lasting)
        return (
            {
                path: self._content(inode, mode, draw)
                for path, inode in names.items()
                if path.parent in folders or path.parent == self.root
            },
            folders,
        )

    def _with_names(self, events: list[Name | Rename]) -> tuple[dict[Path, int], set[Path]]:
        names, folders = dict(self.names), set(self.folders)
        for event in events:
            if isinstance(event, Rename):
                if event.source in names:
                    names[event.target] = names.pop(event.source)
            elif event.is_folder:
                folders.add(event.path)
            elif event.inode is not None:
                names[event.path] = event.inode
        return names, folders

    def _content(self, inode: int, mode: Mode, draw: random.Random) -> bytes:
        synced, written = self.synced.get(inode, b""), self.written.get(inode, b"")
        if mode == "lost":
            return synced
        content = bytearray(written[: draw.randint(len(synced), len(written))])
        for start in range(len(synced) // PAGE * PAGE, len(content), PAGE):
            if draw.random() < 0.5:
                first = max(start, len(synced))
                end = min(start + PAGE, len(content))
                content[first:end] = bytes(end - first)
        return bytes(content)


def record_traced(folder: Path, seconds: float) -> tuple[Path, list[tuple[float, Event]]]:
    """The trace of a recording of two cameras, and the folder that its paths are below."""
    sources = []
    for number, name in enumerate(CAMERAS):
        video = folder / f"{name}.mp4"
        film(video, count=round(seconds * RATE), first=number * 20_000)
        sources.append(SourceSpec(name, str(video), "vehicle"))
    out = folder / "footage"
    out.mkdir()
    trace = Trace(out)
    with trace.recording():
        record(sources, out, options=OPTIONS)
    return out, trace.events


def film(path: Path, *, count: int, first: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"g": str(GOP), "bf": "2", "preset": "veryfast", "threads": "1", "crf": "12"}
        for number in range(count):
            picture = av.VideoFrame.from_ndarray(numbered(first + number), format="gray")
            picture = picture.reformat(format="yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def check_point(
    out: Path, events: list[tuple[float, Event]], point: int, mode: Mode, folder: Path
) -> tuple[int, int, list[str]]:
    """Cut the power after ``point`` events: frames owed, frames recovered, and what does not hold."""
    disk = Disk(out)
    for at, event in events[:point]:
        disk.take(at, event)
    files, folders = disk.after_power_cut(mode, random.Random(point))
    expected = {number for content in disk.owed() if content for number in frames_of(content)}
    footage = folder / "footage"
    for path in (out, *sorted(folders)):
        (footage / path.relative_to(out)).mkdir()
    for path, content in files.items():
        (footage / path.relative_to(out)).write_bytes(content)
    salvage(footage)
    found: set[int] = set()
    faults = []
    for name in CAMERAS:
        camera = footage / "vehicle" / name
        if camera.exists():
            numbers, wrong = footage_of(camera)
            found |= numbers
            faults += wrong
    lost = expected - found
    if lost:
        faults.append(f"{len(lost)} of {len(expected)} frames that were owed are lost")
    if again := salvage(footage):
        faults.append(f"a second salvage changed {again[0].path.name}")
    return len(expected), len(found), [f"point {point}, {mode}: {fault}" for fault in faults]


@cache
def frames_of(content: bytes) -> tuple[int, ...]:
    """Numbers of the frames that decode from a file's content, without a salvage; none from a journal's."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as stream:
        stream.write(content)
        stream.flush()
        return tuple(numbers_in(Path(stream.name)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out, events = record_traced(Path(scratch), arguments.seconds)
        points = sorted(random.Random(0).choices(range(1, len(events) + 1), k=arguments.points))
        owed = recovered = 0
        faults: list[str] = []
        for point in points:
            modes: tuple[Mode, ...] = ("lost", "torn")
            for mode in modes:
                with tempfile.TemporaryDirectory() as folder:
                    of, found, wrong = check_point(out, events, point, mode, Path(folder))
                owed, recovered, faults = owed + of, recovered + found, faults + wrong
    passed = owed > 0 and not faults
    summary = {
        "points": arguments.points,
        "events": len(events),
        "frames_owed": owed,
        "frames_recovered": recovered,
        "longest_unsynced_s": round(longest_unsynced_s(events), 2),
        "faults": faults,
        "passed": passed,
    }
    if arguments.json:
        print(json.dumps(summary))
    else:
        from catseye.console import print_table

        rows = [(name.replace("_", " "), value) for name, value in summary.items() if name != "faults"]
        print_table("Power cuts, two disks a point; bound: no fault", ("figure", "value"), rows)
        for fault in faults:
            print(fault)
    return 0 if passed else 1


def longest_unsynced_s(events: list[tuple[float, Event]]) -> float:
    """The longest that something written waited for its sync."""
    waiting: dict[int, float] = {}
    longest = 0.0
    for at, event in events:
        if isinstance(event, Write):
            waiting.setdefault(event.inode, at)
        elif isinstance(event, Sync):
            longest = max(longest, at - waiting.pop(event.inode, at))
    return longest


if __name__ == "__main__":
    sys.exit(main())
