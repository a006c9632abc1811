"""Rows of clips.parquet."""

from __future__ import annotations

import dataclasses
import io
import pickle
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catseye.capture.ingest_file import set_aside
from catseye.capture.manifest import SCHEMA, Clip, open_clips, read_clips, write_clips
from catseye.errors import InputError


def clip(count: int, **change: Any) -> Clip:
    values: dict[str, Any] = {
        "clip_id": "abc-0000000",
        "source": "/data/ä b.mp4",
        "source_sha256": "ab" * 32,
        "drive": "d",
        "vehicle": "van",
        "camera": "front",
        "start_time": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc),
        "width": 1280,
        "height": 720,
        "time_base": Fraction(1001, 30000),
        "pts": np.arange(count, dtype=np.int64) * 3 + 2**40,
        "durations": np.full(count, 3, dtype=np.int64),
        "key_flags": np.arange(count) % 2 == 0,
        "shard": "shards/a.mp4",
        "shard_pts": np.arange(count, dtype=np.int64) * 9009,
        "shard_key_flags": np.arange(count) % 3 == 0,
        "tags": frozenset({"dark", "frozen"}),
        "usable": False,
        "reason": "the picture is dark",
        "split": "train",
        "speed_mps": np.where(np.arange(count) % 2, np.nan, 7.5).astype(np.float32),
        "intrinsics": (0.5, 0.9, 0.5, 0.45),
        "calibration_hash": "cd" * 32,
        "brightness": 99.5,
        "sharpness": 12.25,
        "motion": 3.0,
        "obstruction": 0.25,
        "corruption": 0.5,
        "scene_hashes": np.array([2**63 + 1, 7, 0, 2**64 - 1], dtype=np.uint64),
        "scene_start": 40,
    }
    return Clip(**{**values, **change})


def same(a: Clip, b: Clip) -> None:
    for field in dataclasses.fields(Clip):
        left, right = getattr(a, field.name), getattr(b, field.name)
        np.testing.assert_array_equal(left, right, err_msg=field.name)
        assert type(left) is type(right), field.name
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype, field.name


def test_rows_come_back_as_they_were() -> None:
    empty = set_aside("/data/x.mp4", "ef" * 32, "unreadable", "is no video")
    rows = [clip(4), empty, clip(0), clip(7, intrinsics=None, start_time=None, tags=frozenset(), usable=True)]
    stream = io.BytesIO()
    write_clips(rows, stream)
    for before, after in zip(rows, read_clips(io.BytesIO(stream.getvalue())), strict=True):
        same(before, after)


def test_no_rows_come_back_as_none() -> None:
    stream = io.BytesIO()
    write_clips([], stream)
    assert read_clips(io.BytesIO(stream.getvalue())) == ()


def test_many_row_groups_are_read_in_order(tmp_path: Any) -> None:
    stream = io.BytesIO()
    write_clips([clip(i, clip_id=str(i)) for i in range(9)], stream)
    table = pq.read_table(io.BytesIO(stream.getvalue()))
    pq.write_table(table, tmp_path / "clips.parquet", row_group_size=2)
    found = read_clips(str(tmp_path / "clips.parquet"))
    assert [(row.clip_id, len(row)) for row in found] == [(str(i), i) for i in range(9)]


def test_times_are_real_seconds() -> None:
    row = clip(4)
    np.testing.assert_allclose(row.times_s, np.arange(4) * 0.1001)
    assert row.duration_s == pytest.approx(0.4004)
    assert clip(0).duration_s == 0 and len(clip(0).times_s) == 0


def test_a_later_column_is_passed_over_and_a_missing_one_is_named() -> None:
    stream = io.BytesIO()
    write_clips([clip(2)], stream)
    table = pq.read_table(io.BytesIO(stream.getvalue()))
    wider, narrower = io.BytesIO(), io.BytesIO()
    pq.write_table(table.append_column("later", pa.array([1])), wider)
    pq.write_table(table.drop_columns(["pts"]), narrower)
    same(read_clips(io.BytesIO(wider.getvalue()))[0], clip(2))
    with pytest.raises(KeyError, match="'pts'"):
        read_clips(io.BytesIO(narrower.getvalue()))
    with pytest.raises(pa.ArrowException):
        read_clips(io.BytesIO(b"no parquet"))


def test_the_columns_have_the_types_that_others_read() -> None:
    assert SCHEMA.field("pts").type == pa.list_(pa.int64())
    assert SCHEMA.field("speed_mps").type == pa.list_(pa.float32())
    assert SCHEMA.field("start_time").type == pa.timestamp("us", tz="UTC")


def opened(rows: list[Clip], path: Path) -> tuple[Clip, ...]:
    write_clips(rows, str(path))
    return open_clips(str(path), fsspec.filesystem("file"))


def test_rows_opened_are_those_read_though_their_arrays_come_later(tmp_path: Path) -> None:
    empty = set_aside("/data/x.mp4", "ef" * 32, "unreadable", "is no video")
    rows = [clip(4), empty, clip(7, intrinsics=None, start_time=None)]
    found = opened(rows, tmp_path / "clips.parquet")
    assert [len(row) for row in found] == [4, 0, 7] and [row.known_speeds for row in found] == [2, 0, 4]
    assert not any("pts" in vars(row) for row in found)
    for before, after in zip(rows, found, strict=True):
        same(before, after)


def test_opened_rows_are_copied_and_pickled_like_others(tmp_path: Path) -> None:
    (row,) = opened([clip(4)], tmp_path / "clips.parquet")
    shorter = dataclasses.replace(row, pts=row.pts[:2], speed_mps=row.speed_mps[:2])
    assert len(shorter) == 2 and shorter.known_speeds == 1 and len(row) == 4
    (again,) = opened([clip(4)], tmp_path / "clips.parquet")
    other = pickle.loads(pickle.dumps(again))
    assert "pts" not in vars(other)
    same(other, clip(4))
    with pytest.raises(AttributeError):
        _ = row.no_such_column  # type: ignore[attr-defined]


def test_a_table_replaced_after_it_was_opened_is_not_mixed_up(tmp_path: Path) -> None:
    (row,) = opened([clip(4)], tmp_path / "clips.parquet")
    write_clips([clip(4, clip_id="another", pts=np.arange(4) * 7)], str(tmp_path / "clips.parquet"))
    with pytest.raises(InputError, match="has changed since it was opened; open the dataset again"):
        _ = row.pts


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    rows = [clip(50, clip_id=str(i)) for i in range(20)]
    found = opened(rows, tmp_path / "clips.parquet")
    assert found[3].pts[1] == rows[3].pts[1]
    assert "shard_pts" not in vars(found[3]) and "pts" not in vars(found[4])


def test_a_table_of_version_1_0_opens_without_what_came_later(tmp_path: Path) -> None:
    write_clips([clip(4)], str(tmp_path / "new.parquet"))
    table = pq.read_table(tmp_path / "new.parquet")
    later = ["obstruction", "corruption", "scene_hashes", "scene_start", "frames", "known_speeds"]
    pq.write_table(table.drop_columns(later), tmp_path / "old.parquet")
    (found,) = open_clips(str(tmp_path / "old.parquet"), fsspec.filesystem("file"))
    (read,) = read_clips(str(tmp_path / "old.parquet"))
    expected = clip(
        4,
        obstruction=float("nan"),
        corruption=float("nan"),
        scene_hashes=np.zeros(0, np.uint64),
        scene_start=0,
    )
    for row in (found, read):
        same(row, expected)
        assert len(row) == 4 and row.known_speeds == 2
