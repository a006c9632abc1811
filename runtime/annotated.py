"""The source video with the tracks drawn on it, frame for frame at the source's own times."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from typing_extensions import Self

from catseye.capture.geometry import Planes, letterbox, resize_planes
from catseye.capture.sources import Frame, VideoInfo
from catseye.capture.writer import VideoWriter
from catseye.runtime.draw import Annotator
from catseye.runtime.results import FrameResult

_LABELLED_WIDTH = 960


class AnnotatedVideo:
    """An MP4 with the source's pts and size; use as a context manager.

    An odd size is cut to even, and a small one enlarged by a whole factor, so that labels leave something to
    see. The file takes its name when it is complete; when the work fails there is none.
    """

    def __init__(self, path: str | Path, source: VideoInfo) -> None:
        self._path, self._source = Path(path), source
        self._annotator = Annotator()
        self._writer: VideoWriter | None = None
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        self._cleanup.__enter__()
        return self

    def write(self, frame: Frame, result: FrameResult) -> None:
        planes = self._annotator.draw(*_enlarged(frame.planes, result))
        if self._writer is None:
            writer = VideoWriter(
                self._path,
                width=planes.width,
                height=planes.height,
                time_base=frame.time_base,
                matrix=planes.matrix,
            )
            self._writer = self._cleanup.enter_context(writer)
        self._writer.write_planes(planes, pts=frame.pts)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.__exit__(kind, error, trace)


def _enlarged(planes: Planes, result: FrameResult) -> tuple[Planes, FrameResult]:
    factor = max(1, round(_LABELLED_WIDTH / planes.width))
    if factor == 1:
        return planes, result
    size = (planes.width, planes.height, factor * planes.width // 2 * 2, factor * planes.height // 2 * 2)
    boxes = result.tracks.boxes_xyxy * np.float32(factor)
    larger = resize_planes(planes, letterbox(*size))
    return larger, replace(result, tracks=replace(result.tracks, boxes_xyxy=boxes))
