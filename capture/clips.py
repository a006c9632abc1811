"""Reading a clip's frames out of a dataset's shards: the way that training takes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import fsspec
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from catseye.capture.dataset import Dataset
from catseye.capture.exact_video import ExactVideo, FrameTimes
from catseye.capture.frame_reader import CorruptClip, FrameReader, Request
from catseye.capture.geometry import Image, letterbox, pad_to_network, planes_to_rgb
from catseye.capture.manifest import Clip
from catseye.capture.shards import TIME_BASE, crop_planes
from catseye.capture.sources import to_frame
from catseye.files import replacing

__all__ = ["ClipReader", "CorruptClip", "Request"]


class ClipReader(FrameReader):
    """Reads from the shards.

    Args:
        dataset: where the clips are.
        cache: folder for the shards of a dataset that is not on this machine, each fetched whole when first
            read; without it, one of this user's in the temporary folder, shared by all processes.
        max_open: shards kept open.
    """

    def __init__(self, dataset: Dataset, *, cache: Path | None = None, max_open: int = 8) -> None:
        super().__init__(dataset, max_open=max_open)
        self._url = dataset.url
        self._cache = (
            cache or Path(tempfile.gettempdir()) / f"catseye-{os.getuid()}" / dataset.fingerprint[:16]
        )

    def _file(self, clip: Clip) -> str:
        return clip.shard

    def _pts(self, clip: Clip) -> NDArray[np.int64]:
        return clip.shard_pts

    def _keys(self, clip: Clip) -> NDArray[np.bool_]:
        return clip.shard_key_flags

    def _checksums(self, clip: Clip) -> NDArray[np.uint32]:
        return clip.shard_checksums

    def _open(self, file: str, times: FrameTimes) -> ExactVideo:
        return ExactVideo(self._fetch(file), times, time_base=TIME_BASE)

    def _to_network(self, picture: VideoFrame, clip: Clip, video: ExactVideo) -> Image:
        if (picture.width, picture.height) != self._size:
            raise ValueError(f"has a picture of {picture.width}x{picture.height}")
        box = letterbox(clip.width, clip.height, *self._size)
        planes = to_frame(picture, index=0, time_base=TIME_BASE).planes
        return pad_to_network(planes_to_rgb(crop_planes(planes, box)), box)

    def _name(self, file: str) -> str:
        return f"{self._url}/{file}"

    def _fetch(self, name: str) -> Path:
        """The shard as a local file."""
        filesystem, folder = fsspec.core.url_to_fs(self._url)
        if isinstance(filesystem, fsspec.implementations.local.LocalFileSystem):
            return Path(folder) / name
        local = self._cache / name
        if not local.exists():
            with replacing(local) as aside:
                filesystem.get_file(f"{folder}/{name}", str(aside))
        return local
