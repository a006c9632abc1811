"""What all readers of a dataset's frames share: open files, groups decoded once, and damage that is told."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from catseye.capture.dataset import Dataset
from catseye.capture.exact_video import ExactVideo, FrameTimes
from catseye.capture.geometry import Image
from catseye.capture.manifest import Clip
from catseye.errors import CatseyeError

_Places = defaultdict[int, list[tuple[int, int]]]
"""For each time stamp wanted of a file, the requests that want it and where in their results it goes."""

_NO_CHECKSUMS = np.zeros(0, dtype=np.uint32)


class CorruptClip(CatseyeError):  # noqa: N818 - it is the clip that is corrupt, and the sampler goes on
    """A clip's frames cannot be read. The message names the clip and the file."""


@dataclass(frozen=True)
class Request:
    """Some of a clip's frames.

    Args:
        clip: a row of the dataset.
        frames: indices 0 … len(clip) - 1, in any order; one may come twice.
    """

    clip: Clip
    frames: Sequence[int]


class FrameReader(ABC):
    """Reads frames of a dataset's clips. Subclasses say which files hold them.

    Files are opened when first read, one decoder thread each, and a few are kept open. A reader can be
    pickled and survives a fork: the other process opens files of its own. It is for one thread at a time.

    Args:
        dataset: where the clips are.
        max_open: files kept open.
    """

    def __init__(self, dataset: Dataset, *, max_open: int = 8) -> None:
        if max_open < 1:
            raise ValueError(f"max_open {max_open}: must be at least 1")
        self._size = (dataset.info.width, dataset.info.height)
        self._max_open = max_open
        self._rows: defaultdict[str, list[Clip]] = defaultdict(list)
        for clip in dataset.clips:
            if len(clip):
                self._rows[self._file(clip)].append(clip)
        self._forget()

    def read(self, clip: Clip, frames: Sequence[int]) -> Image:
        """Decode some of a clip's frames.

        Returns:
            (len(frames), H, W, 3) uint8 RGB at network size, in the order asked for.

        Raises:
            CorruptClip: the file is missing or damaged, or a frame is not in it.
            IndexError: a frame is not in the clip.
        """
        (found,) = self.read_many([Request(clip, frames)])
        if isinstance(found, CorruptClip):
            raise found
        return found

    def read_many(self, requests: Sequence[Request]) -> list[Image | CorruptClip]:
        """Decode frames of many clips. Those that share a group of pictures are had by decoding it once.

        Returns:
            For each request, in their order, what ``read`` returns, or the error that it raises.

        Raises:
            IndexError: a frame is not in its clip.
        """
        width, height = self._size
        results: list[Image | CorruptClip] = []
        places: defaultdict[str, _Places] = defaultdict(lambda: defaultdict(list))
        for number, (clip, frames) in enumerate((request.clip, request.frames) for request in requests):
            wanted = np.asarray(frames, dtype=np.int64)
            if wanted.size and not 0 <= wanted.min() <= wanted.max() < len(clip):
                raise IndexError(f"clip {clip.clip_id} has {len(clip)} frames: not all of {list(frames)}")
            results.append(np.empty((len(wanted), height, width, 3), dtype=np.uint8))
            for row, pts in enumerate(self._pts(clip)[wanted].tolist()):
                places[self._file(clip)][pts].append((number, row))
        for file in sorted(places):
            self._read_file(file, places[file], requests, results)
        return results

    def close(self) -> None:
        """Close the files; a later read opens them again."""
        for file in list(self._videos):
            self._drop(file)

    @abstractmethod
    def _file(self, clip: Clip) -> str:
        """The name of the file that has a clip's frames."""

    @abstractmethod
    def _pts(self, clip: Clip) -> NDArray[np.int64]:
        """A clip's time stamps in that file."""

    @abstractmethod
    def _keys(self, clip: Clip) -> NDArray[np.bool_]:
        """Which of them are key frames."""

    def _checksums(self, clip: Clip) -> NDArray[np.uint32]:
        """Their checksums, see ``checksums``; empty where none are known."""
        return _NO_CHECKSUMS

    @abstractmethod
    def _open(self, file: str, times: FrameTimes) -> ExactVideo:
        """Open that file, on this machine."""

    @abstractmethod
    def _to_network(self, picture: VideoFrame, clip: Clip, video: ExactVideo) -> Image:
        """A picture of it as network input: RGB (H, W, 3) uint8.

        Raises:
            ValueError: the picture is not of the clip's size.
        """

    def _read_file(
        self, file: str, places: _Places, requests: Sequence[Request], results: list[Image | CorruptClip]
    ) -> None:
        """Decode a file's frames into their places; a request that misses one becomes the error."""
        pending = sorted(places)
        while pending:
            done = 0
            try:
                video = self._video(file)
                for pts, picture in zip(pending, video.pictures(pending), strict=True):
                    rgb = self._to_network(picture, requests[places[pts][0][0]].clip, video)
                    for number, row in places[pts]:
                        found = results[number]
                        if not isinstance(found, CorruptClip):
                            found[row] = rgb
                    done += 1
                return
            except (av.FFmpegError, OSError, ValueError) as error:
                self._drop(file)
                for number, _ in places[pending[done]]:
                    clip_id = requests[number].clip.clip_id
                    results[number] = CorruptClip(f"clip {clip_id} in {self._name(file)}: {error}")
                pending = [
                    pts
                    for pts in pending[done + 1 :]
                    if not all(isinstance(results[number], CorruptClip) for number, _ in places[pts])
                ]

    def _name(self, file: str) -> str:
        """What a message calls a file."""
        return file

    def _video(self, file: str) -> ExactVideo:
        if self._owner != os.getpid():
            self._forget()
        if file not in self._videos:
            while len(self._videos) >= self._max_open:
                self._videos.popitem(last=False)[1].close()
            self._videos[file] = self._open(file, self._times(file))
        self._videos.move_to_end(file)
        return self._videos[file]

    def _times(self, file: str) -> FrameTimes:
        """From all rows of a file: the way to a clip's first frames begins in the clip before."""
        rows = sorted(self._rows[file], key=lambda clip: clip.clip_id)
        pts = np.concatenate([np.zeros(0, np.int64), *(self._pts(clip) for clip in rows)])
        keys = np.concatenate([np.zeros(0, bool), *(self._keys(clip) for clip in rows)])
        if not len(pts) or not (np.diff(pts) > 0).all():
            raise ValueError("has frames whose times do not rise, and cannot be told apart by them")
        sums = np.concatenate([_NO_CHECKSUMS, *(self._checksums(clip) for clip in rows)])
        return FrameTimes(pts=pts, keys=pts[keys], checksums=sums if len(sums) == len(pts) else _NO_CHECKSUMS)

    def _drop(self, file: str) -> None:
        video = self._videos.pop(file, None)
        if video is not None:
            video.close()

    def _forget(self) -> None:
        """Start with no file open, leaving those of another process alone."""
        self._videos: OrderedDict[str, ExactVideo] = OrderedDict()
        self._owner = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_videos", "_owner")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()
