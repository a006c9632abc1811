"""Deletion in order: the oldest first, the locked last, what is being written never; all on record."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from catseye.capture import journal
from catseye.capture.journal import Gap, Removed
from catseye.capture.retention import (
    StoredSegment,
    deletion_order,
    footage_sizes,
    lock,
    make_room,
    segment_stem,
    to_delete,
    unlock,
)
from catseye.errors import InputError, UsageError

NOW = datetime(2026, 5, 4, tzinfo=timezone.utc)
SIZE = 100


@dataclass
class FakeDisk:
    """A disk of a capacity that the files below a root take, as ``shutil.disk_usage`` would see it."""

    root: Path
    capacity: int

    @property
    def free(self) -> int:
        videos = (path for path in self.root.rglob("*") if path.is_file())
        return self.capacity - sum(path.stat().st_size for path in videos if path.suffix != ".jsonl")

    def __call__(self, path: Path) -> FakeDisk:
        assert path == self.root
        return self


@pytest.fixture
def segment(tmp_path: Path) -> Callable[..., Path]:
    """A file of ``SIZE`` bytes, named by its minute, in a camera's folder that has a journal."""

    def make(minute: int, *, camera: str = "front", suffix: str = ".mp4") -> Path:
        folder = tmp_path / "car" / camera
        if not folder.exists():
            folder.mkdir(parents=True)
            journal.append(folder, Gap(from_utc=NOW, to_utc=NOW, reason="start"))
        path = folder / f"20260504T03{minute:02}00.000Z{suffix}"
        path.write_bytes(bytes(SIZE))
        return path

    return make


def removed(folder: Path) -> list[tuple[str, str]]:
    return [(entry.file, entry.reason) for entry in journal.read(folder) if isinstance(entry, Removed)]


def in_order(**folders: list[str]) -> list[tuple[str, tuple[str, ...], bool]]:
    """Camera, files and lock of each segment, in the order to delete them."""
    for names in folders.values():
        random.Random(0).shuffle(names)
    order = deletion_order((Path(folder), dict.fromkeys(names, SIZE)) for folder, names in folders.items())
    return [(segment.folder.name, segment.files, segment.locked) for segment in order]


def test_the_oldest_of_all_cameras_goes_first_and_the_locked_last() -> None:
    front = ["0.mp4", "0.mp4.lock", "3.mp4", "2.telemetry.csv", "2.mp4", "2.proxy.mp4", "journal.jsonl"]
    rear = ["4.mp4", "4.proxy.mp4.lock", "1.ts", "5.ts.part", "5.proxy.mp4"]
    assert in_order(front=front, rear=rear) == [
        ("rear", ("1.ts",), False),
        ("front", ("2.mp4", "2.proxy.mp4", "2.telemetry.csv"), False),
        ("front", ("3.mp4",), False),
        ("front", ("0.mp4", "0.mp4.lock"), True),
        ("rear", ("4.mp4", "4.proxy.mp4.lock"), True),
    ]


def test_what_was_set_aside_goes_before_footage_but_under_its_segments_lock() -> None:
    front = ["0.mp4", "1.mp4", "1.mp4.tail.bad", "2.mp4", "2.mp4.lock", "2.mp4.tail.bad"]
    rear = ["0.ts.bad", "3.mp4.bad", "3.mp4.lock", "4.ts.part", "4.ts.bad", "notes.bad"]
    assert in_order(front=front, rear=rear) == [
        ("rear", ("0.ts.bad",), False),
        ("front", ("1.mp4.tail.bad",), False),
        ("front", ("0.mp4",), False),
        ("front", ("1.mp4",), False),
        ("front", ("2.mp4.tail.bad",), True),
        ("rear", ("3.mp4.bad",), True),
        ("front", ("2.mp4", "2.mp4.lock"), True),
        ("rear", ("3.mp4.lock",), True),
    ]


def test_no_more_is_chosen_than_is_needed() -> None:
    ordered = [StoredSegment(Path("a"), stem, (f"{stem}.mp4",), 10, False) for stem in "123"]
    assert [s.stem for s in to_delete(iter(ordered), need_bytes=50)] == ["1", "2", "3"]
    assert [s.stem for s in to_delete(iter(ordered), need_bytes=11)] == ["1", "2"]
    assert [s.stem for s in to_delete(iter(ordered), need_bytes=10)] == ["1"]
    assert to_delete(iter(ordered), need_bytes=0) == []


def test_set_aside_files_count_and_are_deleted_on_record(
    tmp_path: Path, segment: Callable[..., Path]
) -> None:
    files = [segment(0), segment(1, suffix=".mp4.bad"), segment(2), segment(2, suffix=".mp4.tail.bad")]
    used = 4 * SIZE + (files[0].parent / "journal.jsonl").stat().st_size
    assert make_room(tmp_path, quota_bytes=used, min_free_bytes=0) == []
    assert make_room(tmp_path, quota_bytes=used - SIZE - 1, min_free_bytes=0) == [files[1], files[3]]
    assert removed(files[0].parent) == [(files[1].name, "quota"), (files[3].name, "quota")]
    assert files[0].exists() and files[2].exists()


def test_sizes_kept_between_calls_see_all_that_is_new(tmp_path: Path, segment: Callable[..., Path]) -> None:
    first, sizes = segment(0), footage_sizes(tmp_path)

    def make(quota_bytes: int) -> list[Path]:
        return make_room(tmp_path, quota_bytes=quota_bytes, min_free_bytes=0, sizes=sizes)

    used = SIZE + (first.parent / "journal.jsonl").stat().st_size
    assert make(used) == []
    second = segment(1)
    assert make(used + SIZE) == []
    marker = lock(first)
    assert make(used + SIZE - 1) == [second]
    assert first.exists() and marker.exists()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("20260504T030200.500Z.mp4", "20260504T030200.500Z"),
        ("20260504T030200.500Z.ts", "20260504T030200.500Z"),
        ("20260504T030200.500Z.proxy.mp4", "20260504T030200.500Z"),
        ("20260504T030200.500Z.telemetry.csv", "20260504T030200.500Z"),
        ("20260504T030200.500Z.mp4.lock", "20260504T030200.500Z"),
        ("20260504T030200.500Z.mp4.bad", "20260504T030200.500Z"),
        ("20260504T030200.500Z.proxy.mp4.tail.bad", "20260504T030200.500Z"),
        ("20260504T030200.500Z.mp4.part", None),
        ("notes.bad", None),
        ("journal.jsonl", None),
        ("calibration.json", None),
        (".a.12.part.mp4", None),
    ],
)
def test_companions_share_their_segments_stem(name: str, stem: str | None) -> None:
    assert segment_stem(name) == stem


def test_room_is_made_over_all_cameras_until_the_disk_has_its_floor(
    tmp_path: Path, segment: Callable[..., Path]
) -> None:
    files = [segment(minute, camera=camera) for minute, camera in enumerate(["front", "rear"] * 3)]
    disk = FakeDisk(tmp_path, capacity=8 * SIZE)
    assert make_room(tmp_path, quota_bytes=None, min_free_bytes=2 * SIZE, disk_usage=disk) == []
    deleted = make_room(tmp_path, quota_bytes=None, min_free_bytes=4 * SIZE + 1, disk_usage=disk)
    assert deleted == files[:3]
    assert [path for path in files if path.exists()] == files[3:]
    assert removed(files[0].parent) == [(files[0].name, "free space"), (files[2].name, "free space")]
    assert removed(files[1].parent) == [(files[1].name, "free space")]


def test_a_quota_counts_all_files_and_takes_companions_along(
    tmp_path: Path, segment: Callable[..., Path]
) -> None:
    old = [segment(0, suffix=suffix) for suffix in (".mp4", ".proxy.mp4", ".telemetry.csv")]
    new = [segment(1, suffix=suffix) for suffix in (".mp4", ".proxy.mp4")]
    used = 5 * SIZE + (old[0].parent / "journal.jsonl").stat().st_size
    assert make_room(tmp_path, quota_bytes=used, min_free_bytes=0) == []
    assert sorted(make_room(tmp_path, quota_bytes=used - 1, min_free_bytes=0)) == sorted(old)
    assert all(path.exists() for path in new)
    assert sorted(removed(old[0].parent)) == sorted((path.name, "quota") for path in old)


def test_what_is_being_written_stays_though_nothing_else_is_left(
    tmp_path: Path, segment: Callable[..., Path]
) -> None:
    closed = segment(0)
    being_written = [segment(1, suffix=".mp4.part"), segment(1, suffix=".proxy.mp4")]
    assert make_room(tmp_path, quota_bytes=0, min_free_bytes=0) == [closed]
    assert all(path.exists() for path in being_written)
    assert make_room(tmp_path, quota_bytes=0, min_free_bytes=0) == []


def test_locked_segments_go_last_and_unlocked_they_go_in_turn(
    tmp_path: Path, segment: Callable[..., Path]
) -> None:
    first, second, third = (segment(minute) for minute in range(3))
    marker = lock(first)
    lock(second)
    unlock(second)
    unlock(second)
    disk = FakeDisk(tmp_path, capacity=3 * SIZE)
    assert make_room(tmp_path, quota_bytes=None, min_free_bytes=2 * SIZE, disk_usage=disk) == [second, third]
    assert first.exists() and marker.exists()
    assert make_room(tmp_path, quota_bytes=None, min_free_bytes=3 * SIZE, disk_usage=disk) == [first, marker]
    assert [name for name, _ in removed(first.parent)] == [second.name, third.name, first.name]


def test_an_open_segment_is_locked_under_the_name_it_will_have(segment: Callable[..., Path]) -> None:
    part = segment(0, suffix=".mp4.part")
    assert lock(part).name == "20260504T030000.000Z.mp4.lock"
    with pytest.raises(InputError, match="no such segment"):
        lock(part.with_name("other.mp4"))


@pytest.mark.parametrize("name", ["drive.mp4", "journal.jsonl"])
def test_what_is_no_footage_gets_no_lock(tmp_path: Path, segment: Callable[..., Path], name: str) -> None:
    folder = segment(0).parent if name == "journal.jsonl" else tmp_path
    (folder / name).touch()
    with pytest.raises(InputError, match="no such segment"):
        lock(folder / name)
    assert not list(tmp_path.rglob("*.lock"))


def test_deletion_comes_before_the_journal_which_a_full_disk_may_refuse(
    tmp_path: Path,
    segment: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = [segment(minute) for minute in range(3)]

    def append(folder: Path, entry: journal.Entry) -> None:
        assert isinstance(entry, Removed) and not (folder / entry.file).exists()
        if entry.file == files[0].name:
            raise OSError(errno.ENOSPC, "No space left on device")
        noted.append(entry.file)

    noted: list[str] = []
    monkeypatch.setattr("catseye.capture.retention.append", append)
    disk = FakeDisk(tmp_path, capacity=3 * SIZE)
    assert make_room(tmp_path, quota_bytes=None, min_free_bytes=2 * SIZE, disk_usage=disk) == files[:2]
    assert noted == [files[1].name]
    assert "deleted, which the journal could not take (No space left on device)" in caplog.text


def test_a_file_that_cannot_be_deleted_is_passed_over_unless_none_can(
    tmp_path: Path, segment: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [segment(minute) for minute in range(2)]
    unlink = Path.unlink
    fixed = {files[0]}

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path in fixed:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert make_room(tmp_path, quota_bytes=0, min_free_bytes=0) == [files[1]]
    with pytest.raises(OSError, match="Read-only"):
        make_room(tmp_path, quota_bytes=0, min_free_bytes=0)


def test_files_outside_the_footage_are_never_touched(tmp_path: Path, segment: Callable[..., Path]) -> None:
    segment(0)
    other = tmp_path / "holiday.mp4"
    other.write_bytes(bytes(SIZE))
    make_room(tmp_path, quota_bytes=0, min_free_bytes=0)
    assert other.exists()


def test_a_limit_below_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="quota_bytes -1"):
        make_room(tmp_path, quota_bytes=-1, min_free_bytes=0)
