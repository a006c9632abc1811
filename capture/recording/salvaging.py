"""What a killed recorder or a power cut left becomes proper footage again, and nothing of it is deleted."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import ValidationError

from catseye.capture import journal
from catseye.capture.journal import BAD_SUFFIX, PART_SUFFIX, TAIL_SUFFIX, Removed, SegmentClosed
from catseye.capture.recording.names import stem_of
from catseye.capture.recording.stamps import Container, Prefix, verified_prefix
from catseye.errors import InputError
from catseye.files import fsync

_log = logging.getLogger(__name__)

_CONTAINERS: dict[str, Container] = {".mp4": "mp4", ".ts": "ts"}
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Salvaged:
    """What became of one file.

    Args:
        path: the segment, or what was set aside.
        outcome: ``closed`` from its longest verified prefix; ``adopted``, whole but for its journal line;
            or ``set aside``, since no part of it is verified.
        packets: in it; 0 where set aside.
        unverified_bytes: of its end, set aside as ``<segment>.tail.bad`` unless they are all zeros.
    """

    path: Path
    outcome: Literal["closed", "adopted", "set aside"]
    packets: int
    unverified_bytes: int


def salvage(footage: Path) -> list[Salvaged]:
    """Close what a recorder below a folder did not: see ``Salvaged``. Whole footage is not touched.

    It may be run again at any time, also beside a recorder: what that has open is left alone.

    Raises:
        InputError: there is no such folder, or it cannot be written.
    """
    if not footage.is_dir():
        raise InputError(footage, "no such folder", "give the folder that record writes to")
    try:
        folders = sorted({path.parent for path in footage.rglob("*") if stem_of(path.name)})
        return [salvaged for folder in folders for salvaged in salvage_folder(folder)]
    except OSError as error:
        raise InputError(
            footage, f"cannot be salvaged ({error.strerror})", "check the disk and permissions"
        ) from None


def salvage_folder(folder: Path) -> list[Salvaged]:
    """``salvage`` for one camera's folder.

    Raises:
        OSError: the disk fails.
    """
    known = {entry.file for entry in journal.read(folder) if isinstance(entry, SegmentClosed)}
    done = []
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(PART_SUFFIX)
        is_unknown = path.name.endswith(PART_SUFFIX) or name not in known
        if stem_of(name) and Path(name).suffix in _CONTAINERS and is_unknown:
            with _locked(path) as is_free:
                if is_free and (salvaged := _salvage_file(path, folder / name)):
                    _log.info("%s: %s, %d packets", salvaged.path, salvaged.outcome, salvaged.packets)
                    done.append(salvaged)
    return done


def _salvage_file(path: Path, final: Path) -> Salvaged | None:
    size = path.stat().st_size
    prefix = verified_prefix(path, _CONTAINERS[final.suffix])
    line = _line_of(prefix)
    if path == final and line is None:
        return None  # somebody else's file
    if prefix is None or line is None or (path != final and final.exists()):
        return _set_aside(path, final, size)
    _keep_tail(path, final, prefix.size_bytes)
    with path.open("r+b") as stream:
        stream.truncate(prefix.size_bytes)
        os.fsync(stream.fileno())
    path.rename(final)
    fsync(final.parent)
    update = {
        "file": final.name,
        "sha256": prefix.sha256,
        "size_bytes": prefix.size_bytes,
        "salvaged": True,
    }
    journal.append(final.parent, line.model_copy(update=update))
    outcome: Literal["closed", "adopted"] = "adopted" if path == final else "closed"
    return Salvaged(final, outcome, line.packets, size - prefix.size_bytes)


def _line_of(prefix: Prefix | None) -> SegmentClosed | None:
    if prefix is None:
        return None
    try:
        return SegmentClosed.model_validate_json(prefix.line)
    except ValidationError:
        return None


def _set_aside(part: Path, final: Path, size: int) -> Salvaged | None:
    if size == 0:
        part.unlink()
        return None
    bad = final.with_name(final.name + BAD_SUFFIX)
    part.rename(bad)
    fsync(bad.parent)
    journal.append(
        bad.parent,
        Removed(
            file=final.name,
            at_utc=datetime.now(timezone.utc),
            reason=f"no part of it is verified; kept as {bad.name}",
        ),
    )
    return Salvaged(bad, "set aside", 0, size)


def _keep_tail(path: Path, final: Path, start: int) -> None:
    """Copy what follows the verified prefix aside, unless it is empty or zeros."""
    with path.open("rb") as stream:
        stream.seek(start)
        if not any(any(block) for block in _blocks(stream)):
            return
        stream.seek(start)
        with final.with_name(f"{final.name}{TAIL_SUFFIX}{BAD_SUFFIX}").open("wb") as tail:
            for block in _blocks(stream):
                tail.write(block)
            tail.flush()
            os.fsync(tail.fileno())


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Whether no recorder has the file open; none can while this lasts."""
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
