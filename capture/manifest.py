"""The dataset's rows: what is known of a clip, and ``clips.parquet``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray


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
        tags: any of ``stationary``, ``dark``, ``frozen``, ``short``, ``unreadable``, ``duplicate``.
        usable: whether to train on it; where not, ``reason`` says why.
        split: ``train``, ``validation`` or ``test``.
        speed_mps: (T,) float32, NaN where unknown.
        intrinsics: fx/W, fy/H, cx/W, cy/H of the network frame, or None without calibration.
        calibration_hash: ``Calibration.content_hash``, or empty.
        brightness, sharpness, motion: medians of ``quality.FrameScores`` over the clip; NaN where none.
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

    def __len__(self) -> int:
        return len(self.pts)

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
        *((name, pa.float32()) for name in ("brightness", "sharpness", "motion")),
    ]
)


def write_clips(clips: Sequence[Clip], stream: IO[bytes] | str) -> None:
    """Write rows as Parquet, to an open file or a path."""
    pq.write_table(pa.Table.from_pylist([_to_row(clip) for clip in clips], schema=SCHEMA), stream)


def read_clips(stream: IO[bytes] | str) -> tuple[Clip, ...]:
    """Read rows back.

    Raises:
        OSError, pyarrow.ArrowException: the file is absent or is no Parquet file.
        KeyError, ValueError: a column is missing or has another type.
    """
    table = pq.read_table(stream)
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise KeyError(f"has no column {missing[0]!r}")
    table = table.select(SCHEMA.names).cast(SCHEMA).combine_chunks()
    scalars = table.drop_columns([*_LISTS]).to_pylist()
    lists = zip(*(_arrays(table.column(name)) for name in _LISTS), strict=True)
    return tuple(
        _to_clip({**row, **dict(zip(_LISTS, arrays, strict=True))})
        for row, arrays in zip(scalars, lists, strict=True)
    )


def _to_row(clip: Clip) -> dict[str, Any]:
    row = {name: getattr(clip, name) for name in SCHEMA.names if not name.startswith("time_base_")}
    row["tags"] = sorted(clip.tags)
    row["time_base_numerator"] = clip.time_base.numerator
    row["time_base_denominator"] = clip.time_base.denominator
    return row


def _to_clip(row: dict[str, Any]) -> Clip:
    time_base = Fraction(row.pop("time_base_numerator"), row.pop("time_base_denominator"))
    row["tags"] = frozenset(row["tags"])
    if row["intrinsics"] is not None:
        fx, fy, cx, cy = row["intrinsics"]
        row["intrinsics"] = (fx, fy, cx, cy)
    return Clip(time_base=time_base, **row)


def _arrays(column: pa.ChunkedArray) -> Iterator[NDArray[Any]]:
    """The lists of a column as NumPy arrays, which share one buffer."""
    for chunk in column.chunks:
        values = chunk.values.to_numpy(zero_copy_only=False)
        offsets = chunk.offsets.to_numpy()
        for start, stop in pairwise(offsets):
            yield values[start:stop]
