"""The footage's journal: ``<vehicle>/<camera>/journal.jsonl``, a JSON line for whatever happened to it.

Lines are only ever appended, and each is fsynced, so that a power cut costs the last line at
most. A line that is cut off is passed over in reading, and the next one written starts on a line of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from catseye.errors import InputError
from catseye.files import fsync

JOURNAL_NAME = "journal.jsonl"
PART_SUFFIX = ".part"
"""Ends the name of a segment that is still being written, or that a killed recorder left."""

LOCK_SUFFIX = ".lock"
"""``<segment>.lock`` beside a segment keeps it from being deleted before those without."""

BAD_SUFFIX = ".bad"
"""Ends the name of what a salvage set aside because nothing vouches for it."""

TAIL_SUFFIX = ".tail"
"""``<segment>.tail.bad`` is what followed the part of a segment that is verified."""

PROXY_SUFFIX = ".proxy"
"""Ends the stem of a segment's small copy: ``<utc start>.proxy.mp4``."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    VERSION: ClassVar[str] = "1.0"

    schema_version: str = VERSION


class SegmentClosed(_Entry):
    """A segment is complete under its final name.

    Args:
        file: its name, in the journal's folder.
        sha256, size_bytes: of its content.
        codec, width, height: of its video.
        time_base: of its pts: numerator and denominator, in seconds.
        first_pts, last_pts: presentation times of its first and last frame.
        start_utc: capture time of its first frame.
        start_monotonic_ns: the recorder's monotonic clock at the arrival of its first packet; it is
            comparable within one ``boot_id`` only. None where a salvage could not know it.
        boot_id: of the machine while it recorded; empty where unknown.
        clock: where ``start_utc`` comes from: the camera's sender reports, the arrival of the packet, or the
            time that a file states.
        packets, dropped: written, and lost or thrown away, as far as can be known.
        calibration: ``Calibration.content_hash``, or empty.
        telemetry: name of its telemetry file, or empty.
        salvaged: whether it was closed after a crash, from its longest verified prefix.
    """

    event: Literal["segment"] = "segment"
    file: str
    sha256: str
    size_bytes: int
    codec: str
    width: int
    height: int
    time_base: tuple[int, int]
    first_pts: int
    last_pts: int
    start_utc: datetime
    start_monotonic_ns: int | None
    boot_id: str = ""
    clock: Literal["rtcp", "arrival", "file"]
    packets: int
    dropped: int
    calibration: str = ""
    telemetry: str = ""
    salvaged: bool = False

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last."""
        numerator, denominator = self.time_base
        return (self.last_pts - self.first_pts) * numerator / denominator


class Gap(_Entry):
    """Nothing was recorded between two moments, and why."""

    event: Literal["gap"] = "gap"
    from_utc: datetime
    to_utc: datetime
    reason: str


class ClockStepped(_Entry):
    """The machine's clock was set, from one moment to another, while a camera was recorded.

    Times in the journal are the clock's own: those before this line go by the old setting.
    """

    event: Literal["clock"] = "clock"
    from_utc: datetime
    to_utc: datetime


class Removed(_Entry):
    """A file is gone: deleted for room, moved off the vehicle, or set aside as unusable; and why."""

    event: Literal["removed"] = "removed"
    file: str
    at_utc: datetime
    reason: str


class Uploaded(_Entry):
    """A file has been copied to ``url`` and verified there."""

    event: Literal["uploaded"] = "uploaded"
    file: str
    sha256: str
    at_utc: datetime
    url: str


Entry = SegmentClosed | Gap | ClockStepped | Removed | Uploaded

_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="event")])


def append(folder: Path, entry: Entry) -> None:
    """Append an entry to the journal of a camera's folder; it is on the disk when this returns."""
    path = folder / JOURNAL_NAME
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        line = entry.model_dump_json().encode() + b"\n"
        rest = line if _ends_a_line(descriptor) else b"\n" + line
        while rest:  # a disk that is nearly full takes a part
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        fsync(folder)


def read(folder: Path) -> list[Entry]:
    """Every whole entry of a camera's folder in the order of writing; none where there is no journal.

    Raises:
        InputError: the journal cannot be read, or an entry is of a newer major version.
    """
    path = folder / JOURNAL_NAME
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the disk") from None
    return list(_entries(path, lines))


def segments(entries: Iterable[Entry]) -> dict[str, SegmentClosed]:
    """The segments that should still be there, by file name, oldest first."""
    present: dict[str, SegmentClosed] = {}
    for entry in entries:
        if isinstance(entry, SegmentClosed):
            present[entry.file] = entry
        elif isinstance(entry, Removed):
            present.pop(entry.file, None)
    return dict(sorted(present.items(), key=lambda item: item[1].start_utc))


def camera_folders(footage: Path) -> list[Path]:
    """Every folder below ``footage`` that has a journal, itself included, by name."""
    return sorted(path.parent for path in footage.rglob(JOURNAL_NAME))


def _ends_a_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def _entries(path: Path, lines: Iterable[bytes]) -> Iterator[Entry]:
    for line in lines:
        try:
            document = json.loads(line)
        except ValueError:
            continue  # cut off by a crash
        if not isinstance(document, dict):
            continue
        major = str(document.get("schema_version", "")).partition(".")[0]
        if major.isdigit() and int(major) > int(_Entry.VERSION.partition(".")[0]):
            raise InputError(path, f"has entries of version {document['schema_version']}", "upgrade catseye")
        try:
            yield _ENTRY.validate_python(document)
        except ValidationError:
            continue  # overwritten by zeros or by a torn sector, though it happens to be JSON
