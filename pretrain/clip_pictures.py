"""Pictures of a dataset's clips at the best size there is: the footage's own, else that of the shards."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Literal

from catseye.capture.clips import ClipReader, CorruptClip
from catseye.capture.dataset import Dataset
from catseye.capture.full_frames import FullFrameReader
from catseye.capture.geometry import Image, letterbox
from catseye.capture.manifest import Clip

_log = logging.getLogger(__name__)

_CHUNK = 16

Origin = Literal["original", "shard"]


def without_border(frames: Image, clip: Clip) -> Image:
    """Cut off what the letterbox added to network frames (..., H, W, 3) of a clip."""
    box = letterbox(clip.width, clip.height, frames.shape[-2], frames.shape[-3])
    rows = slice(box.top, box.top + box.scaled_height)
    return frames[..., rows, box.left : box.left + box.scaled_width, :]


class ClipPictures:
    """Reads frames without letterbox borders.

    The originals are read where they still lie as they were ingested. Those of a dataset that is blurred are
    never read: its shards are what may be shown to people.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._shards = ClipReader(dataset)
        self._originals = None if dataset.info.redaction else FullFrameReader(dataset)
        self._lost: set[str] = set()

    def read(self, clip: Clip, frames: Sequence[int]) -> tuple[Image, Origin]:
        """Decode some of a clip's frames, all from the same place.

        Returns:
            (len(frames), h, w, 3) uint8 RGB, and where it is from.

        Raises:
            CorruptClip: neither the original nor the shard has them.
        """
        if self._originals is not None and clip.source not in self._lost:
            try:
                return self._originals.read(clip, frames), "original"
            except CorruptClip as error:
                self._lost.add(clip.source)
                _log.info(
                    "%s: taken from the shards, since the original cannot be read (%s)", clip.source, error
                )
        return without_border(self._shards.read(clip, frames), clip), "shard"

    def each(self, clip: Clip, frames: Sequence[int]) -> Iterator[Image]:
        """The same one after another, a few in memory at a time, and all of one size.

        Raises:
            CorruptClip: as ``read``; or the original fails after it has given some.
        """
        size: tuple[int, ...] | None = None
        for at in range(0, len(frames), _CHUNK):
            pictures, _ = self.read(clip, frames[at : at + _CHUNK])
            if size not in (None, pictures.shape[1:]):
                raise CorruptClip(f"clip {clip.clip_id} in {clip.source}: cannot be read to its end")
            size = pictures.shape[1:]
            yield from pictures

    def close(self) -> None:
        self._shards.close()
        if self._originals is not None:
            self._originals.close()
