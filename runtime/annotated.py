"""The source video with the tracks drawn on it, frame for frame at the source's own times."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from typing_extensions import Self

from catseye.capture.geometry import Planes, letterbox, resize_planes
from catseye.capture.sources import Frame
from catseye.capture.writer import VideoWriter
from catseye.runtime.draw import Annotator
from catseye.runtime.results import FrameResult

_LABELLED_WIDTH = 960


class AnnotatedVideo:
    """An MP4 with a stream's pts and size; use as a context manager.

    An odd size is cut to even, and a small one enlarged by a whole factor, so that labels leave something to
    see. The file takes its name when it is complete; when the work fails there is none. A later epoch, whose
    times and size are its own, is a file of its own: of ``street.mp4``, the second is ``street-1.mp4``.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._epoch: int | None = None
        self._file = ExitStack()

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame, result: FrameResult) -> None:
        if result.epoch != self._epoch:
            self._file.close()
            self._epoch, self._annotator = result.epoch, Annotator()
            self._writer: VideoWriter | None = None
        planes = self._annotator.draw(*_enlarged(frame.planes, result))
        if self._writer is None:
            later = f"-{result.epoch}" if result.epoch else ""
            writer = VideoWriter(
                self._path.with_name(f"{self._path.stem}{later}{self._path.suffix}"),
                width=planes.width,
                height=planes.height,
                time_base=frame.time_base,
                matrix=planes.matrix,
            )
            self._writer = self._file.enter_context(writer)
        self._writer.write_planes(planes, pts=frame.pts)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)


def _enlarged(planes: Planes, result: FrameResult) -> tuple[Planes, FrameResult]:
    """A picture with room for labels, and the boxes in its pixels, of which the source may have others."""
    factor = max(1, round(_LABELLED_WIDTH / planes.width))
    if factor > 1:
        size = (planes.width, planes.height, factor * planes.width // 2 * 2, factor * planes.height // 2 * 2)
        planes = resize_planes(planes, letterbox(*size))
    scale = np.array([planes.width / result.width, planes.height / result.height] * 2, dtype=np.float32)
    return planes, replace(result, tracks=replace(result.tracks, boxes_xyxy=result.tracks.boxes_xyxy * scale))
