"""The dataset at a path or any fsspec URL.

It is a folder of ``dataset.json``, ``clips.parquet``, ``telemetry.parquet`` and ``shards/``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from catseye.capture.manifest import Clip, open_clips, write_clips
from catseye.capture.telemetry import Telemetry
from catseye.contract import Contract
from catseye.errors import InputError
from catseye.files import replacing
from catseye.version import __version__

__all__ = ["Clip", "ClipOptions", "Dataset", "DatasetInfo", "fingerprint", "open_dataset", "write_dataset"]

INFO_NAME, CLIPS_NAME, TELEMETRY_NAME = "dataset.json", "clips.parquet", "telemetry.parquet"
SHARDS_NAME, WORK_NAME = "shards", ".work"
_REMEDY = "make it with: catseye ingest"
_TELEMETRY_SCHEMA = pa.schema(
    [
        ("source_sha256", pa.string()),
        ("time_s", pa.float64()),
        ("speed_mps", pa.float32()),
        ("latitude_deg", pa.float64()),
        ("longitude_deg", pa.float64()),
    ]
)


class ClipOptions(Contract):
    """What makes a dataset's clips what they are; the same for all of them.

    Args:
        width, height: network size in pixels, even.
        max_clip_s: longest clip in seconds.
        gap_s: a longer step between frames ends a clip; None for a second or eight median steps.
        redaction: what has blurred the shards; empty where nothing has.
    """

    width: int = Field(gt=0, multiple_of=2)
    height: int = Field(gt=0, multiple_of=2)
    max_clip_s: float = Field(gt=0)
    gap_s: float | None = Field(default=None, gt=0)
    redaction: str = ""


class DatasetInfo(ClipOptions):
    """``dataset.json``: the options, what came of them, and the fingerprint of the rows."""

    VERSION: ClassVar[str] = "1.2"
    REMEDY: ClassVar[str] = _REMEDY

    clips: int = Field(ge=0)
    usable_clips: int = Field(ge=0)
    sources: int = Field(ge=0)
    drives: int = Field(ge=0)
    hours: float = Field(ge=0)
    usable_hours: float = Field(ge=0)
    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    fingerprint: str
    created_by: str


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset that has been opened: its description and its rows. ``clips.ClipReader`` reads the frames.

    Args:
        url: its folder, as a path or an fsspec URL, without a slash at the end.
        info: ``dataset.json``.
        clips: every row, those that are set aside too.
    """

    url: str
    info: DatasetInfo
    clips: tuple[Clip, ...]

    @property
    def fingerprint(self) -> str:
        return self.info.fingerprint

    def select(self, *, split: str | None = None, usable: bool | None = True) -> tuple[Clip, ...]:
        """The rows of a split (None: of all) that are usable or not (None: either)."""
        return tuple(
            clip
            for clip in self.clips
            if (split is None or clip.split == split) and (usable is None or clip.usable == usable)
        )


def open_dataset(url: str | Path) -> Dataset:
    """Open a dataset at a path or any fsspec URL.

    That takes time by its clips; what grows with their frames is read when it is first used.

    Raises:
        InputError: there is none, it is of a newer major version, or its files do not fit together.
    """
    place = str(url).rstrip("/")
    try:
        filesystem, folder = fsspec.core.url_to_fs(place)
        text = filesystem.cat_file(f"{folder}/{INFO_NAME}")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(place, f"is no dataset: it has no {INFO_NAME}", _REMEDY) from None
    except (OSError, ValueError, ImportError) as error:
        raise InputError(place, f"cannot be read ({error})", "check the address") from None
    info = DatasetInfo.parse(text, subject=f"{place}/{INFO_NAME}")
    rows = f"{place}/{CLIPS_NAME}"
    try:
        clips = open_clips(f"{folder}/{CLIPS_NAME}", filesystem)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(
            rows, f"is not the dataset's table of clips ({error})", "run the ingest again"
        ) from None
    if fingerprint(clips, info) != info.fingerprint:
        raise InputError(rows, f"does not belong to {INFO_NAME} beside it", "run the ingest again")
    return Dataset(url=place, info=info, clips=clips)


def write_dataset(
    folder: Path,
    clips: Sequence[Clip],
    telemetry: Mapping[str, Telemetry],
    options: ClipOptions,
    *,
    validation_fraction: float = 0.1,
) -> DatasetInfo:
    """Write the tables and then ``dataset.json``.

    Args:
        folder: the dataset, with its shards in place.
        clips: every row, in order.
        telemetry: speed samples by their source's sha256.
        options: what the clips were made with.
        validation_fraction: what the splits were made with.
    """
    usable = [clip for clip in clips if clip.usable]
    info = DatasetInfo(
        **options.model_dump(),
        clips=len(clips),
        usable_clips=len(usable),
        sources=len({clip.source for clip in clips}),
        drives=len({clip.drive for clip in clips}),
        hours=sum(clip.duration_s for clip in clips) / 3600,
        usable_hours=sum(clip.duration_s for clip in usable) / 3600,
        validation_fraction=validation_fraction,
        fingerprint=fingerprint(clips, options),
        created_by=f"catseye {__version__}",
    )
    with replacing(folder / CLIPS_NAME) as aside:
        write_clips(clips, str(aside))
    with replacing(folder / TELEMETRY_NAME) as aside:
        pq.write_table(_telemetry_table(telemetry), aside)
    info.save(folder / INFO_NAME)
    return info


def read_telemetry_table(folder: Path) -> dict[str, Telemetry]:
    """``telemetry.parquet`` of a local dataset, by source sha256; empty where there is none."""
    if not (folder / TELEMETRY_NAME).exists():
        return {}
    table = pq.read_table(folder / TELEMETRY_NAME)
    owners = table["source_sha256"].combine_chunks().dictionary_encode()
    # Tables of the first version have no place.
    names = [name for name in _TELEMETRY_SCHEMA.names[1:] if name in table.column_names]
    columns = {name: table[name].to_numpy() for name in names}
    found: dict[str, Telemetry] = {}
    for code, sha in enumerate(owners.dictionary.to_pylist()):
        rows = np.flatnonzero(owners.indices.to_numpy() == code)
        found[sha] = Telemetry(**{name: column[rows] for name, column in columns.items()})
    return found


def fingerprint(clips: Sequence[Clip], options: ClipOptions) -> str:
    """Hex SHA-256 of what training sees: which clips, how large, in which split, with what beside them."""
    rows = sorted((c.clip_id, c.split, c.usable, len(c), c.calibration_hash, c.known_speeds) for c in clips)
    fixed = options.model_dump(include=set(ClipOptions.model_fields) - {"schema_version"})
    if not options.redaction:  # version 1.0 knew of none, and its datasets keep their fingerprints
        del fixed["redaction"]
    return hashlib.sha256(json.dumps([fixed, rows], sort_keys=True).encode()).hexdigest()


def _telemetry_table(telemetry: Mapping[str, Telemetry]) -> pa.Table:
    def column(name: str) -> NDArray[Any]:
        parts = ((found, getattr(found, name)) for found in telemetry.values())
        return np.concatenate(
            [np.zeros(0), *(np.full(len(of.time_s), np.nan) if part is None else part for of, part in parts)]
        )

    columns: dict[str, Any] = {name: column(name) for name in _TELEMETRY_SCHEMA.names[1:]}
    columns["source_sha256"] = [sha for sha, found in telemetry.items() for _ in found.time_s]
    columns["speed_mps"] = columns["speed_mps"].astype(np.float32)
    return pa.table(columns, schema=_TELEMETRY_SCHEMA)
