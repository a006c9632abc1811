"""The frames that some are chosen from to be labelled: of a dataset's clips, or stills in a folder."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np

from catseye.capture.clips import ClipReader, CorruptClip, Request
from catseye.capture.dataset import Clip, Dataset
from catseye.capture.geometry import Image
from catseye.errors import InputError, UsageError
from catseye.files import write_bytes
from catseye.picture_files import read_rgb, write_rgb
from catseye.pretrain.clip_pictures import ClipPictures, Origin, without_border

_log = logging.getLogger(__name__)

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
PictureForm = Literal["png", "jpg"]

_AT_ONCE = 32


@dataclass(frozen=True)
class PoolFrame:
    """One frame, and where it is found again.

    Args:
        source: the video, or the still.
        clip: the row of the dataset, None for a still.
        frame: index in the clip.
        name: file name that its picture gets below the folder of pictures.
    """

    source: str
    clip: Clip | None
    frame: int
    name: str

    @property
    def pts(self) -> int | None:
        return None if self.clip is None else int(self.clip.pts[self.frame])

    @property
    def time_s(self) -> float | None:
        """Seconds on the source's own clock."""
        return None if self.clip is None else float(self.clip.pts[self.frame] * self.clip.time_base)

    @property
    def captured(self) -> datetime | None:
        """UTC, where the source's record tells."""
        if self.clip is None or self.clip.start_time is None:
            return None
        return self.clip.start_time + timedelta(seconds=float(self.clip.times_s[self.frame]))


class Written(NamedTuple):
    """A picture that was written, and what it was written from."""

    width: int
    height: int
    taken_from: Origin | Literal["still"]


class FramePool(Protocol):
    """Frames that can be looked at, all in turn, and written, one by one."""

    frames: Sequence[PoolFrame]

    def pictures(self) -> Iterator[tuple[int, Image]]:
        """Every frame's index and picture (h, w, 3) RGB; those that cannot be read are told of and passed
        over."""
        ...

    def write(self, index: int, folder: Path) -> Written:
        """Write a frame as a picture below ``folder`` by its name.

        Raises:
            CatseyeError: it cannot be read any more.
        """
        ...


class ClipPool:
    """Frames of a dataset's usable clips, one every so many seconds.

    Args:
        dataset: opened.
        split: which of its splits; None takes all.
        every_s: seconds between frames of a clip.
        seed: where in a clip the first of them is.
        most: frames at most; of more, some are drawn by the seed.
        form: of the pictures written.

    Raises:
        UsageError: an option cannot be.
        InputError: no clip is left.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        split: str | None = "train",
        every_s: float = 1.0,
        seed: int = 0,
        most: int = 20_000,
        form: PictureForm = "png",
    ) -> None:
        if not every_s > 0:
            raise UsageError(f"--every {every_s:g}: takes seconds above 0")
        clips = usable_clips(dataset, split)
        rng = np.random.default_rng(seed)
        self._dataset, self._form = dataset, form
        frames = [
            PoolFrame(clip.source, clip, frame, picture_name(clip, frame, form))
            for clip in clips
            for frame in spaced(clip, every_s, first_s=float(rng.uniform(0, min(every_s, clip.times_s[-1]))))
        ]
        if len(frames) > most:
            _log.info("of %d frames %d are looked at, drawn by the seed", len(frames), most)
            frames = [frames[index] for index in np.sort(rng.choice(len(frames), most, replace=False))]
        self.frames: Sequence[PoolFrame] = frames
        self._pictures: ClipPictures | None = None

    def pictures(self) -> Iterator[tuple[int, Image]]:
        reader = ClipReader(self._dataset)
        for at in range(0, len(self.frames), _AT_ONCE):
            group = self.frames[at : at + _AT_ONCE]
            clips = [frame.clip for frame in group if frame.clip is not None]
            requests = [Request(clip, [frame.frame]) for clip, frame in zip(clips, group, strict=True)]
            for index, found in enumerate(reader.read_many(requests), at):
                if isinstance(found, CorruptClip):
                    _log.warning("%s", found)
                else:
                    yield index, without_border(found, clips[index - at])[0]
        reader.close()

    def write(self, index: int, folder: Path) -> Written:
        frame = self.frames[index]
        assert frame.clip is not None
        if self._pictures is None:
            self._pictures = ClipPictures(self._dataset)
        pictures, origin = self._pictures.read(frame.clip, [frame.frame])
        write_rgb(folder / frame.name, pictures[0])
        return Written(pictures.shape[2], pictures.shape[1], origin)


class StillsPool:
    """Stills in a folder and below it.

    Args:
        folder: with the pictures.
        names: their paths below it; None takes every picture there is.
        without: files that are not to be chosen.

    Raises:
        InputError: there is no picture, or one that is named is not there.
    """

    def __init__(
        self, folder: Path, *, names: Sequence[str] | None = None, without: Collection[Path] = ()
    ) -> None:
        self._folder = folder
        left_out = {path.resolve() for path in without}
        paths = _pictures_below(folder) if names is None else [folder / name for name in names]
        absent = [path for path in paths if not path.is_file()]
        if absent:
            fault = (
                f"has no picture {absent[0].relative_to(folder)}, nor {len(absent) - 1} others that are named"
            )
            raise InputError(folder, fault, "give the folder that the names are below")
        kept = [path for path in paths if path.resolve() not in left_out]
        if not kept:
            raise InputError(folder, "has no picture that is not labelled", "name a folder with more")
        self.frames: Sequence[PoolFrame] = [
            PoolFrame(str(path), None, 0, str(path.relative_to(folder))) for path in kept
        ]

    def pictures(self) -> Iterator[tuple[int, Image]]:
        for index, frame in enumerate(self.frames):
            rgb = read_rgb(Path(frame.source))
            if rgb is None:
                _log.warning("%s: is not a readable picture", frame.source)
            else:
                yield index, rgb

    def write(self, index: int, folder: Path) -> Written:
        """Copy the file as it is."""
        frame = self.frames[index]
        rgb = read_rgb(Path(frame.source))
        if rgb is None:
            raise InputError(frame.source, "is not a readable picture", "copy it again")
        write_bytes(folder / frame.name, Path(frame.source).read_bytes())
        return Written(rgb.shape[1], rgb.shape[0], "still")


def usable_clips(dataset: Dataset, split: str | None) -> list[Clip]:
    """Clips of a split that have a frame; of all splits where it is None.

    Raises:
        InputError: there is none.
    """
    clips = [clip for clip in dataset.select(split=split) if len(clip)]
    if not clips:
        where = "" if split is None else f" in the split {split}"
        raise InputError(dataset.url, f"has no usable clip{where}", "name another split, or ingest more")
    return clips


def spaced(clip: Clip, every_s: float, *, first_s: float = 0.0) -> list[int]:
    """Indices of a clip's frames, the first at or after each of first_s, first_s + every_s, …"""
    times = clip.times_s
    wanted = np.arange(first_s, times[-1] + 1e-9, every_s)
    return [int(index) for index in np.unique(np.searchsorted(times, wanted - 1e-9))]


def picture_name(clip: Clip, frame: int, form: PictureForm) -> str:
    """A file name that tells source and time stamp apart from those of all others."""
    return f"{Path(clip.source).stem}-{clip.clip_id[:6]}-{int(clip.pts[frame]):09d}.{form}"


def _pictures_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(folder, "no such folder", "name a dataset, or a folder of pictures")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
