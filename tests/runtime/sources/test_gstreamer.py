"""Frames through GStreamer on software elements: of files against PyAV, and of a camera that misbehaves."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rtsp_camera import NEEDS, RtspCamera, is_installed

from catseye.capture.geometry import letterbox, planes_to_nv12, planes_to_rgb, resize_planes
from catseye.capture.sources import Frame, VideoFile
from catseye.capture.writer import VideoWriter
from catseye.errors import CatseyeError, InputError
from catseye.runtime.manifest import Manifest
from catseye.runtime.pipeline import track_streams
from catseye.runtime.results import FrameResult
from catseye.runtime.sources import gstreamer_library, opening
from catseye.runtime.sources.base import SourceFrame
from catseye.runtime.sources.camera import CameraSource
from catseye.runtime.sources.gstreamer import GStreamerSource
from catseye.runtime.sources.gstreamer_connection import Connection
from catseye.runtime.sources.gstreamer_description import describe
from catseye.runtime.sources.gstreamer_rtcp import reported_ns

TEST_PICTURES = (
    "gst:videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=96,height=64,framerate=50/1"
)
STANDINS = Path(__file__).with_name("nvidia_elements.py")


@pytest.fixture(scope="module", autouse=True)
def _needs_gstreamer() -> None:
    try:
        missing = gstreamer_library.missing_elements("software")
    except CatseyeError as error:
        pytest.skip(str(error))
    if missing:
        pytest.skip(f"GStreamer has no {missing}")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of 198x130, whose lines and chroma lines GStreamer pads to other lengths, at uneven times."""
    path = tmp_path_factory.mktemp("clip") / 'a "clip" ! one.mp4'
    y, x = np.mgrid[:130, :198]
    with VideoWriter(path, width=198, height=130, time_base=Fraction(1, 1000), crf=10) as writer:
        for k in range(20):
            picture = np.stack([x + 4 * k, 2 * y, np.where(x > 9 * k, 200, 60)], axis=2)
            writer.write_rgb(picture.astype(np.uint8), pts=40 * k + 10 * (k % 3))
    return path


def software(address: str | Path, *, open_timeout_s: float = 60.0, **options: Any) -> GStreamerSource:
    """It waits long: what GStreamer loads for its first pipeline takes its time on a busy machine."""
    return GStreamerSource(str(address), hardware="software", open_timeout_s=open_timeout_s, **options)


def test_a_file_gives_what_pyav_gives(clip: Path) -> None:
    source = software(clip)
    with VideoFile(clip) as file:
        for ours, theirs in zip(source.frames(), file.frames(), strict=True):
            assert (ours.width, ours.height) == (198, 130)
            assert ours.frame.index == theirs.index
            assert ours.frame.time_s - theirs.time_s == pytest.approx(0, abs=1e-6)
            a, b = ours.frame.planes, theirs.planes
            assert (a.matrix, a.full_range) == (b.matrix, b.full_range)
            for plane in ("y", "u", "v"):
                np.testing.assert_array_equal(getattr(a, plane), getattr(b, plane))
    assert not source.live and source.dropped == 0 and ours.clock == "file"


def test_frames_come_at_the_networks_size_and_say_the_sources(clip: Path) -> None:
    def fit(width: int, height: int) -> Any:
        return letterbox(width, height, 96, 64)

    frames = list(software(clip, fit=fit).frames())
    with VideoFile(clip) as file:
        whole = list(file.frames())
    box = fit(198, 130)
    for scaled, frame in zip(frames, whole, strict=True):
        assert (scaled.width, scaled.height) == (198, 130)
        planes = scaled.frame.planes
        assert (planes.width, planes.height) == (box.scaled_width, box.scaled_height)
        by_area = resize_planes(frame.planes, box)
        assert np.abs(planes.y.astype(int) - by_area.y).mean() < 3
        # Chroma of an NV12 network is what came, padded once and not taken apart.
        _, chroma = planes_to_nv12(
            planes,
            letterbox(planes.width, planes.height, box.scaled_width, box.scaled_height),
            matrix=planes.matrix,
            full_range=planes.full_range,
        )
        assert planes.uv is not None and np.shares_memory(chroma, planes.uv)


@pytest.mark.parametrize(
    ("caps", "matrix", "full_range"),
    [
        ("format=I420", "bt601", False),
        ("format=I420,colorimetry=bt709", "bt709", False),
        ("format=NV12,colorimetry=1:4:0:0", "bt601", True),
        ("format=RGB", None, False),
        ("format=YUY2,pixel-aspect-ratio=4/3", "bt601", False),
    ],
)
def test_colour_and_size_are_as_shown(caps: str, matrix: str | None, full_range: bool) -> None:
    source = software(f"gst:videotestsrc pattern=red ! video/x-raw,width=48,height=32,{caps}")
    frame = next(source.frames())
    source.close()
    planes = frame.frame.planes
    assert (frame.width, planes.width) == ((64, 64) if "4/3" in caps else (48, 48))
    assert planes.matrix == matrix or matrix is None
    assert planes.full_range == full_range
    if not full_range:  # in which videotestsrc does not draw
        np.testing.assert_allclose(planes_to_rgb(planes).reshape(-1, 3)[0], [255, 0, 0], atol=4)


def test_the_time_that_a_sender_report_states() -> None:
    """RFC 3550, 6.4.1: 4,004,393,290 s and 0x0739085f / 2^32 of a second after 1900."""
    report = bytes.fromhex("80c80006 a66264b9 eeae314a 0739085f 68c9c9d7 00000000 00000000")
    assert reported_ns(report) == (4_004_393_290 - 2_208_988_800) * 10**9 + 28_213_999
    assert reported_ns(report[:8]) is None
    assert reported_ns(b"\x80\xc9" + report[2:]) is None  # a receiver's


def test_whoever_is_slow_sees_the_newest_frame_and_the_account_balances() -> None:
    source = software(TEST_PICTURES)
    taken: list[SourceFrame] = []
    for frame in islice(source.frames(), 4):
        taken.append(frame)
        time.sleep(0.15)
    source.close()
    indices = [frame.frame.index for frame in taken]
    assert min(np.diff(indices)) > 1
    assert source.dropped >= indices[-1] + 1 - len(taken)
    assert {frame.clock for frame in taken} == {"arrival"}
    assert all(abs((frame.captured_utc_ns or 0) - time.time_ns()) < 10e9 for frame in taken)


@pytest.mark.parametrize("last", [5, None])
def test_every_frame_that_arrived_is_taken_or_dropped(last: int | None) -> None:
    """To the end of the stream, and where it is closed before."""
    address = TEST_PICTURES.replace("is-live=true", "is-live=true num-buffers=20")
    connection = Connection("test", describe(address, hardware="software"), live=True, fit=None)
    taken = 0
    while taken != last and connection.take(timeout_s=60) is not None:
        taken += 1
        time.sleep(0.05)
    connection.close()
    assert connection.dropped > 0
    assert connection.arrived == taken + connection.dropped == (20 if last is None else connection.arrived)


@pytest.mark.parametrize("address", ["clip", TEST_PICTURES])
def test_closing_ends_frames_and_leaves_nothing(address: str, clip: Path) -> None:
    """GLib keeps an idle thread or two for later, so that what is asked is that they do not become more."""

    def close_in_the_middle() -> None:
        source = software(clip if address == "clip" else address)
        frames = source.frames()
        next(frames)
        closer = threading.Timer(0.1, source.close)
        closer.start()
        if address == "clip":  # its streaming thread waits for room
            closer.join()
        assert sum(1 for _ in frames) < 20
        closer.join()
        source.close()
        assert not list(source.frames())

    close_in_the_middle()
    threads, descriptors = held("task"), held("fd")
    for _ in range(4):
        close_in_the_middle()
    assert held("task") < threads + 4
    assert held("fd") == descriptors


@pytest.mark.parametrize("address", ["rtsp://me:word@camera/main", "gst:rtspsrc location=rtsp://me:word@c/"])
def test_a_password_is_not_in_the_name(address: str) -> None:
    assert "word" not in software(address).name


def test_a_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none.mp4"
    path.write_bytes(b"no video" * 1000)
    for wrong in (path, tmp_path / "absent.mp4"):
        with pytest.raises(InputError, match=wrong.name):
            list(software(wrong).frames())


def test_an_error_in_a_streaming_thread_reaches_whoever_takes_frames(clip: Path) -> None:
    def fit(width: int, height: int) -> Any:
        raise ValueError(f"cannot fit {width}x{height}")

    with pytest.raises(ValueError, match="cannot fit 198x130"):
        list(software(clip, fit=fit).frames())


def test_a_connection_that_broke_is_freed_at_once() -> None:
    """Its pipeline holds descriptors, and attempts are many while a camera is away."""
    description = describe("rtsp://127.0.0.1:1/", hardware="software")

    def attempt() -> weakref.ref[Connection]:
        connection = Connection("test", description, live=True, fit=None)
        with pytest.raises(InputError, match="cannot be read"):
            connection.take(timeout_s=60)
        connection.close()
        return weakref.ref(connection)

    gc.disable()
    try:
        assert attempt()() is None
    finally:
        gc.enable()


def test_missing_bindings_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Any:
        raise ImportError("No module named 'gi'")

    monkeypatch.setattr(gstreamer_library, "_import_gi", absent)
    with pytest.raises(CatseyeError, match=r"apt-get install python3-gi") as told:
        gstreamer_library.load_gstreamer.__wrapped__()
    assert "\n" not in str(told.value)


def test_a_pipeline_that_is_none_is_told_in_one_line() -> None:
    with pytest.raises(CatseyeError, match="nosuchelement") as told:
        next(software("gst:nosuchelement").frames())
    assert "\n" not in str(told.value)


@pytest.fixture
def camera() -> Iterator[RtspCamera]:
    if not is_installed():
        pytest.skip(NEEDS)
    camera = RtspCamera()
    yield camera
    camera.stop()


def test_a_camera_that_reports_its_clock_drops_its_connection_and_changes_its_size(
    camera: RtspCamera,
) -> None:
    source = software(f"{camera.address}/camera", longest_backoff_s=0.1)
    assert source.live
    frames = source.frames()
    first = next(frames)
    assert (first.width, first.height, first.epoch, first.clock) == (320, 240, 0, "arrival")
    reported = first_that(frames, lambda frame: frame.clock == "rtcp")
    arrived_utc_s = time.time() - (time.perf_counter() - reported.arrived_s)
    assert (reported.captured_utc_ns or 0) / 1e9 == pytest.approx(arrived_utc_s, abs=0.5)

    camera.tell("resize 160 120")
    resized = first_that(frames, lambda frame: frame.width != 320)
    assert (resized.width, resized.height, resized.frame.planes.width) == (160, 120, 160)

    camera.tell("drop")
    again = first_that(frames, lambda frame: frame.epoch > 0)
    assert again.frame.index > resized.frame.index
    assert source.attempts == again.epoch + 1
    source.close()
    assert not list(frames)


@pytest.mark.parametrize(("hardware", "made"), [(True, GStreamerSource), (False, CameraSource)])
def test_a_cameras_stream_goes_to_the_decoder_that_is_there(
    hardware: bool, made: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "decodes_by_hardware", lambda: hardware)
    source = opening.SourceSpec("front", "rtsp://camera/main").open(transport="udp")
    assert type(source) is made and source.name == "front"


def test_the_pipelines_account_counts_what_the_source_left_out(manifest: Manifest, engine: Any) -> None:
    """The source is slowed down where it gives a frame, so that newer ones take the place of those there."""

    class Slow(GStreamerSource):
        def frames(self) -> Iterator[SourceFrame]:
            for frame in super().frames():
                yield frame
                time.sleep(0.1)

    source = Slow(TEST_PICTURES, hardware="software")
    seen: list[int] = []

    def note(frame: Frame, _result: FrameResult) -> None:
        seen.append(frame.index)

    (summary,) = track_streams(engine, manifest, [source], threshold=0.4, sinks=[note], limit=4)
    assert source.dropped > 4
    assert summary.dropped >= source.dropped
    assert summary.frames_in == summary.processed + summary.dropped >= seen[-1] + 1


def test_a_jetsons_pipelines_link_and_run_on_stand_ins_for_its_elements(clip: Path) -> None:
    addresses = ["csi://0", str(clip), TEST_PICTURES]
    done = subprocess.run(
        [sys.executable, str(STANDINS), *addresses], capture_output=True, text=True, timeout=60, check=False
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(addresses), done.stderr
    assert [line["sizes"] for line in told] == [
        [[640, 360, 96, 54]] * 3,
        [[198, 130, 96, 64]] * 3,
        [[96, 64, 96, 64]] * 3,
    ]
    interpolations = {"Nearest", "Bilinear", "5-Tap", "10-Tap", "Smart", "Nicest"}
    assert {line["interpolation"] for line in told} <= interpolations - {"Nearest"}


def first_that(frames: Iterator[SourceFrame], holds: Callable[[SourceFrame], bool]) -> SourceFrame:
    """The first such frame of the next 500."""
    return next(filter(holds, islice(frames, 500)))


def held(what: str) -> int:
    """Threads (``task``) or descriptors (``fd``) of this process."""
    return sum(1 for _ in Path("/proc/self", what).iterdir())
