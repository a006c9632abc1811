"""MCAP files, read back by the library's own readers."""

from __future__ import annotations

import io
import json
import logging
import resource
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from catseye.errors import InputError, MissingExtraError
from catseye.runtime.outputs import mcap_file
from catseye.runtime.outputs.mcap_file import McapFile, finish_left
from catseye.runtime.outputs.mcap_log import McapLog
from catseye.runtime.results import SCHEMA_FILE

from .sights import CAMERA, STARTED_NS, a_frame, a_result

pytest.importorskip("mcap", reason="the library for MCAP is not installed")

from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader, make_reader
from mcap.records import Chunk, Message
from mcap.stream_reader import StreamReader, breakup_chunk

TOPICS = ("picture", "annotations", "calibration", "scene", "record")


def log_of(path: Path, *, endless: bool = False, widest: int = 960, **limits: Any) -> McapLog:
    return McapLog(path, endless=endless, calibrations={"front": CAMERA}, widest=widest, **limits)


def read(path: Path) -> list[tuple[str, int, dict[str, Any]]]:
    """Topic, time and message, in the order of time."""
    with path.open("rb") as stream:
        return [
            (channel.topic, message.log_time, json.loads(message.data))
            for _, channel, message in make_reader(stream).iter_messages()
        ]


def frames_of(path: Path) -> list[int]:
    return [message["frame"] for topic, _, message in read(path) if topic.endswith("record")]


def test_a_file_has_every_frame_under_foxgloves_names(tmp_path: Path) -> None:
    path = tmp_path / "new" / "drive.mcap"
    with log_of(path) as log:
        for number in range(5):
            log.write(a_frame(number), a_result(number))
            log.write(a_frame(number), a_result(number, stream="clips/rear.mp4"))
        assert not path.exists()
    assert [child.name for child in path.parent.iterdir()] == ["drive.mcap"]
    found = read(path)
    counts = Counter(topic for topic, _, _ in found)
    assert counts == {
        **{f"/front/{name}": 1 if name == "calibration" else 5 for name in TOPICS},
        **{f"/clips/rear.mp4/{name}": 5 for name in ("picture", "annotations", "record")},
    }
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
    for topic, at_ns, message in found:
        if topic == "/front/record":
            validator.validate(message)
            assert message == a_result(message["frame"]).record() and at_ns == 40_000_000 * message["frame"]
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None and summary.statistics is not None
    assert summary.statistics.message_count == len(found) and summary.chunk_indexes
    assert {chunk.compression for chunk in summary.chunk_indexes} == {"zstd"}
    schemas = {
        channel.topic: summary.schemas[channel.schema_id].name for channel in summary.channels.values()
    }
    assert [schemas[f"/front/{name}"] for name in TOPICS] == [
        "foxglove.CompressedImage",
        "foxglove.ImageAnnotations",
        "foxglove.CameraCalibration",
        "foxglove.SceneUpdate",
        "catseye.Record",
    ]
    assert {channel.message_encoding for channel in summary.channels.values()} == {"json"}
    assert {schema.encoding for schema in summary.schemas.values()} == {"jsonschema"}


def test_without_pictures_boxes_are_in_the_sources_pixels(tmp_path: Path) -> None:
    with log_of(tmp_path / "drive.mcap", widest=0) as log:
        log.write(a_frame(0, width=160, height=96), a_result(0))
    found = {topic: message for topic, _, message in read(tmp_path / "drive.mcap")}
    assert "/front/picture" not in found
    assert found["/front/annotations"]["points"][0]["points"][2] == {"x": 160, "y": 80}
    assert found["/front/calibration"]["width"] == 320


def test_a_smaller_picture_has_its_boxes_and_its_calibration(tmp_path: Path) -> None:
    with log_of(tmp_path / "drive.mcap") as log:
        log.write(a_frame(0), a_result(0))
        log.write(a_frame(1, width=160, height=96), a_result(1))
        log.write(a_frame(2, width=160, height=96), a_result(2))
    found = read(tmp_path / "drive.mcap")
    annotations = [message for topic, _, message in found if topic == "/front/annotations"]
    assert [each["points"][0]["points"][2]["x"] for each in annotations] == [160, 80, 80]
    calibrations = [message for topic, _, message in found if topic == "/front/calibration"]
    assert [each["width"] for each in calibrations] == [320, 160]


def whole_chunks(data: bytes) -> list[tuple[int, int]]:
    """Where each chunk ends, and how many messages there are up to it."""
    ends: list[tuple[int, int]] = []
    messages, stream = 0, io.BytesIO(data)
    for record in StreamReader(stream, emit_chunks=True).records:
        if isinstance(record, Chunk):
            messages += sum(isinstance(each, Message) for each in breakup_chunk(record))
            ends.append((stream.tell(), messages))
    return ends


@pytest.fixture(scope="module")
def several_chunks(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A finished file of some chunks."""
    path = tmp_path_factory.mktemp("chunks") / "drive.mcap"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mcap_file, "_CHUNK_BYTES", 100_000)
        with log_of(path) as log:
            for number in range(20):
                log.write(a_frame(number, noise=True), a_result(number))
    data = path.read_bytes()
    assert len(whole_chunks(data)) >= 5
    return data


def test_cut_anywhere_it_is_read_up_to_the_last_whole_chunk(several_chunks: bytes, tmp_path: Path) -> None:
    ends = whole_chunks(several_chunks)
    cuts = sorted(
        {
            *range(9, len(several_chunks), len(several_chunks) // 12),
            *(end + d for end, _ in ends for d in (-1, 0, 1)),
        }
    )
    for cut in cuts:
        expected = max((count for end, count in ends if end <= cut), default=0)
        found = 0
        try:
            for _ in NonSeekingReader(io.BytesIO(several_chunks[:cut])).iter_messages(log_time_order=False):
                found += 1
        except Exception:  # the library says in its own ways that it ends too early
            pass
        assert found == expected, cut
        part = tmp_path / "drive-1.mcap.part"
        part.write_bytes(several_chunks[:cut])
        finish_left(part)
        assert not part.exists()
        path = tmp_path / "drive-1.mcap"
        assert len(read(path)) == expected if expected else not path.exists()
    assert expected == ends[-1][1]


@pytest.mark.parametrize("tail", [b"\0" * 5000, bytes(range(256)) * 40, b"\x06" + b"\xff" * 8])
def test_what_a_power_cut_left_in_place_of_the_tail_is_cut(
    several_chunks: bytes, tail: bytes, tmp_path: Path
) -> None:
    end, count = whole_chunks(several_chunks)[2]
    part = tmp_path / "drive-1.mcap.part"
    part.write_bytes(several_chunks[:end] + tail)
    finish_left(part)
    assert len(read(tmp_path / "drive-1.mcap")) == count


def test_a_damaged_chunk_ends_what_is_kept(several_chunks: bytes, tmp_path: Path) -> None:
    ends = whole_chunks(several_chunks)
    damaged = bytearray(several_chunks)
    damaged[ends[3][0] - 2000] ^= 0xFF
    part = tmp_path / "drive-1.mcap.part"
    part.write_bytes(damaged)
    finish_left(part)
    assert len(read(tmp_path / "drive-1.mcap")) == ends[2][1]


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"\x89MCAP0\r\n"])
def test_a_part_that_holds_nothing_goes(content: bytes, tmp_path: Path) -> None:
    part = tmp_path / "drive-1.mcap.part"
    part.write_bytes(content)
    finish_left(part)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_something_else_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    part = tmp_path / "drive-1.mcap.part"
    part.write_text("my notes")
    with log_of(tmp_path / "drive.mcap", endless=True) as log:
        log.write(a_frame(0), a_result(0))
    assert part.read_text() == "my notes" and "is no MCAP file" in caplog.text


def test_an_endless_run_closes_what_a_killed_one_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from catseye.runtime.outputs import mcap_file
from sights import a_frame, a_result
from catseye.runtime.outputs.mcap_log import McapLog
mcap_file._CHUNK_S = 0
with McapLog({str(tmp_path / "road [1].mcap")!r}, endless=True, calibrations={{}}, widest=960) as log:
    for number in range(10):
        log.write(a_frame(number), a_result(number, live=True))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    (part,) = tmp_path.iterdir()
    assert part.name.startswith("road [1]-20") and part.name.endswith(".mcap.part")
    with caplog.at_level(logging.INFO), log_of(tmp_path / "road [1].mcap", endless=True) as log:
        for number in range(10, 13):
            log.write(a_frame(number), a_result(number, live=True))
    assert "messages that a killed run had left" in caplog.text
    paths = sorted(tmp_path.iterdir(), key=frames_of)
    assert [frames_of(path) for path in paths] == [list(range(10)), [10, 11, 12]]
    assert [at_ns for topic, at_ns, _ in read(paths[0]) if topic == "/front/record"] == [
        STARTED_NS + 40_000_000 * number for number in range(10)
    ]


def test_a_part_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "drive.mcap"
    with log_of(path, endless=True) as first:
        first.write(a_frame(0), a_result(0))
        with log_of(path, endless=True) as second:
            second.write(a_frame(1), a_result(1))
        first.write(a_frame(2), a_result(2))
    assert sorted(frames_of(child) for child in tmp_path.iterdir()) == [[0, 2], [1]]
    with log_of(path), pytest.raises(InputError, match="written by another run"), log_of(path):
        pass


def test_an_endless_log_goes_on_in_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcap_file, "_CHUNK_BYTES", 100_000)
    with log_of(tmp_path / "drive.mcap", endless=True, most_bytes=300_000) as log:
        for number in range(20):
            log.write(a_frame(number, noise=True), a_result(number, live=True))
    by_size = sorted(frames_of(path) for path in tmp_path.iterdir())
    assert len(by_size) >= 3 and [number for numbers in by_size for number in numbers] == list(range(20))
    assert all("/front/calibration" in {topic for topic, _, _ in read(p)} for p in tmp_path.iterdir())
    with log_of(tmp_path / "slow.mcap", endless=True, longest_s=0.0) as log:
        for number in range(3):
            log.write(a_frame(number), a_result(number, live=True))
    assert len(list(tmp_path.glob("slow-*.mcap"))) == 4


def test_memory_does_not_grow_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcap_file, "_CHUNK_BYTES", 1000)
    with log_of(tmp_path / "drive.mcap", endless=True, widest=0, most_bytes=50_000) as log:

        def write(frames: range) -> int:
            for number in frames:
                log.write(a_frame(0), a_result(number, live=True))
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            before = write(range(100))
            assert write(range(100, 500)) - before < 100_000
        finally:
            tracemalloc.stop()


def test_work_that_fails_leaves_what_is_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError), log_of(tmp_path / "drive.mcap") as log:
        log.write(a_frame(0), a_result(0))
        raise RuntimeError
    (part,) = tmp_path.iterdir()
    assert part.name == "drive.mcap.part" and str(part) in caplog.text
    assert frames_of(part) == [0]


def test_a_disk_that_fills_up_keeps_the_whole_chunks(tmp_path: Path) -> None:
    path = tmp_path / "drive.mcap"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"), log_of(path) as log:
            try:
                for number in range(200):
                    log.write(a_frame(number, noise=True), a_result(number))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)  # there is room again
    finally:
        signal.signal(signal.SIGXFSZ, handler)
    (part,) = tmp_path.iterdir()
    assert not part.read_bytes().endswith(b"MCAP0\r\n"), "it looks as if it were whole"
    finish_left(part)
    assert frames_of(path) and frames_of(path) == list(range(len(frames_of(path))))


def test_a_chunk_is_closed_after_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(mcap_file, "monotonic", lambda: clock[0])
    file = McapFile(tmp_path / "drive.mcap")
    part = tmp_path / "drive.mcap.part"
    before = part.stat().st_size
    file.add("/a", "foxglove.SceneUpdate", b"{}", at_ns=1)
    assert part.stat().st_size == before
    clock[0] += 1.5
    file.add("/a", "foxglove.SceneUpdate", b"{}", at_ns=2)
    with part.open("rb") as stream, pytest.raises(McapError):
        for found, _ in enumerate(NonSeekingReader(stream).iter_messages(log_time_order=False), 1):
            assert found <= 2
    assert found == 2
    file.finish()


def test_without_the_library_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mcap.writer", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'catseye\[mcap\]'"):
        log_of(tmp_path / "drive.mcap")
    assert list(tmp_path.iterdir()) == []
