"""Frames that differ from each other as much as the footage allows, for measuring ranges of activations.

Frames of a drive mostly look alike, and a range measured on one light is wrong for the next. So many more are
looked at than are taken, and each one taken is the farthest from those before it (k-centre, greedily;
Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985), as thumbnails tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Fit, Image, Letterbox, letterbox, planes_to_network, rgb_to_network
from catseye.capture.sources import VideoFile
from catseye.errors import InputError, UsageError
from catseye.picture_files import read_rgb
from catseye.runtime.engines.base import Inputs
from catseye.runtime.manifest import Network
from catseye.runtime.network_input import pictures_input

FRAMES = 128
"""Frames where nothing else is said."""

_LOOKED_AT = 6
_THUMBNAIL = (16, 9)
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
_VIDEOS = frozenset({".mp4", ".ts", ".mkv", ".mov", ".avi"})


class _Place(NamedTuple):
    """Where frames of any size are put."""

    width: int
    height: int
    fit: Fit

    def letterbox(self, source_width: int, source_height: int) -> Letterbox:
        return letterbox(source_width, source_height, self.width, self.height, self.fit)


def calibration_frames(
    sources: Sequence[str | Path],
    *,
    width: int,
    height: int,
    count: int = FRAMES,
    seed: int = 0,
    fit: Fit = "centre",
) -> Image:
    """Up to ``count`` frames (F, height, width, 3) uint8 RGB, the most various first.

    Args:
        sources: videos, and folders of videos and pictures, such as a dataset.
        seed: says which frame is the first.

    Raises:
        UsageError: there are no sources, or ``count`` is below 1.
        InputError: a source is absent, holds no pictures, or cannot be read.
    """
    if not sources:
        raise UsageError("calibration names no footage: give a video, or a folder of videos or pictures")
    if count < 1:
        raise UsageError(f"calibration takes {count} frames: give at least 1")
    files = [file for source in sources for file in _files(Path(source))]
    still = [file for file in files if file.suffix.lower() in _PICTURES]
    moving = [file for file in files if file.suffix.lower() not in _PICTURES]
    wanted = count * _LOOKED_AT
    share = max(1, wanted // (len(moving) + bool(still)))
    place = _Place(width, height, fit)
    found = [frame for file in moving for frame in _of_video(file, share, place)]
    found += [_of_picture(file, place) for file in _spread(still, share)]
    if not found:
        raise InputError(files[0], "has no frame that can be decoded", "record or copy it again")
    frames = np.stack(found)
    return np.asarray(frames[farthest_first(_described(frames), count, seed=seed)])


def calibration_inputs(sources: Sequence[str | Path], network: Network, *, seed: int = 0) -> Inputs:
    """The same as input of a network, see ``calibration_frames``."""
    frames = calibration_frames(
        sources, width=network.width, height=network.height, seed=seed, fit=network.fit
    )
    return pictures_input(frames, network)


def farthest_first(points: NDArray[np.float32], count: int, *, seed: int) -> NDArray[np.intp]:
    """Indices of up to ``count`` of the points (N, D): a first by the seed, then ever the farthest from all
    before."""
    chosen = [int(np.random.default_rng(seed).integers(len(points)))]
    distances = np.full(len(points), np.inf, dtype=np.float32)
    while len(chosen) < min(count, len(points)):
        distances = np.minimum(distances, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        distances[chosen] = -1
        chosen.append(int(distances.argmax()))
    return np.array(chosen, dtype=np.intp)


def _described(frames: Image) -> NDArray[np.float32]:
    """Thumbnails as rows, (F, D)."""
    small = [cv2.resize(frame, _THUMBNAIL, interpolation=cv2.INTER_AREA).ravel() for frame in frames]
    return np.stack(small).astype(np.float32)


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    known = _PICTURES | _VIDEOS
    found = (
        sorted(path for path in source.rglob("*") if path.suffix.lower() in known) if source.is_dir() else []
    )
    if not found:
        fault = "has no videos or pictures" if source.is_dir() else "no such file or folder"
        raise InputError(source, fault, "give calibration a video, or a folder of videos or pictures")
    return found


def _of_video(file: Path, count: int, place: _Place) -> list[Image]:
    """Up to twice ``count`` frames, evenly spread, in order."""
    kept: list[Image] = []
    spacing = 1
    with VideoFile(file, threads=1) as source:
        box = place.letterbox(source.info.width, source.info.height)
        for index, frame in enumerate(source.frames()):
            if index % spacing:
                continue
            kept.append(planes_to_network(frame.planes, box))
            if len(kept) >= 2 * count:
                kept, spacing = kept[::2], 2 * spacing
    return kept


def _of_picture(file: Path, place: _Place) -> Image:
    rgb = read_rgb(file)
    if rgb is None:
        raise InputError(file, "is not a readable picture", "copy it again, or take it out of the folder")
    return rgb_to_network(rgb, place.letterbox(rgb.shape[1], rgb.shape[0]))


def _spread(files: Sequence[Path], count: int) -> list[Path]:
    places = np.unique(np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)) if files else ()
    return [files[place] for place in places]
