"""Every container, codec and way of storing a picture gives the same pictures at the same times."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from coded_footage import (
    AV1,
    CODECS,
    CONTAINERS,
    COUNT,
    FPS,
    HEIGHT,
    NOT_STORED,
    TURNS,
    WIDTH,
    begin_later,
    encode,
    interlaced,
    scene,
    turned,
)

from catseye.capture import sources
from catseye.capture.clips import ClipReader
from catseye.capture.dataset import Dataset
from catseye.capture.geometry import Image, planes_to_rgb
from catseye.capture.ingestion import ingest
from catseye.capture.sources import VideoFile


def read(path: Path) -> tuple[list[Fraction], list[Image]]:
    with VideoFile(path, threads=1) as video:
        frames = [(frame.pts * frame.time_base, planes_to_rgb(frame.planes)) for frame in video.frames()]
        assert video.corrupt_packets == 0
        assert {(rgb.shape[1], rgb.shape[0]) for _, rgb in frames} == {(video.info.width, video.info.height)}
    return [time for time, _ in frames], [rgb for _, rgb in frames]


def error(found: Image, expected: Image) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found.astype(int) - expected).mean())


def ingested(
    path: Path, tmp_path: Path, *, width: int = WIDTH, height: int = HEIGHT
) -> tuple[Dataset, Image]:
    """A dataset of one video that gives one clip, and that clip's pictures."""
    dataset = ingest([path], tmp_path / "dataset", width=width, height=height, jobs=1)
    (clip,) = dataset.clips
    assert clip.usable, clip.reason
    return dataset, ClipReader(dataset).read(clip, range(len(clip)))


@pytest.mark.parametrize(
    ("container", "codec"),
    [pair for pair in itertools.product(CONTAINERS, CODECS) if pair not in NOT_STORED],
)
def test_every_codec_in_every_container(tmp_path: Path, container: str, codec: str) -> None:
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    pictures = [scene(i) for i in range(COUNT)]
    path = encode(tmp_path / f"a.{container}", codec, pictures, pixel_format=pixel_format)
    dataset, found = ingested(path, tmp_path)
    (clip,) = dataset.clips
    times = [(int(t) - int(clip.pts[0])) * clip.time_base for t in clip.pts]
    exact = container in ("mp4", "mov", "avi", "ts")  # Matroska counts milliseconds
    assert times == [
        Fraction(i, FPS) if exact else Fraction(round(1000 * i / FPS), 1000) for i in range(COUNT)
    ]
    assert max(error(a, b) for a, b in zip(found, pictures, strict=True)) < 4
    # A neighbour would not pass for the frame itself.
    assert error(found[10], pictures[11]) > 1.5 * error(found[10], pictures[10])


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_frames_that_are_stored_in_another_order_than_shown_have_rising_times_in_avi(
    tmp_path: Path, codec: str
) -> None:
    """AVI says when to decode and not when to show."""
    pictures = [scene(n) for n in range(COUNT)]
    b_frames = {"libx264": {"bf": "2", "b_strategy": "0", "preset": "fast"}, "mpeg2video": {"bf": "2"}}
    path = encode(tmp_path / "b.avi", codec, pictures, options=b_frames[codec])
    with VideoFile(path) as video:
        frames = list(video.frames())
        assert video.corrupt_packets == 0
    step = Fraction(1, FPS) / frames[0].time_base
    assert [frame.pts - frames[0].pts for frame in frames] == [n * step for n in range(COUNT)]
    for frame, rgb in zip(frames, pictures, strict=True):
        assert np.abs(planes_to_rgb(frame.planes).astype(int) - rgb).mean() < 6


@pytest.mark.parametrize("codec", ["libx264", "libx265", AV1])
def test_ten_bits(tmp_path: Path, codec: str) -> None:
    pictures = [scene(i) for i in range(COUNT)]
    _, found = ingested(encode(tmp_path / "a.mkv", codec, pictures, pixel_format="yuv420p10le"), tmp_path)
    assert max(error(a, b) for a, b in zip(found, pictures, strict=True)) < 4


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_interlaced_pictures_are_made_whole_at_their_own_times(tmp_path: Path, codec: str) -> None:
    """Each field shows another moment; one of them, with the lines between filled in, is the frame."""
    moments = [np.repeat(scene(i)[..., 1:2], 3, axis=2) for i in range(COUNT + 1)]
    woven = [first.copy() for first in moments[:-1]]
    for picture, later in zip(woven, moments[1:], strict=True):
        picture[0::2] = np.roll(later, -10, axis=1)[0::2]  # PyAV encodes the lower field as the first
    # MPEG-2 knows fixed rates only.
    pts = np.cumsum(np.random.default_rng(0).choice([20, 40, 60], COUNT)).tolist()
    times_ms = None if codec == "mpeg2video" else pts

    plain = encode(tmp_path / "plain.mkv", codec, woven, pts=times_ms)
    path = encode(tmp_path / "a.mkv", codec, woven, pts=times_ms, prepare=interlaced)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    times, found = read(path)
    times_plain, combed = read(plain)
    assert times == times_plain and len(times) == COUNT
    if times_ms:
        assert times == [Fraction(t, 1000) for t in pts]
    for i in range(1, COUNT - 1):
        assert 2 * error(found[i], moments[i]) < error(combed[i], moments[i])


@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_pictures_are_turned_upright(tmp_path: Path, name: str, codec: str) -> None:
    matrix, turn = TURNS[name]
    pictures = [scene(i) for i in range(COUNT)]
    path = turned(encode(tmp_path / "a.mp4", codec, pictures), matrix)
    height, width = turn(pictures[0]).shape[:2]
    dataset, found = ingested(path, tmp_path, width=width, height=height)
    assert (dataset.clips[0].width, dataset.clips[0].height) == (width, height)
    assert max(error(a, turn(b)) for a, b in zip(found, pictures, strict=True)) < 4


@pytest.mark.parametrize("name", ["90", "180"])
def test_a_file_is_opened_once_to_be_decoded(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who asks for its size before the first picture has it opened for that."""
    path = turned(encode(tmp_path / "a.mp4", "libx264", [scene(i) for i in range(3)]), TURNS[name][0])
    opened: list[object] = []
    open_container = sources.open_container
    monkeypatch.setattr(
        sources, "open_container", lambda *a, **k: (opened.append(a), open_container(*a, **k))[1]
    )
    with VideoFile(path) as decoded:
        frames = list(decoded.frames())
    size = (decoded.info.width, decoded.info.height)
    assert len(opened) == 1 and size == (frames[0].planes.width, frames[0].planes.height)
    with VideoFile(path) as asked:
        assert asked.info == decoded.info and asked.info is asked.info
    assert len(opened) == 3


@pytest.mark.parametrize(("aspect", "width"), [(Fraction(4, 3), 256), (Fraction(3, 4), 144)])
def test_pixels_that_are_not_square_are_made_so(tmp_path: Path, aspect: Fraction, width: int) -> None:
    pictures = [scene(i) for i in range(COUNT)]
    path = encode(tmp_path / "a.mp4", "libx264", pictures, aspect=aspect)
    dataset, found = ingested(path, tmp_path, width=width)
    assert (dataset.clips[0].width, dataset.clips[0].height) == (width, HEIGHT)
    expected = [cv2.resize(rgb, (width, HEIGHT), interpolation=cv2.INTER_LINEAR) for rgb in pictures]
    assert max(error(a, b) for a, b in zip(found, expected, strict=True)) < 4


@pytest.mark.parametrize("aspect", [Fraction(1000, 1), Fraction(1009, 1000)])
def test_pixels_that_are_nearly_square_or_absurd_stay(tmp_path: Path, aspect: Fraction) -> None:
    path = encode(tmp_path / "a.mkv", "libx264", [scene(0)] * 3, aspect=aspect)
    with VideoFile(path) as video:
        assert (video.info.width, video.info.height) == (WIDTH, HEIGHT)


def test_a_turned_picture_with_wide_pixels_is_widened_first(tmp_path: Path) -> None:
    path = turned(
        encode(tmp_path / "a.mp4", "libx264", [scene(0)] * 3, aspect=Fraction(2, 1)), TURNS["90"][0]
    )
    _, (first, *_) = read(path)
    expected = np.rot90(cv2.resize(scene(0), (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), -1)
    assert error(first, expected) < 4


def test_an_edit_list_says_where_a_video_begins(tmp_path: Path) -> None:
    pictures = [scene(i) for i in range(60)]
    path = encode(tmp_path / "a.mp4", "libx264", pictures, pts=[40 * i for i in range(60)])
    with av.open(str(path)) as container:
        time_base = container.streams.video[0].time_base
        assert time_base is not None
    dataset, found = ingested(begin_later(path, int(Fraction(12, FPS) / time_base)), tmp_path)
    (clip,) = dataset.clips
    assert clip.pts[0] == 0 and len(clip) == 48
    assert max(error(a, b) for a, b in zip(found, pictures[12:], strict=True)) < 4


def ffprobe_pts(path: Path) -> list[int]:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed (Debian package ffmpeg)")
    done = subprocess.run(
        [
            "ffprobe",
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-show_entries",
            "frame=pts",
            "-of",
            "json",
            path,
        ],
        capture_output=True,
        check=True,
    )
    return [frame["pts"] for frame in json.loads(done.stdout)["frames"]]


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "mov"])
@pytest.mark.parametrize("later", [0, 500])
def test_times_are_those_of_ffprobe_to_the_tick(tmp_path: Path, container: str, later: int) -> None:
    if later and container not in ("mp4", "mov"):
        pytest.skip("only MP4 and QuickTime have edit lists")
    pts = [0, *np.cumsum(np.random.default_rng(1).choice([17, 33, 40, 90, 250], 59)).tolist()]
    pictures = [scene(i) for i in range(60)]
    path = encode(tmp_path / f"a.{container}", "libx264", pictures, pts=pts, options={"bf": "2"})
    if later:
        begin_later(path, later * 16)  # the muxer's 16,000 ticks a second
    dataset = ingest([path], tmp_path / "dataset", width=96, height=64, jobs=1)
    found = np.concatenate([clip.pts for clip in dataset.clips]).tolist()
    assert len(found) > 40 and found == ffprobe_pts(path)
