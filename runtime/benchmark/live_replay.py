"""A video file that plays the camera: a source whose frames arrive at their own pace."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from statistics import median

from catseye.capture.sources import Frame, VideoFile, seconds
from catseye.errors import InputError
from catseye.runtime.sources.base import SourceFrame

_LOOKED_AT = 60


class LiveReplay:
    """Implements ``Source``. The file is decoded as it goes, one thread, again and again from its start.

    A frame's packet arrives at its time whether or not the frames before are done, and its age counts from
    then: where decoding falls behind, ages grow, and what is still to be decoded at the end is lost.

    Args:
        path: a video file.
        name: of the stream.
        rate: frames a second.
        for_s: how long frames arrive.
        after_s: how much later the first arrives, so that several cameras do not keep step.

    Attributes:
        due: how many frames are to arrive in that time.
    """

    live = True

    def __init__(self, path: Path, *, name: str, rate: float, for_s: float, after_s: float = 0.0) -> None:
        self.name = name
        self._path, self._rate, self._for_s, self._after_s = path, rate, for_s, after_s
        self._is_closed = False
        self.due = max(1, int(rate * for_s))

    def frames(self) -> Iterator[SourceFrame]:
        decoded = self._decoded()
        start = time.perf_counter() + self._after_s
        for number in range(self.due):
            due = start + number / self._rate
            now = time.perf_counter()
            if self._is_closed or now > start + self._for_s:
                return
            time.sleep(max(0.0, due - now))
            frame, epoch = next(decoded)
            yield SourceFrame(
                frame=frame,
                width=frame.planes.width,
                height=frame.planes.height,
                epoch=epoch,
                arrived_s=due,
                captured_utc_ns=None,
                clock="file",
            )

    def close(self) -> None:
        self._is_closed = True

    def _decoded(self) -> Iterator[tuple[Frame, int]]:
        for epoch in count():
            with VideoFile(self._path, threads=1) as file:
                for frame in file.frames():
                    yield frame, epoch


def frame_rate(path: Path) -> float:
    """Frames a second of a video, by the median of the gaps between its first frames.

    Raises:
        InputError: it has too few to tell.
    """
    with VideoFile(path) as file:
        base = file.info.time_base
        stamps = [packet.pts for packet, _ in zip(file.packets(), range(_LOOKED_AT), strict=False)]
    times = sorted(pts for pts in stamps if pts is not None)
    gaps = [b - a for a, b in pairwise(times) if b > a]
    if not gaps:
        raise InputError(path, "has too few frames to tell its rate", "give a longer video")
    return 1 / seconds(round(median(gaps)), base)
