"""Reading video: exact times, every kind of file, and what is none."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from catseye.capture.geometry import Image, planes_to_rgb
from catseye.capture.sources import VideoFile, find_videos, to_frame
from catseye.errors import InputError

UNEVEN_MS = [0, 33, 67, 100, 300, 301, 1000, 1040]


def read(path: Path) -> tuple[list[Fraction], list[Image]]:
    with VideoFile(path) as video:
        frames = list(video.frames())
        assert [frame.index for frame in frames] == list(range(len(frames)))
        return (
            [frame.pts * frame.time_base for frame in frames],
            [planes_to_rgb(frame.planes) for frame in frames],
        )


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "2026-01-02T03:04:05Z.mp4"])
@pytest.mark.parametrize("start", [0, 7000])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_times_are_exact_and_in_order(
    tmp_path: Path,
    write_video: Callable[..., Path],
    moving: Callable[..., Any],
    number_of: Callable[[Image], int],
    name: str,
    start: int,
    b_frames: int,
) -> None:
    path = write_video(tmp_path / name, moving(), [start + t for t in UNEVEN_MS], b_frames=b_frames)
    times, pictures = read(path)
    assert times == [Fraction(start + t, 1000) for t in UNEVEN_MS]
    assert [number_of(picture) for picture in pictures] == list(range(len(UNEVEN_MS)))


def test_a_relative_name_with_a_colon_is_a_file(
    tmp_path: Path, drive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    drive("12:30.mp4")
    monkeypatch.chdir(tmp_path)
    with VideoFile("12:30.mp4") as video:
        assert next(video.frames()).pts == 0


def test_what_the_container_says(drive: Callable[..., Path]) -> None:
    with VideoFile(drive()) as video:
        info = video.info
    assert (info.codec, info.width, info.height, info.start_pts) == ("h264", 160, 96, 0)
    assert info.duration_s == pytest.approx(3.0, abs=0.05)
    assert info.created is None


def test_the_time_of_recording_is_read_as_utc(
    tmp_path: Path, drive: Callable[..., Path], remux: Callable[..., Path]
) -> None:
    stated = {"creation_time": "2026-05-04T03:02:01.000000Z"}
    path = remux(drive(), tmp_path / "stated.mp4", metadata=stated)
    with VideoFile(path) as video:
        assert video.info.created is not None
        assert video.info.created.isoformat() == "2026-05-04T03:02:01+00:00"


def test_key_frames_are_told(drive: Callable[..., Path]) -> None:
    with VideoFile(drive()) as video:
        assert [frame.index for frame in video.frames() if frame.key] == [0, 25, 50]


def test_a_picture_is_freed_with_its_frame(drive: Callable[..., Path]) -> None:
    """Not when the garbage is collected next, tens of pictures later."""

    path = drive()
    gc.collect()
    gc.disable()
    try:
        before = {id(thing) for thing in gc.get_objects()}
        with VideoFile(path) as file:
            deque(file.frames(), maxlen=0)
            size = (file.info.width, file.info.height)
        # Other tests' threads may still be at work, on pictures of other sizes.
        alive = [
            thing
            for thing in gc.get_objects()
            if type(thing) is VideoFrame  # asking some things for their class warns
            and id(thing) not in before
            and (thing.width, thing.height) == size
        ]
        assert len(alive) <= 1  # the decoder keeps one
    finally:
        gc.enable()


def test_a_damaged_packet_is_counted_and_the_rest_is_read(drive: Callable[..., Path]) -> None:
    path = drive()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    with VideoFile(path) as video:
        count = sum(1 for _ in video.frames())
        assert video.corrupt_packets >= 1
        assert 60 <= count < 75


def test_a_packet_cut_short_gives_no_half_picture(
    tmp_path: Path, drive: Callable[..., Path], remux: Callable[..., Path]
) -> None:
    _, whole = read(drive("a.mkv"))
    content = (tmp_path / "a.mkv").read_bytes()
    for share in (0.35, 0.5, 0.65, 0.8):
        (tmp_path / "cut.mkv").write_bytes(content[: int(len(content) * share)])
        _, found = read(tmp_path / "cut.mkv")
        assert len(found) > 10
        np.testing.assert_array_equal(found, whole[: len(found)])
    # With its index in front the file opens without its end.
    front = remux(tmp_path / "a.mkv", tmp_path / "front.mp4", movflags="faststart").read_bytes()
    for tail in (300, 1000, 1700):
        (tmp_path / "cut.mp4").write_bytes(front[:-tail])
        _, found = read(tmp_path / "cut.mp4")
        np.testing.assert_array_equal(found, whole[: len(found)])


def test_no_videos(tmp_path: Path, drive: Callable[..., Path]) -> None:
    (tmp_path / "text.mp4").write_text("this is no video\n" * 50)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "cut.mp4").write_bytes(drive("whole.mp4").read_bytes()[:5000])
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    for name in ("text.mp4", "empty.mp4", "cut.mp4", "list.mp4"):
        with pytest.raises(InputError, match=rf"{name}: is not a readable video \(.+\); it may be cut off"):
            VideoFile(tmp_path / name)
    with pytest.raises(InputError, match=r"none\.mp4: no such file"):
        VideoFile(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="is a folder"):
        VideoFile(tmp_path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.rate = 48_000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="has no video stream"):
        VideoFile(path)


def test_folders_are_searched_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b/2.MKV", "b/1.mp4", "a.ts", "notes.txt", "b/.half.1234.part.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_videos(tmp_path) == [tmp_path / name for name in ("a.ts", "b/1.mp4", "b/2.MKV")]
    assert find_videos(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"has no video in it; give a folder with files of \.avi, \.m4v"):
        find_videos(tmp_path / "none")
    with pytest.raises(InputError, match="no such file or folder"):
        find_videos(tmp_path / "gone")


@pytest.mark.parametrize(
    ("pixel_format", "color_range", "expected"),
    [
        ("yuv420p", 1, False),
        ("yuvj420p", 0, True),
        ("yuv422p", 2, True),
        ("yuvj422p", 0, True),
        ("yuv444p", 1, False),
        ("yuv422p10le", 1, False),
        ("nv12", 1, False),
    ],
)
def test_levels_survive_other_pixel_formats(pixel_format: str, color_range: int, expected: bool) -> None:
    ten_bits = pixel_format.endswith("10le")
    y, u, v = (200, 90, 160)
    picture = VideoFrame(65, 47, pixel_format)
    levels = ((y,), (u, v)) if pixel_format == "nv12" else ((y,), (u,), (v,))
    for plane, level in zip(picture.planes, levels, strict=True):
        values = np.array(level, np.uint16 if ten_bits else np.uint8) * (4 if ten_bits else 1)
        plane.update(
            np.resize(values.astype("<u2" if ten_bits else "u1"), plane.buffer_size // (1 + ten_bits))
        )
    picture.pts, picture.color_range, picture.colorspace = 5, color_range, 1
    planes = to_frame(picture, index=0, time_base=Fraction(1, 25)).planes
    assert planes.y.shape == (47, 65) and planes.u.shape == planes.v.shape == (24, 33)
    assert (planes.matrix, planes.full_range) == ("bt709", expected)
    for plane, level in ((planes.y, y), (planes.u, u), (planes.v, v)):
        assert np.abs(plane[4:-4, 4:-4].astype(int) - level).max() <= 1


@pytest.mark.parametrize("pixel_format", ["rgb24", "gbrp", "bgra"])
def test_pictures_without_chroma_planes_keep_their_colour(pixel_format: str) -> None:
    rgb = np.full((48, 64, 3), (200, 50, 30), np.uint8)
    picture = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixel_format)
    picture.pts = 0
    planes = to_frame(picture, index=0, time_base=Fraction(1, 25)).planes
    assert np.abs(planes_to_rgb(planes).astype(int) - rgb).max() <= 3


@pytest.mark.parametrize(
    ("height", "stated", "matrix"),
    [(480, 2, "bt601"), (720, 2, "bt709"), (720, 6, "bt601"), (480, 1, "bt709")],
)
def test_the_colour_matrix_is_the_stated_one_or_that_of_the_size(
    height: int, stated: int, matrix: str
) -> None:
    picture = VideoFrame(64, height, "yuv420p")
    picture.pts, picture.colorspace = 0, stated
    assert to_frame(picture, index=0, time_base=Fraction(1, 25)).planes.matrix == matrix


def test_a_file_that_gives_no_frame_for_too_long_ends_there(
    drive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 2))  # two seconds pass between any two looks at it
    monkeypatch.setattr("catseye.capture.sources.monotonic", lambda: float(next(clock)))
    with VideoFile(drive(), threads=1, stall_s=3) as video:
        assert len(list(video.frames())) == 75 and video.stalled == ""
    with VideoFile(drive(), threads=1, stall_s=1) as video:
        assert list(video.frames()) == [] and video.stalled == "no frame came for 1 s"


def test_a_picture_too_large_to_be_true_is_refused(
    drive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catseye.capture.sources.MAX_PIXELS", 159 * 96)
    with pytest.raises(InputError, match=r"states pictures of 160x96, more than 15,264 pixels"):
        VideoFile(drive())


def test_real_footage_with_sound(shared_data: Path) -> None:
    with VideoFile(shared_data / "video" / "highway_white_right.mp4") as video:
        frames = list(video.frames())
    assert len(frames) == 221 and video.corrupt_packets == 0
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(i, 25) for i in range(221)]
