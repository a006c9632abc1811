"""Reading a clip's frames out of the videos that a dataset was made of, at network size.

Slower than from shards, and only where the footage still lies; but without the loss of a second encoding.
What ingest blurred in the shards is not blurred here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from catseye.capture.exact_video import ExactVideo, FrameTimes
from catseye.capture.frame_reader import FrameReader
from catseye.capture.geometry import Image, letterbox, planes_to_network
from catseye.capture.manifest import Clip
from catseye.capture.sources import to_frame


class OriginalReader(FrameReader):
    """Reads from the source files, where they lay when they were ingested."""

    def _file(self, clip: Clip) -> str:
        return clip.source

    def _pts(self, clip: Clip) -> NDArray[np.int64]:
        return clip.pts

    def _keys(self, clip: Clip) -> NDArray[np.bool_]:
        return clip.key_flags

    def _open(self, file: str, times: FrameTimes) -> ExactVideo:
        return ExactVideo(Path(file), times, time_base=self._rows[file][0].time_base)

    def _to_network(self, picture: VideoFrame, clip: Clip) -> Image:
        planes = to_frame(picture, index=0, time_base=clip.time_base).planes
        return planes_to_network(planes, letterbox(planes.width, planes.height, *self._size))
