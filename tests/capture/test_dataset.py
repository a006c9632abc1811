"""Opening a dataset, wherever it lies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from catseye.capture.clips import ClipReader
from catseye.capture.dataset import (
    ClipOptions,
    Dataset,
    fingerprint,
    open_dataset,
    read_telemetry_table,
    write_dataset,
)
from catseye.capture.ingestion import ingest
from catseye.capture.telemetry import Telemetry
from catseye.errors import InputError


@pytest.fixture
def dataset(drive: Callable[..., Path], tmp_path: Path) -> Dataset:
    path = drive(pts=[*range(0, 3000, 40), *range(9000, 9200, 40)])
    path.with_name("drive.telemetry.csv").write_text("time_s,speed_mps\n0,3\n1,4\n")
    return ingest([path], tmp_path / "dataset", width=160, height=96, jobs=1)


def copied_to_memory(dataset: Dataset, name: str) -> str:
    filesystem = fsspec.filesystem("memory")
    filesystem.put(f"{dataset.url}/", f"/{name}", recursive=True)
    return f"memory://{name}"


def test_what_is_written_is_what_opens(dataset: Dataset) -> None:
    info = open_dataset(f"{dataset.url}/").info
    assert info == dataset.info and info.schema_version == "1.2"
    assert (info.width, info.height, info.clips, info.usable_clips, info.sources, info.drives) == (
        160, 96, 2, 1, 1, 1,
    )  # fmt: skip
    assert info.hours * 3600 == pytest.approx(3.2) and info.usable_hours * 3600 == pytest.approx(3.0)
    assert dataset.fingerprint == info.fingerprint and info.created_by.startswith("catseye ")


def test_rows_are_selected_by_split_and_use(dataset: Dataset) -> None:
    good, short = dataset.clips
    assert dataset.select() == dataset.select(split="train") == (good,)
    assert dataset.select(usable=False) == (short,) and dataset.select(usable=None) == (good, short)
    assert dataset.select(split="test", usable=None) == ()


def test_telemetry_is_kept_as_it_was_given(dataset: Dataset) -> None:
    (samples,) = read_telemetry_table(Path(dataset.url)).values()
    np.testing.assert_array_equal(samples.time_s, [0, 1])
    np.testing.assert_array_equal(samples.speed_mps, [3, 4])
    table = pq.read_table(Path(dataset.url) / "telemetry.parquet")
    assert table["source_sha256"].to_pylist() == [dataset.clips[0].source_sha256] * 2


def test_telemetry_keeps_its_place_and_tables_without_one_load(dataset: Dataset, tmp_path: Path) -> None:
    placed = Telemetry(
        np.array([0.0, 1.0]),
        np.array([3, 4], dtype=np.float32),
        np.array([48.5, np.nan]),
        np.array([11.0, 12.0]),
    )
    plain = Telemetry(np.array([5.0]), np.array([6], dtype=np.float32))
    write_dataset(tmp_path, dataset.clips, {"b": placed, "a": plain}, ClipOptions(**dict(dataset.info)))
    found = read_telemetry_table(tmp_path)
    assert set(found) == {"a", "b"} and np.isnan(found["a"].latitude_deg).all()  # type: ignore[arg-type]  # not None
    for name in ("time_s", "speed_mps", "latitude_deg", "longitude_deg"):
        np.testing.assert_array_equal(getattr(found["b"], name), getattr(placed, name))
    assert found["b"].speed_mps.dtype == np.float32 and found["b"].latitude_deg.dtype == np.float64  # type: ignore[union-attr]  # not None

    table = pq.read_table(tmp_path / "telemetry.parquet")
    pq.write_table(table.drop(["latitude_deg", "longitude_deg"]), tmp_path / "telemetry.parquet")
    assert read_telemetry_table(tmp_path)["b"].latitude_deg is None
    np.testing.assert_array_equal(read_telemetry_table(tmp_path)["a"].speed_mps, [6])


def test_any_address_serves(dataset: Dataset, tmp_path: Path) -> None:
    remote = open_dataset(copied_to_memory(dataset, "any-address"))
    assert remote.info == dataset.info and remote.url == "memory://any-address"
    cache = tmp_path / "cache"
    frames = [3, 70, 20]
    found = ClipReader(remote, cache=cache).read(remote.clips[0], frames)
    np.testing.assert_array_equal(found, ClipReader(dataset).read(dataset.clips[0], frames))
    assert [path.name for path in (cache / "shards").iterdir()] == [Path(remote.clips[0].shard).name]


def test_a_fetched_shard_is_not_fetched_again(dataset: Dataset, tmp_path: Path) -> None:
    remote = open_dataset(copied_to_memory(dataset, "fetched-once"))
    ClipReader(remote, cache=tmp_path / "cache").read(remote.clips[0], [0])
    fsspec.filesystem("memory").rm("/fetched-once", recursive=True)
    ClipReader(remote, cache=tmp_path / "cache").read(remote.clips[0], [5])


def edit(dataset: Dataset, **change: Any) -> None:
    path = Path(dataset.url) / "dataset.json"
    document = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not ...}))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"schema_version": "2.0"},
            r"dataset\.json: has schema version 2\.0, newer than 1\.2.*upgrade catseye",
        ),
        ({"schema_version": ...}, "'schema_version' is None"),
        ({"width": ...}, "field 'width'"),
        ({"height": 97}, "field 'height'"),
        (
            {"fingerprint": "00"},
            r"clips\.parquet: does not belong to dataset\.json beside it; run the ingest",
        ),
    ],
)
def test_a_description_that_does_not_fit(dataset: Dataset, change: dict[str, Any], fault: str) -> None:
    edit(dataset, **change)
    with pytest.raises(InputError, match=fault):
        open_dataset(dataset.url)


def test_a_newer_minor_version_opens(dataset: Dataset) -> None:
    edit(dataset, schema_version="1.9", something_later=[1])
    assert open_dataset(dataset.url).fingerprint == dataset.fingerprint


def test_damaged_and_missing_tables(dataset: Dataset) -> None:
    rows = Path(dataset.url) / "clips.parquet"
    rows.write_bytes(rows.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"clips\.parquet: is not the dataset's table of clips"):
        open_dataset(dataset.url)
    rows.unlink()
    with pytest.raises(InputError, match=r"clips\.parquet: is not the dataset's table"):
        open_dataset(dataset.url)
    shutil.rmtree(dataset.url)
    with pytest.raises(
        InputError, match=r"is no dataset: it has no dataset\.json; make it with: catseye ingest"
    ):
        open_dataset(dataset.url)


@pytest.mark.parametrize("address", ["nowhere://x", "memory://absent", "/dev/null"])
def test_addresses_without_a_dataset(address: str) -> None:
    with pytest.raises(InputError, match=f"^{address}: "):
        open_dataset(address)


def test_the_fingerprint_is_of_what_training_sees(dataset: Dataset) -> None:
    first, second = dataset.clips
    assert fingerprint((second, first), dataset.info) == dataset.fingerprint
    assert fingerprint((first,), dataset.info) != dataset.fingerprint
    wider = dataset.info.model_copy(update={"width": 320})
    assert fingerprint(dataset.clips, wider) != dataset.fingerprint
