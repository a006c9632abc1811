"""Frames for calibration: various, the same by seed, from videos, folders and both."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from catseye.capture.writer import VideoWriter
from catseye.errors import InputError, UsageError
from catseye.export.calibration_frames import calibration_frames, farthest_first
from catseye.picture_files import write_rgb

SIZE = {"width": 96, "height": 64}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dull video of 40 nearly equal dark frames and two bright ones, and three pictures beside it."""
    folder = tmp_path_factory.mktemp("footage")
    with VideoWriter(folder / "dull.mp4", width=96, height=64, time_base=Fraction(1, 10)) as writer:
        for index in range(42):
            level = 220 if index in {20, 21} else 30
            writer.write_rgb(np.full((64, 96, 3), level, dtype=np.uint8), pts=index)
    (folder / "stills").mkdir()
    for name, colour in (("red", 0), ("green", 1), ("blue", 2)):
        picture = np.zeros((64, 96, 3), dtype=np.uint8)
        picture[..., colour] = 200
        write_rgb(folder / "stills" / f"{name}.png", picture)
    (folder / "notes.txt").write_text("not footage")
    return folder


def test_the_few_that_differ_are_among_the_first(footage: Path) -> None:
    frames = calibration_frames([footage], count=5, **SIZE)
    assert frames.shape == (5, 64, 96, 3)
    means = {tuple(np.round(frame.mean(axis=(0, 1)) / 40).astype(int)) for frame in frames}
    assert means == {(1, 1, 1), (6, 6, 6), (5, 0, 0), (0, 5, 0), (0, 0, 5)}


def test_same_seed_same_frames(footage: Path) -> None:
    first, again = (calibration_frames([footage / "dull.mp4"], count=8, seed=3, **SIZE) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_farthest_first_goes_to_the_farthest() -> None:
    points = np.array([[0.0], [1.0], [10.0], [4.0]], dtype=np.float32)
    start = int(farthest_first(points, 1, seed=0)[0])
    order = farthest_first(points, 9, seed=0).tolist()
    assert order[0] == start
    assert sorted(order) == [0, 1, 2, 3]
    distances = np.abs(points[:, 0] - points[start, 0])
    assert order[1] == int(distances.argmax())


def test_footage_that_is_none_is_one_line(tmp_path: Path) -> None:
    for source, fault in ((tmp_path, "has no videos or pictures"), (tmp_path / "x.mp4", "no such file")):
        with pytest.raises(InputError, match=fault):
            calibration_frames([source], **SIZE)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="is not a readable picture"):
        calibration_frames([tmp_path], **SIZE)
    with pytest.raises(UsageError, match="names no footage"):
        calibration_frames([], **SIZE)
    with pytest.raises(UsageError, match="takes 0 frames"):
        calibration_frames([tmp_path], count=0, **SIZE)
