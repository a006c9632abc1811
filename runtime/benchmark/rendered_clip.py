"""A clip to measure on where none is given, the same each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from catseye.capture.writer import VideoWriter

RENDERED_NAME = "rendered 1280x720"
_WIDTH, _HEIGHT, _RATE = 1280, 720, 25


def render(path: Path, *, frames: int = 240) -> None:
    """A clip at 1280×720 of 25 frames a second: bright rectangles that cross a dark gradient."""
    ground = np.linspace(40, 90, _HEIGHT, dtype=np.uint8)[:, None, None] * np.ones((1, _WIDTH, 3), np.uint8)
    with VideoWriter(path, width=_WIDTH, height=_HEIGHT, time_base=Fraction(1, _RATE)) as writer:
        for k in range(frames):
            frame = ground.copy()
            for lane in range(4):
                left, top = (k * (4 + 3 * lane) + 300 * lane) % _WIDTH, 200 + 110 * lane
                frame[top : top + 60, left : left + 100] = 255 - 40 * lane
            writer.write_rgb(frame, pts=k)


@contextmanager
def clip(source: str | Path | None) -> Iterator[Path]:
    """The source, or a rendered clip that is gone afterwards."""
    if source is not None:
        yield Path(source)
        return
    with TemporaryDirectory(prefix="catseye-bench-") as folder:
        path = Path(folder) / "rendered.mp4"
        render(path)
        yield path
