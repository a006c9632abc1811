"""What a user gets wrong gives one line that names it, a non-zero exit code, and loses nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Command


@pytest.fixture
def video(road_world: Path) -> Path:
    return sorted(road_world.glob("*.mp4"))[0]


@pytest.fixture
def text_video(tmp_path: Path) -> Path:
    path = tmp_path / "notes.mp4"
    path.write_text("this is no video\n")
    return path


@pytest.fixture
def truncated_video(tmp_path: Path, video: Path) -> Path:
    """Without its end, and so without the index that plain MP4 keeps there."""
    path = tmp_path / "cut.mp4"
    content = video.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_no_such_file(catseye: Command, tmp_path: Path, tiny_bundle: Path) -> None:
    for arguments in (
        ("ingest", tmp_path / "gone.mp4", "--out", tmp_path / "dataset"),
        ("run", tiny_bundle, tmp_path / "gone.mp4"),
        ("run", tmp_path / "gone.catseye", tmp_path / "gone.mp4"),
        ("verify", tmp_path / "gone.catseye"),
        ("bench", tmp_path / "gone.catseye"),
        ("demo", "--video", tmp_path / "gone.mp4", "--video", tmp_path / "b.mp4", "--labels", tmp_path / "x"),
    ):
        called = catseye(*arguments)
        assert called.code == 1
        assert "gone" in called.line and "no such file" in called.line


def test_text_file_named_mp4(catseye: Command, tmp_path: Path, text_video: Path, tiny_bundle: Path) -> None:
    for arguments in (
        ("ingest", text_video, "--out", tmp_path / "dataset"),
        ("run", tiny_bundle, text_video),
    ):
        called = catseye(*arguments)
        assert called.code == 1
        assert "notes.mp4: is not a readable video" in called.line


def test_truncated_video_alone(catseye: Command, tmp_path: Path, truncated_video: Path) -> None:
    called = catseye("ingest", truncated_video, "--out", tmp_path / "dataset")
    assert called.code == 1
    assert "cut.mp4" in called.line


def test_unreadable_files_beside_good_ones_become_rows(
    catseye: Command, tmp_path: Path, text_video: Path, truncated_video: Path, video: Path
) -> None:
    dataset = tmp_path / "dataset"
    called = catseye("ingest", text_video, truncated_video, video, "--out", dataset, "--jobs", "1", "--json")
    assert called.code == 0, called.err
    reasons = [row["kept or why not"] for row in json.loads(called.out)["clips"]]
    assert "kept" in reasons
    assert any("not a readable video" in reason for reason in reasons)


def test_empty_folder(catseye: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    called = catseye("ingest", tmp_path / "empty", "--out", tmp_path / "dataset")
    assert called.code == 1
    assert "empty: has no video in it" in called.line


def test_labels_for_images_that_are_not_there(catseye: Command, tmp_path: Path, road_world: Path) -> None:
    labels = tmp_path / "instances_coco.json"
    shutil.copy(road_world / "instances_coco.json", labels)
    (tmp_path / "images").mkdir()
    called = catseye("finetune", "--labels", labels, "--out", tmp_path / "run", "--steps", "1")
    assert called.code == 1
    assert "instances_coco.json" in called.line and ".jpg" in called.line


def test_changed_byte_in_a_bundle(catseye: Command, tmp_path: Path, tiny_bundle: Path, video: Path) -> None:
    content = bytearray(tiny_bundle.read_bytes())
    content[len(content) // 2] ^= 1
    changed = tmp_path / "changed.catseye"
    changed.write_bytes(content)
    for arguments in (
        ("verify", changed),
        ("run", changed, video),
        ("bench", changed),
        ("build", changed, "--ahead-of-time"),
    ):
        called = catseye(*arguments)
        assert called.code == 1
        assert "changed.catseye: was altered" in called.line


def test_dataset_of_a_newer_version(catseye: Command, tmp_path: Path, video: Path) -> None:
    dataset = tmp_path / "dataset"
    assert catseye("ingest", video, "--out", dataset, "--jobs", "1").code == 0
    document = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps({**document, "schema_version": "2.0"}))
    called = catseye("pretrain", dataset, "--out", tmp_path / "run")
    assert called.code == 1
    assert "dataset.json: has schema version 2.0, newer than 1." in called.line


def test_option_that_cannot_be(catseye: Command, tmp_path: Path, video: Path) -> None:
    assert catseye("synth", "--out", tmp_path / "world", "--clips", "0").code == 2
    assert catseye("demo", "--video", video, "--out", tmp_path).code == 2
    for arguments in (
        ("synth", "--out", tmp_path / "world", "--duration", "-1"),
        ("ingest", video, "--out", tmp_path / "dataset", "--stall-s", "-1"),
        ("pretrain", tmp_path, "--out", tmp_path / "run", "--crop", "256"),
        ("finetune", "--labels", tmp_path / "l.json", "--out", tmp_path / "run", "--crop", "100x64"),
    ):
        called = catseye(*arguments)
        assert called.code == 2
        assert str(arguments[-1]) in called.line


def test_full_disk_loses_nothing(
    catseye: Command, small_disk: Path, tiny_bundle: Path, video: Path, road_world: Path
) -> None:
    (small_disk / "kept.jsonl").write_text("{}\n")
    for arguments in (
        ("synth", "--out", small_disk / "world", "--clips", "1", "--jobs", "1", "--duration", "4"),
        ("ingest", road_world, "--out", small_disk / "dataset", "--jobs", "1"),
        ("run", tiny_bundle, video, "--video", small_disk / "tracked.mp4"),
    ):
        called = catseye(*arguments)
        assert called.code == 1
        assert "no space" in called.line
    assert (small_disk / "kept.jsonl").read_text() == "{}\n"
    assert not (small_disk / "tracked.mp4").exists()
