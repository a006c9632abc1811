"""Salvage: what a crash leaves becomes footage up to its last verified frame, and nothing is thrown away."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from recording_footage import Footage, decoded_frames, live_packets

from catseye.capture import journal
from catseye.capture.journal import Removed, SegmentClosed
from catseye.capture.recording.options import RecordOptions
from catseye.capture.recording.salvaging import Salvaged, salvage
from catseye.errors import InputError

MakeFootage = Callable[..., Footage]
CONTAINERS = ["mp4", "ts"]


@pytest.fixture
def killed(footage: MakeFootage) -> Callable[..., Path]:
    """The ``.part`` of a recorder that is gone after 60 packets."""

    def kill(container: str = "mp4") -> Path:
        made = footage(options=RecordOptions(container=container))  # type: ignore[arg-type]  # as a test names it
        made.connect()
        made.take(live_packets(60))
        segment = made.writer._segment
        assert segment is not None
        segment.close()  # as a kill lets go of a file
        (part,) = made.folder.glob("*.part")
        return part

    return kill


def lines(folder: Path) -> list[SegmentClosed]:
    return [entry for entry in journal.read(folder) if isinstance(entry, SegmentClosed)]


def check(folder: Path, salvaged: Salvaged) -> None:
    (line,) = lines(folder)
    content = salvaged.path.read_bytes()
    assert (line.file, line.salvaged) == (salvaged.path.name, True)
    assert (line.sha256, line.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert line.packets == salvaged.packets == decoded_frames(salvaged.path)


@pytest.mark.parametrize("container", CONTAINERS)
def test_what_was_written_before_a_kill_is_closed(killed: Callable[..., Path], container: str) -> None:
    part = killed(container)
    (salvaged,) = salvage(part.parent.parent)
    assert (salvaged.outcome, salvaged.unverified_bytes) == ("closed", 0)
    assert salvaged.packets >= 60 - 13  # half a second of 25 fps waits in memory
    check(part.parent, salvaged)
    assert not part.exists() and salvaged.path == part.with_suffix("")


@pytest.mark.parametrize("container", CONTAINERS)
def test_part_cut_anywhere_keeps_its_verified_prefix(
    killed: Callable[..., Path], container: str, tmp_path: Path
) -> None:
    part = killed(container)
    whole = part.read_bytes()
    draw = random.Random(1)
    for case in range(12):
        size = draw.randrange(1, len(whole))
        folder = tmp_path / f"case{case}"
        folder.mkdir()
        (folder / part.name).write_bytes(whole[:size])
        (salvaged,) = salvage(folder)
        if salvaged.outcome == "closed":
            check(folder, salvaged)
            assert salvaged.unverified_bytes + salvaged.path.stat().st_size == size
        else:
            assert not lines(folder) and salvaged.path.read_bytes() == whole[:size]


@pytest.mark.parametrize("hole", [b"\0" * 40, b"\xa5" * 40])
def test_wrong_bytes_end_the_footage_and_are_kept_aside(killed: Callable[..., Path], hole: bytes) -> None:
    part = killed()
    whole = part.read_bytes()
    at = len(whole) * 3 // 4
    part.write_bytes(whole[:at] + hole + whole[at + len(hole) :])
    (salvaged,) = salvage(part.parent)
    check(part.parent, salvaged)
    assert 0 < salvaged.packets < 50
    tail = salvaged.path.with_name(f"{salvaged.path.name}.tail.bad")
    damaged = whole[:at] + hole + whole[at + len(hole) :]
    assert salvaged.path.read_bytes() + tail.read_bytes() == damaged


def test_zeros_after_the_footage_are_cut_off(killed: Callable[..., Path]) -> None:
    part = killed()
    with part.open("ab") as stream:
        stream.write(bytes(5000))
    (salvaged,) = salvage(part.parent)
    check(part.parent, salvaged)
    assert salvaged.unverified_bytes == 5000 and not list(part.parent.glob("*.bad"))


def test_part_of_which_nothing_is_verified_is_set_aside_and_said(tmp_path: Path) -> None:
    part = tmp_path / "20260504T030201.500Z.mp4.part"
    part.write_bytes(b"\0" * 3000)
    (salvaged,) = salvage(tmp_path)
    assert (salvaged.outcome, salvaged.path.name) == ("set aside", "20260504T030201.500Z.mp4.bad")
    assert salvaged.path.read_bytes() == b"\0" * 3000 and not part.exists()
    (entry,) = journal.read(tmp_path)
    assert isinstance(entry, Removed) and "kept as 20260504T030201.500Z.mp4.bad" in entry.reason


def test_empty_part_goes_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "20260504T030201.500Z.mp4.part").touch()
    assert salvage(tmp_path) == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("container", CONTAINERS)
def test_segment_that_lost_its_line_is_adopted(footage: MakeFootage, container: str) -> None:
    made = footage(options=RecordOptions(container=container))  # type: ignore[arg-type]  # as a test names it
    made.connect()
    made.take(live_packets(30))
    made.writer.finish()
    (line,) = made.segments
    (made.folder / journal.JOURNAL_NAME).unlink()
    (salvaged,) = salvage(made.folder.parent)
    assert (salvaged.outcome, salvaged.packets) == ("adopted", 30)
    assert made.segments == [line.model_copy(update={"salvaged": True})]


def test_again_changes_nothing(killed: Callable[..., Path]) -> None:
    part = killed()
    salvage(part.parent)
    before = {path.name: path.read_bytes() for path in part.parent.iterdir()}
    assert salvage(part.parent) == []
    assert {path.name: path.read_bytes() for path in part.parent.iterdir()} == before


def test_what_is_being_recorded_is_left_alone(footage: MakeFootage) -> None:
    made = footage()
    made.connect()
    made.take(live_packets(40))
    assert salvage(made.folder) == []
    made.writer.finish()
    assert [line.packets for line in made.segments] == [40]


def test_other_files_are_left_alone(tmp_path: Path, killed: Callable[..., Path]) -> None:
    part = killed()
    for name in ("holiday.mp4", "20260504T030201.500Z.mp4", "notes.part"):
        (part.parent / name).write_bytes(b"something else")
    assert len(salvage(part.parent)) == 1
    for name in ("holiday.mp4", "20260504T030201.500Z.mp4", "notes.part"):
        assert (part.parent / name).read_bytes() == b"something else"


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        salvage(tmp_path / "nowhere")
