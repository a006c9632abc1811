"""Sizes kept from look to look are those on the disk, and little is asked of the disk for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from catseye.capture.folder_sizes import AFRESH_EVERY_S, FolderSizes

OLD_NS = 1_700_000_000 * 10**9


def walked(root: Path) -> dict[str, int]:
    """Every file's size by its path below the root, as the disk has it."""
    return {str(p.relative_to(root)): p.lstat().st_size for p in root.rglob("*") if not p.is_dir()}


def read(sizes: FolderSizes, root: Path) -> dict[str, int]:
    return {
        str((folder / name).relative_to(root)): size
        for folder, files in sizes.read()
        for name, size in files.items()
    }


def settle(*folders: Path) -> None:
    """Let folders look as if nothing had changed in them for long."""
    for folder in folders:
        os.utime(folder, ns=(OLD_NS, OLD_NS))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the disk is asked for: names of folders that are listed and of files whose size is looked up."""
    told: list[str] = []

    def telling(real: Callable[[str], object]) -> Callable[[str], object]:
        return lambda path: (told.append(Path(path).name), real(path))[1]

    monkeypatch.setattr("os.lstat", telling(os.lstat))
    monkeypatch.setattr("os.listdir", telling(os.listdir))
    return told


@pytest.fixture
def sizes(tmp_path: Path) -> FolderSizes:
    return FolderSizes(tmp_path, is_final=lambda name: name.endswith(".mp4"))


def write(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def test_they_follow_whatever_happens_below_the_root(tmp_path: Path, sizes: FolderSizes) -> None:
    part = write(tmp_path / "car/front/2.part", 5)
    write(tmp_path / "car/front/1.mp4", 10)
    assert read(sizes, tmp_path) == walked(tmp_path) == {"car/front/1.mp4": 10, "car/front/2.part": 5}
    write(part, 7)
    write(tmp_path / "car/rear/1.mp4", 3)
    (tmp_path / "link").symlink_to(part)
    assert read(sizes, tmp_path) == walked(tmp_path)
    part.rename(part.with_suffix(".mp4"))
    (tmp_path / "car/front/1.mp4").unlink()
    assert read(sizes, tmp_path) == walked(tmp_path)
    (tmp_path / "car/rear/1.mp4").unlink()
    (tmp_path / "car/rear").rmdir()
    assert read(sizes, tmp_path) == walked(tmp_path) == {"car/front/2.mp4": 7, "link": len(str(part))}


def test_a_root_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert FolderSizes(tmp_path / "none", is_final=lambda name: True).read() == []


def test_where_nothing_changed_only_what_may_grow_is_asked_for(
    tmp_path: Path, sizes: FolderSizes, asked: list[str]
) -> None:
    front = write(tmp_path / "front/1.mp4", 10).parent
    journal = write(front / "journal", 5)
    settle(front, tmp_path)
    read(sizes, tmp_path)
    asked.clear()
    write(journal, 50)
    assert read(sizes, tmp_path) == {"front/1.mp4": 10, "front/journal": 50}
    assert asked == ["journal"]


def test_a_new_file_costs_one_listing_and_its_own_size(
    tmp_path: Path, sizes: FolderSizes, asked: list[str]
) -> None:
    front = write(tmp_path / "front/1.mp4", 10).parent
    settle(front, tmp_path)
    read(sizes, tmp_path)
    asked.clear()
    write(front / "2.mp4", 20)
    assert read(sizes, tmp_path) == {"front/1.mp4": 10, "front/2.mp4": 20}
    assert asked == ["front", "2.mp4"]


def test_a_change_within_a_tick_of_the_time_stamp_is_not_missed(tmp_path: Path, sizes: FolderSizes) -> None:
    write(tmp_path / "1.mp4", 10)
    stamp = time.time_ns()
    os.utime(tmp_path, ns=(stamp, stamp))
    read(sizes, tmp_path)
    write(tmp_path / "2.mp4", 20)
    os.utime(tmp_path, ns=(stamp, stamp))
    assert read(sizes, tmp_path) == walked(tmp_path)


def test_after_long_all_is_looked_at_again(
    tmp_path: Path, sizes: FolderSizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write(tmp_path / "1.mp4", 10)
    settle(tmp_path)
    read(sizes, tmp_path)
    write(film, 99)
    assert read(sizes, tmp_path) == {"1.mp4": 10}
    later_s = time.monotonic() + AFRESH_EVERY_S
    monkeypatch.setattr("time.monotonic", lambda: later_s)
    assert read(sizes, tmp_path) == {"1.mp4": 99}
