"""Reading a clip's frames out of the videos that a dataset was made of, at network size.

Slower than from shards, and only where the footage still lies; but without the loss of a second encoding: the
pictures are those that the shards were made from. What ingest blurred in the shards is not blurred here.
"""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
from av.video.frame import VideoFrame
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from catseye.capture.dataset import Dataset
from catseye.capture.exact_video import ExactVideo, FrameTimes
from catseye.capture.frame_reader import FrameReader
from catseye.capture.geometry import Image, letterbox, planes_to_network
from catseye.capture.manifest import Clip
from catseye.capture.sources import to_frame
from catseye.capture.whole_video import WholeVideo
from catseye.capture.workspace import mark_of, read_hashes
from catseye.errors import InputError
from catseye.files import sha256_of


class OriginalReader(FrameReader):
    """Reads from the source files, where they lay when they were ingested.

    A file that is not what was ingested has no clips to give. One whose size, time of change or inode is not
    what ingest noted beside the dataset is hashed when it is first read; the others are taken for unchanged.

    Args:
        dataset: where the clips are.
        accept_unblurred: read a dataset whose shards are blurred, though its originals are not.
        max_open: files kept open.

    Raises:
        InputError: the dataset is blurred, and ``accept_unblurred`` is not given.
    """

    def __init__(self, dataset: Dataset, *, accept_unblurred: bool = False, max_open: int = 8) -> None:
        if dataset.info.redaction and not accept_unblurred:
            raise InputError(
                dataset.url,
                f"is blurred by {dataset.info.redaction}, and the originals show what that hides",
                "read the shards, or say accept_unblurred=True",
            )
        super().__init__(dataset, max_open=max_open)
        filesystem, folder = fsspec.core.url_to_fs(dataset.url)
        self._hashes = read_hashes(Path(folder)) if isinstance(filesystem, LocalFileSystem) else {}

    def _file(self, clip: Clip) -> str:
        return clip.source

    def _pts(self, clip: Clip) -> NDArray[np.int64]:
        return clip.pts

    def _keys(self, clip: Clip) -> NDArray[np.bool_]:
        return clip.key_flags

    def _open(self, file: str, times: FrameTimes) -> ExactVideo:
        first = self._rows[file][0]
        if self._hash(file) != first.source_sha256:
            raise ValueError("has changed since it was ingested")
        return WholeVideo(Path(file), times, time_base=first.time_base)

    def _hash(self, file: str) -> str:
        path = Path(file)
        mark = mark_of(path)
        known, sha256 = self._hashes.get(file, (None, ""))
        if known != mark:
            sha256 = sha256_of(path)
            self._hashes[file] = (mark, sha256)
        return sha256

    def _to_network(self, picture: VideoFrame, clip: Clip, video: ExactVideo) -> Image:
        planes = to_frame(picture, index=0, time_base=clip.time_base, aspect=video.aspect).planes
        if (planes.width, planes.height) != (clip.width, clip.height):
            raise ValueError(f"has a picture of {planes.width}x{planes.height}")
        return planes_to_network(planes, letterbox(planes.width, planes.height, *self._size))
