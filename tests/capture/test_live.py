"""Live sources: packets as they come, with times that mean something, and errors that say what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from catseye.capture import live
from catseye.capture.live import LiveSource, without_credentials
from catseye.errors import InputError

WriteVideo = Callable[..., Path]
Pictures = Callable[..., Any]


@pytest.fixture
def film(tmp_path: Path, write_video: WriteVideo, moving: Pictures) -> Path:
    """A second and a half at 25 fps."""
    return write_video(tmp_path / "film.mp4", moving(), range(0, 1500, 40), b_frames=2)


def test_file_is_played_at_the_speed_it_was_filmed_at(film: Path) -> None:
    with LiveSource(str(film)) as source:
        began = time.monotonic_ns()
        packets = list(source.packets())
    assert len(packets) == 38 and source.finite
    first_dts = packets[0].packet.dts
    for packet in packets:
        due_ns = int((packet.packet.dts - first_dts) * source.time_base * 10**9)
        assert packet.monotonic_ns - began >= due_ns
    assert {packet.clock for packet in packets} == {"arrival"}


def test_playing_ends_when_told(film: Path) -> None:
    stop = threading.Event()
    with LiveSource(str(film), stop=stop) as source:
        packets = source.packets()
        next(packets)
        stop.set()
        assert len(list(packets)) == 0


def test_frames_are_those_of_the_packets_with_their_times(
    film: Path, number_of: Callable[[Any], int]
) -> None:
    with LiveSource(str(film)) as source:
        arrived, frames = {}, []
        for packet in source.packets():
            arrived[packet.packet.pts] = packet
            frames += source.decode(packet)
        frames += source.decode(None)
    assert [number_of(frame.frame.planes.y[..., None].repeat(2, -1)) for frame in frames] == list(range(38))
    assert [frame.frame.index for frame in frames] == list(range(38))
    for frame in frames:
        packet = arrived[frame.frame.pts]
        assert (frame.utc_ns, frame.monotonic_ns) == (packet.utc_ns, packet.monotonic_ns)


def test_file_that_states_its_time_gives_it(film: Path, remux: Callable[..., Path], tmp_path: Path) -> None:
    stated = remux(film, tmp_path / "stated.mp4", metadata={"creation_time": "2026-05-04T03:02:01.000000Z"})
    with LiveSource(str(stated)) as source:
        packets = list(source.packets())
    start_ns = int(datetime(2026, 5, 4, 3, 2, 1, tzinfo=timezone.utc).timestamp()) * 10**9
    assert {packet.clock for packet in packets} == {"file"}
    first_pts = packets[0].packet.pts
    for packet in packets:
        since_ns = (packet.packet.pts - first_pts) * source.time_base * 10**9
        assert packet.utc_ns - start_ns == pytest.approx(float(since_ns), abs=1e3)


def test_raw_pictures_are_encoded_a_key_frame_a_second(tmp_path: Path, moving: Pictures) -> None:
    path, lumas = tmp_path / "raw.avi", []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(38):
            picture = av.VideoFrame.from_ndarray(moving()(number), format="rgb24").reformat(format="yuv420p")
            lumas.append(picture.to_ndarray()[:96])
            container.mux(stream.encode(picture))
    with LiveSource(str(path)) as source:
        packets = list(source.packets())
        assert (source.codec, source.stream) == ("h264", None)
    assert [packet.packet.is_keyframe for packet in packets] == [number in (0, 25) for number in range(38)]
    assert [packet.packet.pts * source.time_base for packet in packets] == [
        Fraction(number, 25) for number in range(38)
    ]
    with LiveSource(str(path)) as source:
        for frame, luma in zip(source.frames(), lumas, strict=True):
            assert np.array_equal(frame.frame.planes.y, luma)  # not encoded on its way to the decoder


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("/nowhere/film.mp4", "no such file"),
        ("/dev/video99", "cannot be opened"),
        ("rtsp://user:secret@127.0.0.1:9/camera", "cannot be opened"),
        ("http://127.0.0.1:9/camera", "cannot be opened"),
    ],
)
def test_source_that_is_not_there(address: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as caught:
        LiveSource(address)
    assert "secret" not in str(caught.value)


def test_file_without_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(InputError, match="has no video"):
        LiveSource(str(path))


def test_device_is_asked_for_what_it_compresses_first(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def open_device(name: str, **given: Any) -> Any:
        asked.append((given["format"], given["options"].get("input_format")))
        if asked[-1][1] == "h264":
            raise av.error.InvalidDataError(22, "no such format")
        return real_open(str(film))

    real_open = av.open
    device = tmp_path / "video0"
    device.touch()
    monkeypatch.setattr(av, "open", open_device)
    live._open_v4l2(str(device), (1.0, 1.0)).close()
    assert asked == [("v4l2", "h264"), ("v4l2", "mjpeg")]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:secret@camera/1", "rtsp://camera/1"),
        ("rtsp://camera/a@b", "rtsp://camera/a@b"),
        ("/footage/a@b.mp4", "/footage/a@b.mp4"),
    ],
)
def test_addresses_are_shown_without_credentials(address: str, shown: str) -> None:
    assert without_credentials(address) == shown


@pytest.fixture
def camera(film: Path, remux: Callable[..., Path], tmp_path: Path) -> Iterator[str]:
    """Address of a camera on HTTP that sends a second and a half of MPEG-TS with B-frames; then it ends.

    Below ``/silent`` it does not end, and sends nothing more.
    """
    content = remux(film, tmp_path / "film.ts").read_bytes()
    released = threading.Event()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if self.path == "/":
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()
            if self.path == "/silent":
                released.wait()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    released.set()
    server.shutdown()
    server.server_close()


def test_camera_on_http(camera: str, number_of: Callable[[Any], int]) -> None:
    with LiveSource(camera) as source:
        frames = list(source.frames())
    assert not source.finite
    assert [number_of(np.dstack([frame.frame.planes.y] * 2)) for frame in frames] == list(range(38))


def test_camera_that_falls_silent(camera: str) -> None:
    came = []
    source = LiveSource(f"{camera}silent", read_timeout_s=0.3)
    with source, pytest.raises(InputError, match=r"sent nothing for 0\.3 s; check the camera"):
        came.extend(source.packets())
    assert len(came) >= 36


@pytest.mark.parametrize(("off_s", "clock"), [(0.2, "rtcp"), (-7200, "arrival")])
def test_sender_reports_are_believed_unless_the_cameras_clock_was_never_set(
    camera: str, monkeypatch: pytest.MonkeyPatch, off_s: float, clock: str
) -> None:
    monkeypatch.setattr(live, "_reported_ns", lambda packet: time.time_ns() - round(off_s * 1e9))
    with LiveSource(camera) as source:
        packets = list(source.packets())
    assert {packet.clock for packet in packets} == {clock}
    assert abs(packets[0].utc_ns - time.time_ns()) < 60e9


def test_a_stream_can_be_copied_by_when_its_connection_is_closed(film: Path) -> None:
    """In a process whose freed memory is overwritten, since what is freed may look whole for long."""
    script = """
import io, sys
import av
from catseye.capture.live import LiveSource, stream_like

with LiveSource(sys.argv[1]) as source:
    packet = next(source.packets()).packet
    size = source.stream.codec_context.width, source.stream.codec_context.height
muxed = io.BytesIO()
with av.open(muxed, "w", format="mp4") as container:
    packet.stream = stream_like(container, source.stream)
    packet.stream.time_base = source.time_base
    container.mux(packet)
muxed.seek(0)
with av.open(muxed) as container:
    (picture,) = container.decode(video=0)
assert (picture.width, picture.height) == size
print(source.stream.codec_context.name)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(film)],
        env={**os.environ, "MALLOC_PERTURB_": "165"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "h264\n"), done.stderr


def test_reports_are_believed_unless_the_cameras_clock_was_never_set() -> None:
    minute = 60 * 10**9
    assert live.believed(10 * minute - 5, 10 * minute) == (10 * minute - 5, "rtcp")
    assert live.believed(8 * minute, 10 * minute) == (10 * minute, "arrival")
    assert live.believed(None, 10 * minute) == (10 * minute, "arrival")
