"""A video file as a source of frames, taken whole."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from catseye.capture.sources import Frame, VideoFile, VideoInfo, seconds
from catseye.runtime.sources.base import SourceFrame


class FileSource:
    """Implements ``Source``.

    Args:
        file: read from where it stands to its end, and then closed.
        name: of the stream in results; None takes the file's path.
    """

    live = False

    def __init__(self, file: VideoFile, *, name: str | None = None) -> None:
        self.name = str(file.path) if name is None else name
        self._file = file
        self._is_closed = False

    @property
    def info(self) -> VideoInfo:
        return self._file.info

    @property
    def corrupt_packets(self) -> int:
        """Packets so far that could not be decoded and gave no frame."""
        return self._file.corrupt_packets

    def position(self, frame: Frame) -> tuple[int, int]:
        """How far a frame lies into the file, and the file's length, in milliseconds."""
        into = seconds(frame.pts - self.info.start_pts, frame.time_base)
        return round(1e3 * into), round(1e3 * max(into, self.info.duration_s))

    def frames(self) -> Iterator[SourceFrame]:
        with self._file:
            for frame in self._file.frames():
                if self._is_closed:
                    return
                yield from_file(frame)

    def close(self) -> None:
        self._is_closed = True


def from_file(frame: Frame) -> SourceFrame:
    """A frame that arrives as it is decoded, and whose time is that of its file."""
    return SourceFrame(
        frame=frame,
        width=frame.planes.width,
        height=frame.planes.height,
        epoch=0,
        arrived_s=perf_counter(),
        captured_utc_ns=None,
        clock="file",
    )
