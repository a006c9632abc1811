"""Where appearance is learned from: clips whose boxes were linked, or labelled stills, each box by itself."""

from __future__ import annotations

import json
import logging
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catseye.capture.clips import ClipReader, CorruptClip, Request
from catseye.capture.dataset import Dataset
from catseye.capture.geometry import Image
from catseye.capture.manifest import Clip
from catseye.errors import InputError
from catseye.files import replacing
from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.labels import Labels
from catseye.pretrain.pseudo_tracks import LinkOptions, PseudoTracks, link
from catseye.pretrain.stills import read_picture
from catseye.progress import Progress, silent

_LOG = logging.getLogger(__name__)

Detect = Callable[[Image], Detections]
"""Detects in an RGB picture (H, W, 3) uint8, in the picture's own pixels."""


@dataclass(frozen=True)
class Scene:
    """The boxes of one clip or still.

    Args:
        name: of the clip or the file.
        drive: what may have the same vehicles in it; of two drives, no vehicle is the same.
        tracks: its boxes.
    """

    name: str
    drive: str
    tracks: PseudoTracks


class Scenes(ABC):
    """Scenes with at least one box each, and their pictures. For one thread at a time."""

    scenes: tuple[Scene, ...]

    @abstractmethod
    def read(self, wanted: Sequence[tuple[int, int]]) -> list[Image]:
        """Pictures (H, W, 3) uint8 RGB of (scene, frame) pairs."""


class ClipScenes(Scenes):
    """Clips of a dataset, read from its shards."""

    def __init__(self, dataset: Dataset, scenes: Sequence[Scene]) -> None:
        self.scenes = tuple(scenes)
        self._clips = {clip.clip_id: clip for clip in dataset.clips}
        self._reader = ClipReader(dataset)

    def read(self, wanted: Sequence[tuple[int, int]]) -> list[Image]:
        requests = [Request(self._clips[self.scenes[scene].name], [frame]) for scene, frame in wanted]
        pictures = []
        for found in self._reader.read_many(requests):
            if isinstance(found, CorruptClip):
                raise found
            pictures.append(found[0])
        return pictures


class StillScenes(Scenes):
    """Labelled stills: every box is a vehicle of its own, seen once.

    All count as of one drive, since two stills may show the same vehicle.
    """

    def __init__(self, labels: Labels, folder: Path) -> None:
        self._images = [image for image in labels.images if not image.crowd.all()]
        if not self._images:
            raise InputError(labels.path, "has no labelled object", "label more images")
        labels.pictures(folder)
        self._folder = folder
        self.scenes = tuple(
            Scene(image.file_name, "", _each_its_own(image.boxes[~image.crowd])) for image in self._images
        )

    def read(self, wanted: Sequence[tuple[int, int]]) -> list[Image]:
        images = [self._images[scene] for scene, _ in wanted]
        return [read_picture(self._folder / image.file_name, image) for image in images]


def linked_scenes(
    dataset: Dataset,
    clips: Sequence[Clip],
    detect: Detect,
    options: LinkOptions,
    *,
    every_s: float,
    progress: Progress = silent,
) -> list[Scene]:
    """Detect in frames of clips at least ``every_s`` seconds apart, and link them; clips without a box are
    left out, and so are those that cannot be read."""
    reader = ClipReader(dataset)
    scenes = []
    for number, clip in enumerate(clips):
        frames = spaced(clip, every_s)
        try:
            pictures = reader.read(clip, frames)
        except CorruptClip as error:
            _LOG.warning("%s: left out", error)
            continue
        found = [detect(picture) for picture in pictures]
        tracks = link(found, frames, clip.times_s[frames].tolist(), options)
        if tracks.count:
            scenes.append(Scene(clip.clip_id, clip.drive, tracks))
        progress("pseudo-tracks", number + 1, len(clips))
    return scenes


def _each_its_own(boxes: NDArray[np.float32]) -> PseudoTracks:
    return PseudoTracks(np.zeros(len(boxes), np.int64), boxes, np.arange(len(boxes)))


def spaced(clip: Clip, every_s: float) -> list[int]:
    """Indices of a clip's frames, each the first that is at least ``every_s`` after the one before."""
    chosen, due = [], -np.inf
    for index, time_s in enumerate(clip.times_s.tolist()):
        if time_s >= due - 1e-6:
            chosen.append(index)
            due = time_s + every_s
    return chosen


def save_scenes(path: Path, scenes: Sequence[Scene], *, identity: object) -> None:
    """Write linked scenes, and what they follow from, as one npz."""
    document = {"identity": identity, "scenes": [[scene.name, scene.drive] for scene in scenes]}
    arrays = {
        f"{number}.{name}": value
        for number, scene in enumerate(scenes)
        for name, value in asdict(scene.tracks).items()
    }
    with replacing(path) as aside:
        np.savez_compressed(aside, document=np.array(json.dumps(document)), **arrays)


def load_scenes(path: Path, *, identity: object) -> list[Scene] | None:
    """Read what ``save_scenes`` wrote, or None where it is absent, damaged or follows from something else."""
    columns = [field.name for field in fields(PseudoTracks)]
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            document = json.loads(str(archive["document"]))
            if document["identity"] != json.loads(json.dumps(identity)):
                return None
            return [
                Scene(name, drive, PseudoTracks(*(archive[f"{number}.{column}"] for column in columns)))
                for number, (name, drive) in enumerate(document["scenes"])
            ]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
