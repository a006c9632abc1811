"""Drives that are gone from a dataset for good, and the tombstones that keep them out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from catseye.capture.dataset import (
    INFO_NAME,
    ClipOptions,
    Dataset,
    DatasetInfo,
    open_dataset,
    read_telemetry_table,
    write_dataset,
)
from catseye.capture.manifest import Clip
from catseye.capture.merge import File, merge, near_duplicate_drives
from catseye.capture.probe import Source
from catseye.capture.workspace import known_clips, locked, tidy
from catseye.contract import Contract
from catseye.errors import InputError

_log = logging.getLogger(__name__)

ERASED_NAME = "erased.json"


class ErasedDrive(BaseModel):
    """A tombstone: the drive, the sha256 of its sources, and when it was erased."""

    model_config = ConfigDict(frozen=True)

    drive: str
    sources_sha256: tuple[str, ...]
    erased_utc: datetime


class Erasures(Contract):
    """``erased.json`` of a dataset: its tombstones, oldest first."""

    VERSION: ClassVar[str] = "1.0"
    REMEDY: ClassVar[str] = "restore it from a copy: without it, what was erased could come back"

    drives: tuple[ErasedDrive, ...] = ()

    @classmethod
    def of(cls, dataset: Path) -> Erasures:
        """Those of a local dataset; none where it has no such file.

        Raises:
            InputError: the file does not fit.
        """
        path = dataset / ERASED_NAME
        return cls.load(path) if path.exists() else cls()

    def of_source(self, source: Source, sha256: str) -> ErasedDrive | None:
        """The tombstone that keeps a file out: by its content, or by the drive that it is named to be of."""
        for erased in self.drives:
            if sha256 in erased.sources_sha256 or source.named_drive == erased.drive:
                return erased
        return None


def erase_drive(dataset: Path, drive: str) -> Dataset:
    """Take a drive out of a dataset: its rows, its telemetry and its shards. The originals are not touched.

    A tombstone is left in ``erased.json``, written before anything else goes: after a kill the next call, or
    the next ingest, goes on. No later ingest takes in the same files again, nor others that are named to be
    of that drive.

    Args:
        dataset: its folder.
        drive: as the rows call it.

    Raises:
        InputError: there is no such dataset or no such drive in it, or another process writes it.
    """
    if not (dataset / INFO_NAME).exists():
        raise InputError(dataset, f"is no dataset: it has no {INFO_NAME}", "name a dataset's folder")
    with locked(dataset):
        info = DatasetInfo.load(dataset / INFO_NAME)
        options = ClipOptions.model_validate(info.model_dump())
        clips = known_clips(dataset, options)
        erasures = Erasures.of(dataset)
        gone = [clip for clip in clips if clip.drive == drive]
        if not gone:
            raise InputError(dataset, f"has no drive {drive!r}", _remedy(clips))
        for other in sorted(near_duplicate_drives(clips, drive)):
            _log.warning(
                "drive %s shows the same as %s in part, and stays: erase it too if it must go", other, drive
            )
        tombstone = ErasedDrive(
            drive=drive,
            sources_sha256=tuple(sorted({clip.source_sha256 for clip in gone} - {""})),
            erased_utc=datetime.now(timezone.utc),
        )
        Erasures(drives=(*erasures.drives, tombstone)).save(dataset / ERASED_NAME)
        rewrite_without(dataset, clips, drive, options)
    return open_dataset(dataset)


def rewrite_without(dataset: Path, clips: Sequence[Clip], drive: str, options: ClipOptions) -> None:
    """Write the tables again without a drive, and remove the shards that nothing refers to any more."""
    info = DatasetInfo.load(dataset / INFO_NAME)
    kept = [clip for clip in clips if clip.drive != drive]
    left = merge(kept, [], {}, options=options, validation_fraction=info.validation_fraction)
    present = {clip.source_sha256 for clip in left}
    telemetry = {sha: found for sha, found in read_telemetry_table(dataset).items() if sha in present}
    write_dataset(dataset, left, telemetry, options, validation_fraction=info.validation_fraction)
    tidy(dataset, left)


def keep_out(files: Sequence[File], erasures: Erasures) -> list[File]:
    """The files that no tombstone keeps out; the log says which are."""
    kept = []
    for file in files:
        erased = erasures.of_source(file.source, file.sha256)
        if erased is None:
            kept.append(file)
        else:
            _log.warning(
                "%s: is of the drive %s, erased on %s; it stays out",
                file.source.path,
                erased.drive,
                f"{erased.erased_utc:%Y-%m-%d}",
            )
    return kept


def _remedy(clips: Sequence[Clip]) -> str:
    names = sorted({clip.drive for clip in clips})
    some = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"it has {some}" if names else "it is empty"
