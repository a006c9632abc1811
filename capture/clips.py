"""Reading a clip's frames out of a dataset's shards, exactly and by the shortest way."""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import fsspec
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from catseye.capture.dataset import Dataset
from catseye.capture.geometry import Image, letterbox, pad_to_network, planes_to_rgb
from catseye.capture.manifest import Clip
from catseye.capture.shards import TIME_BASE, crop_planes
from catseye.capture.sources import to_frame
from catseye.errors import CatseyeError
from catseye.files import replacing


class CorruptClip(CatseyeError):  # noqa: N818 - it is the clip that is corrupt, and the sampler goes on
    """A clip's frames cannot be read. The message names the clip and the shard."""


class ClipReader:
    """Reads frames of a dataset's clips.

    Shards are opened when first read, one decoder thread each, and a few are kept open. A reader can be
    pickled and survives a fork: the other process opens shards of its own. It is for one thread at a time.

    Args:
        dataset: where the clips are.
        cache: folder for the shards of a dataset that is not on this machine, each fetched whole when first
            read; without it, one of this user's in the temporary folder, shared by all processes.
        max_open: shards kept open.
    """

    def __init__(self, dataset: Dataset, *, cache: Path | None = None, max_open: int = 8) -> None:
        if max_open < 1:
            raise ValueError(f"max_open {max_open}: must be at least 1")
        self._url = dataset.url
        self._size = (dataset.info.width, dataset.info.height)
        self._cache = (
            cache or Path(tempfile.gettempdir()) / f"catseye-{os.getuid()}" / dataset.fingerprint[:16]
        )
        self._max_open = max_open
        self._forget()

    def read(self, clip: Clip, frames: Sequence[int]) -> Image:
        """Decode some of a clip's frames.

        Args:
            clip: a row of the dataset.
            frames: indices 0 … len(clip) - 1, in any order; one may come twice.

        Returns:
            (len(frames), H, W, 3) uint8 RGB at network size, in the order asked for.

        Raises:
            CorruptClip: the shard is missing or damaged, or a frame is not in it.
            IndexError: a frame is not in the clip.
        """
        wanted = np.asarray(frames, dtype=np.int64)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < len(clip):
            raise IndexError(f"clip {clip.clip_id} has {len(clip)} frames: not all of {list(frames)}")
        width, height = self._size
        result = np.empty((len(wanted), height, width, 3), dtype=np.uint8)
        if not wanted.size:
            return result
        box = letterbox(clip.width, clip.height, width, height)
        order = np.unique(wanted)
        try:
            pictures = self._shard(clip.shard).pictures(clip, order)
            for index, picture in zip(order, pictures, strict=True):
                planes = to_frame(picture, index=int(index), time_base=TIME_BASE).planes
                rgb = pad_to_network(planes_to_rgb(crop_planes(planes, box)), box)
                result[wanted == index] = rgb
        except (av.FFmpegError, OSError, ValueError) as error:
            self._drop(clip.shard)
            raise CorruptClip(f"clip {clip.clip_id} in {self._url}/{clip.shard}: {error}") from error
        return result

    def close(self) -> None:
        """Close the shards; a later read opens them again."""
        for name in list(self._open):
            self._drop(name)

    def _shard(self, name: str) -> _Shard:
        if self._owner != os.getpid():
            self._forget()
        if name not in self._open:
            while len(self._open) >= self._max_open:
                self._open.popitem(last=False)[1].close()
            self._open[name] = _Shard(self._fetch(name))
        self._open.move_to_end(name)
        return self._open[name]

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

    def _drop(self, name: str) -> None:
        shard = self._open.pop(name, None)
        if shard is not None:
            shard.close()

    def _forget(self) -> None:
        """Start with no shard open, leaving those of another process alone."""
        self._open: OrderedDict[str, _Shard] = OrderedDict()
        self._owner = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_open", "_owner")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


class _Shard:
    """An open shard and how far it has been decoded."""

    def __init__(self, path: Path) -> None:
        self._container: InputContainer = av.open(f"file:{path}", mode="r")
        if not self._container.streams.video:
            raise ValueError("has no video stream")
        self._stream: VideoStream = self._container.streams.video[0]
        if self._stream.time_base != TIME_BASE:
            raise ValueError(f"has the time base {self._stream.time_base}, not {TIME_BASE}")
        self._stream.codec_context.thread_count = 1
        self._decoded: Iterator[VideoFrame] = iter(())
        self._position: int | None = None

    def pictures(self, clip: Clip, frames: np.ndarray[Any, np.dtype[np.int64]]) -> Iterator[VideoFrame]:
        """The pictures of rising frame indices.

        Raises:
            ValueError: one is not there.
        """
        for index in frames:
            pts = int(clip.shard_pts[index])
            if not self._leads_to(clip, int(index)):
                self._container.seek(pts, stream=self._stream, backward=True)
                self._decoded = self._container.decode(self._stream)
            yield self._advance(pts)

    def _leads_to(self, clip: Clip, index: int) -> bool:
        """Whether decoding on is the shortest way: no key frame lies between here and the frame."""
        if self._position is None or self._position >= clip.shard_pts[index]:
            return False
        keys = np.flatnonzero(clip.shard_key_flags[: index + 1])
        last_key = clip.shard_pts[keys[-1]] if keys.size else clip.shard_pts[0]
        return bool(self._position >= last_key)

    def _advance(self, pts: int) -> VideoFrame:
        self._position = None
        for picture in self._decoded:
            if picture.pts is not None and picture.pts >= pts:
                if picture.pts > pts or picture.is_corrupt:
                    break
                self._position = pts
                return picture
        raise ValueError(f"has no whole frame at pts {pts}")

    def close(self) -> None:
        self._decoded = iter(())
        self._container.close()
