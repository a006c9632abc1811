"""The source video with the tracks drawn on it, frame for frame at the source's own times."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from catseye.capture.sources import Frame, VideoInfo
from catseye.capture.writer import VideoWriter
from catseye.runtime.draw import Annotator
from catseye.runtime.results import FrameResult


class AnnotatedVideo:
    """An MP4 of the source's size (an odd one cut to even) and pts; use as a context manager.

    The file takes its name when it is complete; when the work fails there is none.
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
        planes = self._annotator.draw(frame.planes, result)
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
