"""Real disks that fill up and that turn read-only, mounted for the test; root only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from recording_footage import FakeClock, Footage, decoded_frames, live_packets

from catseye.capture import journal
from catseye.capture.journal import Removed
from catseye.capture.recording.options import RecordOptions
from catseye.capture.recording.salvaging import salvage

MakeFootage = Callable[..., Footage]
SIZE = (320, 256)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A memory disk of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder).returncode:
        pytest.skip("mounting a small disk takes root")
    yield folder
    run("umount", "-l", folder)


@pytest.fixture
def breaking_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None], Callable[[], None]]]:
    """A folder on a disk of its own; what makes the kernel set it read-only; what repairs and mounts it."""
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    folder.mkdir()
    image.touch()
    os.truncate(image, 16 << 20)
    if (
        os.geteuid() != 0
        or shutil.which("mkfs.ext4") is None
        or run("mkfs.ext4", "-q", image).returncode
        or run("mount", "-o", "loop,errors=remount-ro", image, folder).returncode
    ):
        pytest.skip("mounting a disk image takes root, ext4 and a loop device")
    device = Path(run("findmnt", "-no", "SOURCE", folder).stdout.strip()).name
    trigger = Path("/sys/fs/ext4") / device / "trigger_fs_error"

    def break_it() -> None:
        trigger.write_text("1")

    def repair() -> None:
        run("umount", folder)
        run("e2fsck", "-fy", image)
        assert run("mount", "-o", "loop", image, folder).returncode == 0

    yield folder, break_it, repair
    run("umount", "-l", folder)


def test_full_disk_is_recorded_on_by_deleting(footage: MakeFootage, small_disk: Path) -> None:
    folder = small_disk / "front"
    deleted = []

    def make_room() -> list[Path]:
        oldest = next(iter(journal.segments(journal.read(folder))), None)
        if oldest is None:
            return []
        (folder / oldest).unlink()
        journal.append(folder, Removed(file=oldest, at_utc=datetime.now(timezone.utc), reason="room"))
        deleted.append(folder / oldest)
        return [folder / oldest]

    made = footage(folder=folder, make_room=make_room, options=RecordOptions(segment_s=1))
    made.connect()
    made.take([packet for at in range(12) for packet in live_packets(50, size=SIZE, at_s=at * 2)])
    made.writer.finish()
    assert deleted and made.status.snapshot().last_error.startswith("the disk is full")
    left = journal.segments(made.entries)
    assert left and sorted(left) == sorted(path.name for path in folder.glob("*.mp4"))
    assert all(decoded_frames(folder / name) == line.packets for name, line in left.items())
    written = {line.file: line for line in made.segments}.values()
    assert sum(line.packets for line in written) + made.status.snapshot().dropped == 600
    newest = max(left.values(), key=lambda line: line.start_utc)
    assert newest.start_utc.timestamp() % 100 > 20  # it went on to the end


def test_disk_that_turns_read_only_keeps_what_was_synced(
    footage: MakeFootage,
    breaking_disk: tuple[Path, Callable[[], None], Callable[[], None]],
    fake_clock: FakeClock,
) -> None:
    disk, break_it, repair = breaking_disk
    made = footage(folder=disk / "front", options=RecordOptions(segment_s=2, fsync_s=0.001))
    made.connect()
    for packet in live_packets(100):
        fake_clock.go_on(0.04)
        made.take([packet])
    synced = 100 - made.writer._segment.unwritten  # type: ignore[union-attr]  # it is open
    break_it()
    for packet in live_packets(100, at_s=4):
        fake_clock.go_on(0.04)
        made.take([packet])
    made.take([None])
    assert "Read-only" in made.status.snapshot().last_error or "journal" in made.status.snapshot().last_error
    assert made.status.snapshot().dropped > 80
    made.writer.finish()
    repair()
    salvage(disk)
    assert sum(line.packets for line in made.segments) >= synced
    for line in made.segments:
        assert decoded_frames(made.folder / line.file) == line.packets
