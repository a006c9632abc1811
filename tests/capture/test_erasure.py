"""Drives that are erased, and stay so."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from catseye.capture import erasure
from catseye.capture.dataset import Dataset, open_dataset
from catseye.capture.erasure import Erasures, erase_drive
from catseye.capture.ingestion import ingest
from catseye.errors import InputError
from catseye.files import sha256_of

BY_FOLDER = r"/(x|y|z)/"


def run(paths: list[Path], out: Path, **options: Any) -> Dataset:
    return ingest(paths, out, **{"width": 160, "height": 96, "jobs": 1, "drive_from": BY_FOLDER, **options})


@pytest.fixture
def footage(drive: Callable[..., Path], tmp_path: Path) -> Path:
    for seed, name in enumerate(("x/1.mp4", "x/2.mp4", "y/1.mp4", "z/1.mp4")):
        path = drive(f"footage/{name}", seed=seed)
        path.with_name(f"{path.stem}.telemetry.csv").write_text("time_s,speed_mps\n0,3\n1,4\n")
    (tmp_path / "footage/x/copy.mp4").write_bytes((tmp_path / "footage/x/1.mp4").read_bytes())
    return tmp_path / "footage"


def test_rows_shards_and_telemetry_are_gone_and_the_rest_is_as_it_was(footage: Path, tmp_path: Path) -> None:
    before = run([footage], tmp_path / "dataset")
    of_x = {clip.shard for clip in before.clips if clip.drive == "x" and clip.shard}
    sources = {sha256_of(footage / name) for name in ("x/1.mp4", "x/2.mp4")}
    after = erase_drive(tmp_path / "dataset", "x")
    assert [clip.drive for clip in after.clips] == ["y", "z"]
    shards = {f"shards/{path.name}" for path in (tmp_path / "dataset/shards").iterdir()}
    assert len(of_x) == 2 and shards == {clip.shard for clip in after.clips} and not shards & of_x
    samples = pq.read_table(tmp_path / "dataset/telemetry.parquet")["source_sha256"].to_pylist()
    assert samples and not sources & set(samples)
    assert (footage / "x/1.mp4").exists()
    (tombstone,) = Erasures.of(tmp_path / "dataset").drives
    assert tombstone.drive == "x" and set(tombstone.sources_sha256) == sources
    assert tombstone.erased_utc.tzinfo is not None
    # Nothing but the tombstone differs from a dataset that never had it.
    never = run([footage / "y", footage / "z"], tmp_path / "never")
    assert never.fingerprint == after.fingerprint


def test_what_was_erased_does_not_come_back(
    footage: Path, tmp_path: Path, drive: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    run([footage], tmp_path / "dataset")
    after = erase_drive(tmp_path / "dataset", "x")
    caplog.set_level(logging.WARNING)
    again = run([footage], tmp_path / "dataset")
    assert again.fingerprint == after.fingerprint
    for name in ("x/1.mp4", "x/2.mp4", "x/copy.mp4"):
        assert f"{name}: is of the drive x, erased on " in caplog.text
    # Under another name and drive the same bytes are still those that were erased.
    (tmp_path / "footage/y/moved.mp4").write_bytes((footage / "x/1.mp4").read_bytes())
    # And more of the same drive is of the same drive.
    drive("footage/x/3.mp4", seed=9)
    more = run([footage], tmp_path / "dataset")
    assert [Path(clip.source).name for clip in more.clips] == ["1.mp4", "1.mp4"]
    nothing = run([footage / "x"], tmp_path / "dataset")
    assert nothing.fingerprint == more.fingerprint


def test_a_drive_without_a_name_is_erased_by_its_content(
    drive: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = drive("a.mp4", seed=1), drive("b.mp4", seed=2)
    dataset = run([a, b], tmp_path / "dataset", drive_from=None)
    erase_drive(tmp_path / "dataset", dataset.clips[0].drive)
    a.rename(tmp_path / "c.mp4")
    found = run([tmp_path / "c.mp4", b], tmp_path / "dataset", drive_from=None)
    assert [Path(clip.source).name for clip in found.clips] == ["b.mp4"]


def test_a_kill_after_the_tombstone_does_not_bring_it_back(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run([footage], tmp_path / "dataset")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(erasure, "write_dataset", killed)
        with pytest.raises(KeyboardInterrupt):
            erase_drive(tmp_path / "dataset", "x")
    assert {clip.drive for clip in open_dataset(tmp_path / "dataset").clips} == {"x", "y", "z"}
    found = run([footage / "y"], tmp_path / "dataset")
    assert [clip.drive for clip in found.clips] == ["y", "z"]


def test_the_last_drive_leaves_an_empty_dataset(drive: Callable[..., Path], tmp_path: Path) -> None:
    (clip,) = run([drive()], tmp_path / "dataset", drive_from=None).clips
    assert erase_drive(tmp_path / "dataset", clip.drive).clips == ()


def test_what_cannot_be_erased(footage: Path, tmp_path: Path) -> None:
    run([footage], tmp_path / "dataset")
    with pytest.raises(InputError, match=r"has no drive 'w'; it has x, y, z"):
        erase_drive(tmp_path / "dataset", "w")
    with pytest.raises(InputError, match=r"is no dataset: it has no dataset\.json"):
        erase_drive(footage, "x")
    erase_drive(tmp_path / "dataset", "x")
    stones = tmp_path / "dataset/erased.json"
    stones.write_text(json.dumps({**json.loads(stones.read_text()), "schema_version": "2.0"}))
    with pytest.raises(InputError, match=r"erased\.json: has schema version 2\.0"):
        run([footage], tmp_path / "dataset")
