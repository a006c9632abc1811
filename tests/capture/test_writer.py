"""Writing video: key frames, colours, and files that are whole or absent."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catseye.capture.geometry import ColorMatrix, Planes, planes_to_rgb
from catseye.capture.sources import VideoFile
from catseye.capture.writer import VideoWriter

MS = Fraction(1, 1000)
RGB = np.full((48, 64, 3), (180, 60, 40), np.uint8)


def planes(level: int = 90, **meaning: Any) -> Planes:
    half = np.full((24, 32), 120, np.uint8)
    return Planes(np.full((48, 64), level, np.uint8), half, half + 30, **meaning)


def writer(path: Path, **options: Any) -> VideoWriter:
    return VideoWriter(path, width=64, height=48, time_base=MS, crf=1, **options)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_colours_come_back_and_the_file_states_what_they_mean(
    tmp_path: Path, matrix: ColorMatrix, full_range: bool
) -> None:
    path = tmp_path / "a.mp4"
    with writer(path, matrix=matrix, full_range=full_range) as out:
        out.write_rgb(RGB, pts=0)
    with VideoFile(path) as video:
        found = next(video.frames()).planes
    assert (found.matrix, found.full_range) == (matrix, full_range)
    assert np.abs(planes_to_rgb(found).astype(int) - RGB).max() <= 3


def test_planes_keep_their_levels(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with writer(path) as out:
        out.write_planes(planes(90), pts=0)
    with VideoFile(path) as video:
        found = next(video.frames()).planes
    assert (found.y == 90).all() and (found.u == 120).all() and (found.v == 150).all()


def test_key_frames_come_every_gop_and_where_asked_for(
    tmp_path: Path, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> None:
    path = write_video(tmp_path / "a.mp4", moving(), range(0, 1000, 40), gop=10)
    with VideoFile(path) as video:
        assert [frame.index for frame in video.frames() if frame.key] == [0, 10, 20]
    with writer(tmp_path / "b.mp4", gop=1000) as out:
        for i in range(20):
            out.write_planes(planes(40 + i), pts=40 * i, key=i in (7, 9))
    with VideoFile(tmp_path / "b.mp4") as video:
        assert [frame.index for frame in video.frames() if frame.key] == [0, 7, 9]


def test_a_cut_is_no_key_frame_by_itself(
    tmp_path: Path, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> None:
    scenes = [moving(seed) for seed in range(4)]
    path = tmp_path / "a.mp4"
    write_video(path, lambda i: scenes[i // 20](i), range(0, 3200, 40), gop=60, preset="veryfast")
    with VideoFile(path) as video:
        assert [frame.index for frame in video.frames() if frame.key] == [0, 60]


def test_one_thread_gives_the_same_bytes(
    tmp_path: Path, write_video: Callable[..., Path], moving: Callable[..., Any]
) -> None:
    a, b = (write_video(tmp_path / name, moving(), range(0, 2000, 40)) for name in ("a.mp4", "b.mp4"))
    assert a.read_bytes() == b.read_bytes()


def test_an_interrupted_file_never_takes_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"the old one")
    with pytest.raises(ZeroDivisionError), writer(path) as out:
        out.write_rgb(RGB, pts=0)
        raise ZeroDivisionError
    assert path.read_bytes() == b"the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 63}, "size 63x48"),
        ({"height": 0}, "size 64x0"),
        ({"gop": 0}, "gop 0"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoWriter(tmp_path / "a.mp4", **{"width": 64, "height": 48, "time_base": MS, **change})


@pytest.mark.parametrize("meaning", [{"matrix": "bt601"}, {"full_range": True}])
def test_planes_that_mean_something_else_are_refused(tmp_path: Path, meaning: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not fit a file of"), writer(tmp_path / "a.mp4") as out:
        out.write_planes(planes(**meaning), pts=0)
    assert list(tmp_path.iterdir()) == []
