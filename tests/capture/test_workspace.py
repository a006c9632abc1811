"""A dataset's folder while it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catseye.capture import workspace
from catseye.capture.workspace import Hashes, locked
from catseye.files import sha256_of


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that have been read to hash them."""
    names: list[str] = []

    def counted(path: Path) -> str:
        names.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(workspace, "sha256_of", counted)
    return names


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, read: list[str]) -> None:
    path = tmp_path / "ä.mp4"
    path.write_bytes(b"one")
    with locked(tmp_path / "dataset"):
        first = Hashes(tmp_path / "dataset")
        assert first.of(path) == first.of(path) == sha256_of(path)
        # A kill here loses nothing: it is noted already.
        assert Hashes(tmp_path / "dataset").of(path) == sha256_of(path)
        assert read == ["ä.mp4"]
        stat = path.stat()
        path.write_bytes(b"two")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
        assert Hashes(tmp_path / "dataset").of(path) == sha256_of(path)
        assert read == ["ä.mp4", "ä.mp4"]


def test_another_file_under_the_name_is_read_though_size_and_time_agree(
    tmp_path: Path, read: list[str]
) -> None:
    path, other = tmp_path / "a.mp4", tmp_path / "b.mp4"
    path.write_bytes(b"one")
    other.write_bytes(b"two")
    stat = path.stat()
    with locked(tmp_path / "dataset"):
        Hashes(tmp_path / "dataset").of(path)
        other.replace(path)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert Hashes(tmp_path / "dataset").of(path) == sha256_of(path)


def test_a_line_cut_off_costs_one_file_and_saving_leaves_one_line_each(
    tmp_path: Path, read: list[str]
) -> None:
    paths = [tmp_path / name for name in ("b.mp4", "a.mp4")]
    for path in paths:
        path.write_bytes(path.name.encode())
    with locked(tmp_path / "dataset"):
        hashes = Hashes(tmp_path / "dataset")
        for path in paths:
            hashes.of(path)
        noted = tmp_path / "dataset/.work/hashes.jsonl"
        noted.write_bytes(noted.read_bytes()[:-10])
        again = Hashes(tmp_path / "dataset")
        assert [again.of(path) for path in paths] == [sha256_of(path) for path in paths]
        assert read == ["b.mp4", "a.mp4", "a.mp4"]
        again.save()
        assert [Path(line.split('"')[1]).name for line in noted.read_text().splitlines()] == [
            "a.mp4",
            "b.mp4",
        ]
