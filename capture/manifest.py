"""The dataset's rows: what is known of a clip, and ``clips.parquet``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from numpy.typing import NDArray

from catseye.errors import InputError


@dataclass(frozen=True, eq=False)
class Clip:
    """A run of frames without a gap, or what was set aside and why. Per-frame arrays have length T.

    Args:
        clip_id: names the content: the source's hash and the place of the first frame in it.
        source: absolute path of the video at the time it was ingested.
        source_sha256: of the source's bytes; empty where they could not be read.
        drive: what must not be torn between splits.
        vehicle, camera: who recorded it; empty where unknown.
        start_time: UTC of the first frame by the source's own record, or None.
        width, height: of the source in pixels; 0 where unknown.
        time_base: unit of ``pts`` and ``durations`` in seconds.
        pts: (T,) int64 presentation times in the source, strictly rising.
        durations: (T,) int64; up to the next frame, or the source's median before a gap.
        key_flags: (T,) bool, key frames of the source.
        shard: the file with these frames at network size, relative to the dataset; empty for none.
        shard_pts: (T,) int64 presentation times in the shard, in ``shards.TIME_BASE``.
        shard_key_flags: (T,) bool, key frames of the shard.
        shard_checksums: (T,) uint32, see ``checksums``; empty in datasets before version 1.2.
        tags: any of ``stationary``, ``dark``, ``frozen``, ``obstructed``, ``corrupt``, ``short``,
            ``unreadable``, ``duplicate``, ``near-duplicate``.
        usable: whether to train on it; where not, ``reason`` says why.
        split: ``train``, ``validation`` or ``test``.
        speed_mps: (T,) float32, NaN where unknown.
        intrinsics: fx/W, fy/H, cx/W, cy/H of the network frame, or None without calibration.
        calibration_hash: ``Calibration.content_hash``, or empty.
        brightness, sharpness, motion: medians of ``quality.FrameScores`` over the clip; NaN where none.
        obstruction: median share of the picture that something on the lens hides; NaN where none.
        corruption: the worst of its frames: 1 where the decoder told of damage, otherwise the share of the
            picture that is torn or filled in, see ``corruption``; NaN where none.
        scene_hashes: (2 S,) uint64, two to a sample, see ``near_duplicates``.
        scene_start: place of the first sample on the source's grid of samples.
    """

    clip_id: str
    source: str
    source_sha256: str
    drive: str
    vehicle: str
    camera: str
    start_time: datetime | None
    width: int
    height: int
    time_base: Fraction
    pts: NDArray[np.int64]
    durations: NDArray[np.int64]
    key_flags: NDArray[np.bool_]
    shard: str
    shard_pts: NDArray[np.int64]
    shard_key_flags: NDArray[np.bool_]
    tags: frozenset[str]
    usable: bool
    reason: str
    split: str
    speed_mps: NDArray[np.float32]
    intrinsics: tuple[float, float, float, float] | None
    calibration_hash: str
    brightness: float
    sharpness: float
    motion: float
    obstruction: float = float("nan")
    corruption: float = float("nan")
    scene_hashes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    scene_start: int = 0
    shard_checksums: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def known_speeds(self) -> int:
        """How many frames have a speed."""
        return int(np.isfinite(self.speed_mps).sum())

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(T,) seconds from the first frame."""
        return np.asarray((self.pts - self.pts[:1]) * float(self.time_base), dtype=np.float64)

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame's start to the last one's end."""
        return float((self.pts[-1] - self.pts[0] + self.durations[-1]) * self.time_base) if len(self) else 0.0


_LISTS: dict[str, pa.DataType] = {
    "pts": pa.int64(),
    "durations": pa.int64(),
    "key_flags": pa.bool_(),
    "shard_pts": pa.int64(),
    "shard_key_flags": pa.bool_(),
    "speed_mps": pa.float32(),
    "scene_hashes": pa.uint64(),
    "shard_checksums": pa.uint32(),
}

SCHEMA = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("clip_id", "source", "source_sha256", "drive", "vehicle", "camera")
        ),
        ("start_time", pa.timestamp("us", tz="UTC")),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("time_base_numerator", pa.int64()),
        ("time_base_denominator", pa.int64()),
        *((name, pa.list_(kind)) for name, kind in _LISTS.items()),
        ("shard", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("usable", pa.bool_()),
        ("reason", pa.string()),
        ("split", pa.string()),
        ("intrinsics", pa.list_(pa.float64())),
        ("calibration_hash", pa.string()),
        *(
            (name, pa.float32())
            for name in ("brightness", "sharpness", "motion", "obstruction", "corruption")
        ),
        ("scene_start", pa.int64()),
        ("frames", pa.int32()),
        ("known_speeds", pa.int32()),
    ]
)

_SCALARS = [name for name in SCHEMA.names if name not in _LISTS]
_COUNTS = ("frames", "known_speeds")
"""Lengths of what is in the lists, so that the lists need not be read for them."""

_DERIVED = {"time_base_numerator", "time_base_denominator", "frames"}
"""Columns that are no attribute of ``Clip`` by themselves."""

_SINCE_1_1 = {"obstruction", "corruption", "scene_hashes", "scene_start", *_COUNTS}
_SINCE_1_2 = {"shard_checksums"}


def write_clips(clips: Sequence[Clip], stream: IO[bytes] | str) -> None:
    """Write rows as Parquet, to an open file or a path."""
    pq.write_table(pa.Table.from_pylist([_to_row(clip) for clip in clips], schema=SCHEMA), stream)


def read_clips(stream: IO[bytes] | str) -> tuple[Clip, ...]:
    """Read rows back, those of all versions from 1.0 on.

    Raises:
        OSError, pyarrow.ArrowException: the file is absent or is no Parquet file.
        KeyError, ValueError: a column is missing or has another type.
    """
    table = pq.read_table(stream)
    _check_columns(table.column_names)
    lists = {name: _column(table, name) for name in _LISTS}
    arrays = (dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True))
    return tuple(Clip(**{**row, **of}) for row, of in zip(_scalar_rows(table), arrays, strict=True))


def open_clips(path: str, filesystem: AbstractFileSystem) -> tuple[Clip, ...]:
    """The rows without what grows with their frames, which is read when it is first asked for.

    Args:
        path, filesystem: as ``fsspec.core.url_to_fs`` gives them.

    Raises:
        as ``read_clips``; and, when frames are asked for, ``InputError`` where the file has been replaced
        since.
    """
    with filesystem.open(path, "rb") as stream:
        file = pq.ParquetFile(stream)
        names = file.schema_arrow.names
        _check_columns(names)
        if not set(_COUNTS) <= set(names):
            return read_clips(stream)
        table = file.read(columns=[name for name in _SCALARS if name in names])
        frames = _Lists(path, filesystem, _identity(file))
    counts = zip(*(table.column(name).to_pylist() for name in _COUNTS), strict=True)
    rows = zip(_scalar_rows(table), counts, strict=True)
    return tuple(_LazyClip.of(row, count, frames, index) for index, (row, count) in enumerate(rows))


class _Lists:
    """The list columns of a table of clips, each read whole when a row of it is first wanted."""

    def __init__(self, path: str, filesystem: AbstractFileSystem, identity: str) -> None:
        self._path, self._filesystem, self._identity = path, filesystem, identity
        self._columns: dict[str, Sequence[NDArray[Any]]] = {}

    def get(self, name: str, index: int) -> NDArray[Any]:
        if name not in self._columns:
            with self._filesystem.open(self._path, "rb") as stream:
                file = pq.ParquetFile(stream)
                if _identity(file) != self._identity:
                    raise InputError(self._path, "has changed since it was opened", "open the dataset again")
                self._columns[name] = _column(file.read(columns=[name]), name)
        return self._columns[name][index]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_columns": {}}


class _LazyClip(Clip):
    """A clip whose arrays are read on first use. It compares, copies and pickles like any other."""

    _frames: _Lists
    _index: int
    _counts: tuple[int, int]

    @classmethod
    def of(cls, row: dict[str, Any], counts: tuple[int, int], frames: _Lists, index: int) -> _LazyClip:
        clip = cls.__new__(cls)
        clip.__dict__.update(row, _counts=counts, _frames=frames, _index=index)
        return clip

    def __getattr__(self, name: str) -> Any:
        if name not in _LISTS:
            raise AttributeError(name)
        values = self._frames.get(name, self._index)
        self.__dict__[name] = values
        return values

    def __len__(self) -> int:
        # A copy with changes, as ``dataclasses.replace`` makes, has arrays and no counts.
        return self._counts[0] if "_counts" in self.__dict__ else super().__len__()

    @property
    def known_speeds(self) -> int:
        return self._counts[1] if "_counts" in self.__dict__ else super().known_speeds


def _identity(file: pq.ParquetFile) -> str:
    """Changes with the content: where every column lies, how long it is, and its extremes."""
    return sha256(repr(file.metadata.to_dict()).encode()).hexdigest()


def _check_columns(names: Sequence[str]) -> None:
    for name in SCHEMA.names:
        if name not in names and name not in _SINCE_1_1 | _SINCE_1_2:
            raise KeyError(f"has no column {name!r}")


def _to_row(clip: Clip) -> dict[str, Any]:
    stored = (name for name in SCHEMA.names if name not in _DERIVED)
    row = {name: getattr(clip, name) for name in stored}
    row["tags"] = sorted(clip.tags)
    row["frames"] = len(clip)
    row["time_base_numerator"] = clip.time_base.numerator
    row["time_base_denominator"] = clip.time_base.denominator
    return row


def _scalar_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """What a row has but its lists, by the names of ``Clip``."""
    names = [name for name in _SCALARS if name in table.column_names and name not in _COUNTS]
    table = table.select(names).cast(pa.schema([SCHEMA.field(name) for name in names]))
    columns = {name: table.column(name).to_pylist() for name in names}
    bases = zip(columns.pop("time_base_numerator"), columns.pop("time_base_denominator"), strict=True)
    columns["time_base"] = [_fraction(*base) for base in bases]
    columns["tags"] = [frozenset(tags) for tags in columns["tags"]]
    columns["intrinsics"] = [
        tuple(values) if values is not None else None for values in columns["intrinsics"]
    ]
    fields = list(columns)
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(fields, values, strict=True))


_fraction = lru_cache(maxsize=1024)(Fraction)


def _column(table: pa.Table, name: str) -> Sequence[NDArray[Any]]:
    """The lists of a column as NumPy arrays, which share one buffer; empty ones where there is no such."""
    kind = _LISTS[name]
    if name not in table.column_names:
        return [pa.array([], kind).to_numpy(zero_copy_only=False)] * len(table)
    arrays: list[NDArray[Any]] = []
    for chunk in table.column(name).cast(pa.list_(kind)).chunks:
        values = chunk.values.to_numpy(zero_copy_only=False)
        offsets = chunk.offsets.to_numpy()
        arrays.extend(values[start:stop] for start, stop in pairwise(offsets))
    return arrays
