"""Sources of frames that do as they are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from catseye.capture.geometry import Planes
from catseye.capture.sources import Frame
from catseye.runtime.sources.base import SourceFrame

PATIENCE_S = 20.0
"""Longest wait for what must come; only a test that fails waits so long."""

Step = SourceFrame | Exception | Callable[[], object]


def source_frame(
    number: int, *, size: tuple[int, int] = (320, 192), epoch: int = 0, time_s: float | None = None
) -> SourceFrame:
    """A grey frame with a bright lamp in it, 25 a second unless told otherwise, that arrives now."""
    width, height = size
    luma = np.full((height, width), 40, np.uint8)
    luma[40:80, 100:160] = 250
    chroma = np.full((height // 2, width // 2), 128, np.uint8)
    pts = 40 * number if time_s is None else round(1000 * time_s)
    planes = Planes(luma, chroma, chroma, full_range=True)
    return SourceFrame(
        frame=Frame(index=number, pts=pts, time_base=Fraction(1, 1000), planes=planes, key=number == 0),
        width=width,
        height=height,
        epoch=epoch,
        arrived_s=time.perf_counter(),
        captured_utc_ns=None,
        clock="file",
    )


class ScriptedSource:
    """Implements ``Source``: yields frames, raises errors and calls functions, in order.

    Each ``frames`` goes on where the one before it has failed. At the end a live one is silent until closed.
    """

    def __init__(self, steps: Sequence[Step], *, name: str = "scripted", live: bool = True) -> None:
        self.name, self.live = name, live
        self._steps = iter(steps)
        self.closed = threading.Event()

    def frames(self) -> Iterator[SourceFrame]:
        for step in self._steps:
            if self.closed.is_set():
                return
            if isinstance(step, Exception):
                raise step
            if isinstance(step, SourceFrame):
                yield step
            else:
                step()
        if self.live:
            assert self.closed.wait(PATIENCE_S), "nobody closes it"

    def close(self) -> None:
        self.closed.set()
