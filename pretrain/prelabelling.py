"""Proposals for those who label: what a model finds in pictures, and what it finds and follows in clips."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catseye.capture.clips import CorruptClip
from catseye.capture.dataset import Clip, Dataset
from catseye.capture.geometry import Image
from catseye.errors import InputError, UsageError
from catseye.picture_files import read_rgb, write_rgb
from catseye.pretrain.clip_pictures import ClipPictures
from catseye.pretrain.frame_pool import (
    PictureForm,
    StillsPool,
    picture_name,
    spaced,
    usable_clips,
)
from catseye.pretrain.labels import LabelledImage, Labels
from catseye.pretrain.pseudo_labels import Sightings, TrackRules, join_directions, pseudo_label
from catseye.pretrain.selection import PICTURES_FOLDER, SELECTION_FILE, Picked, Selection
from catseye.progress import Progress, silent

_log = logging.getLogger(__name__)

_FOLLOWED_FROM = 0.05
"""Least score of a detection that is of use to a track."""


class Found(Protocol):
    """What a model finds in a picture: boxes (N, 4) in its pixels, scores (N,) in [0, 1] and classes (N,)."""

    @property
    def boxes_xyxy(self) -> NDArray[np.float32]: ...
    @property
    def scores(self) -> NDArray[np.float32]: ...
    @property
    def classes(self) -> NDArray[np.int32]: ...


class Proposer(Protocol):
    """A model, such as ``catseye.load`` gives."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def predict(self, rgb: Image, *, threshold: float) -> Found: ...


class Followed(Protocol):
    """Tracks of a frame: ``ids`` (N,), and the row of the detection that each was seen by, -1 for none."""

    @property
    def ids(self) -> NDArray[np.int64]: ...
    @property
    def detection_index(self) -> NDArray[np.int32]: ...


class Follower(Protocol):
    """A tracker of one stream, such as ``catseye.runtime.Tracker``."""

    def update(
        self,
        boxes_xyxy: NDArray[np.float32],
        scores: NDArray[np.float32],
        classes: NDArray[np.int32],
        *,
        time_s: float,
    ) -> Followed: ...


def pictures_of(place: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder of pictures that a path means, and their names below it.

    Args:
        place: a folder that ``select`` wrote, its ``selection.json``, a folder of pictures, or one picture.

    Raises:
        InputError: it is none of these.
    """
    document = place / SELECTION_FILE if place.is_dir() else place
    if document.name == SELECTION_FILE and document.exists():
        names = tuple(picked.file_name for picked in Selection.load(document).pictures)
        return document.parent / PICTURES_FOLDER, names
    if place.is_file():
        return place.parent, (place.name,)
    return place, tuple(frame.name for frame in StillsPool(place).frames)


def prelabel(
    folder: Path,
    names: Sequence[str],
    proposer: Proposer,
    *,
    threshold: float = 0.3,
    progress: Progress = silent,
) -> Labels:
    """Propose boxes for pictures.

    Args:
        folder, names: see ``pictures_of``.
        threshold: least score of a box that is proposed.

    Returns:
        Labels with scores, of every picture, in the order of ``names``.

    Raises:
        InputError: a picture cannot be read.
        UsageError: the threshold cannot be.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold {threshold}: takes a score above 0 and up to 1")
    images = []
    for number, name in enumerate(names, 1):
        rgb = read_rgb(folder / name)
        if rgb is None:
            raise InputError(folder / name, "is not a readable picture", "copy it again, or take it away")
        found = proposer.predict(rgb, threshold=threshold)
        kept = _with_area(found.boxes_xyxy)
        images.append(
            LabelledImage(
                file_name=name,
                width=rgb.shape[1],
                height=rgb.shape[0],
                boxes=found.boxes_xyxy[kept],
                classes=found.classes[kept],
                crowd=np.zeros(np.count_nonzero(kept), dtype=np.bool_),
                scores=found.scores[kept],
            )
        )
        progress("propose", number, len(names))
    return Labels(folder, proposer.names, tuple(images))


def prelabel_clips(
    dataset: Dataset,
    proposer: Proposer,
    follow: Callable[[], Follower],
    *,
    pictures: Path,
    rules: TrackRules,
    split: str | None = "train",
    every_s: float = 1.0,
    look_every_s: float = 0.1,
    form: PictureForm = "jpg",
    progress: Progress = silent,
) -> Labels:
    """Label frames of a dataset's usable clips by what lasts in them, and write their pictures.

    Args:
        follow: makes a tracker of one stream; one follows each clip forwards, another backwards, in which
            time runs from minus the last frame's to minus the first's.
        pictures: folder to write to.
        rules: of what is kept.
        split: of the dataset; None takes all.
        every_s: seconds between frames that are labelled.
        look_every_s: seconds between frames that are looked at, to follow what is in them.

    Returns:
        Labels with the tracks' median scores; what is in doubt is ``crowd``.

    Raises:
        InputError: no clip is left.
        UsageError: an option cannot be.
    """
    if not 0 < look_every_s <= every_s:
        raise UsageError(
            f"look_every_s {look_every_s:g}, every_s {every_s:g}: look at least as often as label"
        )
    clips = usable_clips(dataset, split)
    images: list[LabelledImage] = []
    with closing(ClipPictures(dataset)) as reader:
        for number, clip in enumerate(clips, 1):
            wanted = {frame: picture_name(clip, frame, form) for frame in spaced(clip, every_s)}
            found = _label_clip(
                clip, wanted, reader, proposer, follow, rules, look_every_s=look_every_s, write_to=pictures
            )
            images += found
            progress("follow clips", number, len(clips))
    return Labels(pictures, proposer.names, tuple(images))


def prelabel_selection(
    selection: Selection,
    dataset: Dataset,
    proposer: Proposer,
    follow: Callable[[], Follower],
    *,
    rules: TrackRules,
    look_every_s: float = 0.1,
    progress: Progress = silent,
) -> Labels:
    """The same for frames that ``select`` chose, whose pictures are there.

    Raises:
        InputError: the selection is not of this dataset.
    """
    by_id = {clip.clip_id: clip for clip in dataset.clips}
    chosen: defaultdict[str, list[Picked]] = defaultdict(list)
    for picked in selection.pictures:
        if picked.clip_id not in by_id:
            fault = f"has no clip {picked.clip_id!r}, which {picked.file_name} was chosen of"
            raise InputError(dataset.url, fault, "give the dataset of the selection, or select again")
        chosen[picked.clip_id].append(picked)
    found: dict[str, LabelledImage] = {}
    with closing(ClipPictures(dataset)) as reader:
        for number, (clip_id, frames) in enumerate(chosen.items(), 1):
            wanted = {picked.frame: picked.file_name for picked in frames if picked.frame is not None}
            labelled = _label_clip(
                by_id[clip_id], wanted, reader, proposer, follow, rules, look_every_s=look_every_s
            )
            found |= {image.file_name: image for image in labelled}
            progress("follow clips", number, len(chosen))
    images = [
        _resized(found[picked.file_name], picked.width, picked.height)
        for picked in selection.pictures
        if picked.file_name in found
    ]
    return Labels(Path(selection.pool), proposer.names, tuple(images))


def _label_clip(
    clip: Clip,
    wanted: dict[int, str],
    reader: ClipPictures,
    proposer: Proposer,
    follow: Callable[[], Follower],
    rules: TrackRules,
    *,
    look_every_s: float,
    write_to: Path | None = None,
) -> list[LabelledImage]:
    """Labels of some frames of a clip, by name; none, and a warning, where it cannot be read to its end."""
    looked = sorted({*spaced(clip, look_every_s), *wanted})
    times_s = clip.times_s[looked]
    seen: list[Found] = []
    height = width = 0
    try:
        for frame, rgb in zip(looked, reader.each(clip, looked), strict=True):
            seen.append(proposer.predict(rgb, threshold=_FOLLOWED_FROM))
            height, width = rgb.shape[:2]
            if write_to is not None and frame in wanted:
                write_rgb(write_to / wanted[frame], rgb)
    except CorruptClip as error:
        _log.warning("%s: its frames are left out", error)
        if write_to is not None:
            for name in wanted.values():
                (write_to / name).unlink(missing_ok=True)
        return []
    labels = pseudo_label(sightings(seen, times_s, follow), times_s, rules)
    inside = np.clip(labels.boxes, 0, np.array([width, height] * 2, dtype=np.float32))
    asked = _with_area(inside)
    images = []
    for place, frame in enumerate(looked):
        if frame in wanted:
            rows = (labels.frame == place) & asked
            images.append(
                LabelledImage(
                    file_name=wanted[frame],
                    width=width,
                    height=height,
                    boxes=inside[rows],
                    classes=labels.classes[rows],
                    crowd=labels.crowd[rows],
                    scores=labels.scores[rows],
                )
            )
    return images


def sightings(
    seen: Sequence[Found], times_s: NDArray[np.float64], follow: Callable[[], Follower]
) -> Sightings:
    """What was found in each frame of a clip, followed both ways."""
    counts = [len(found.scores) for found in seen]
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    frame = np.repeat(np.arange(len(seen)), counts)
    forwards, backwards = (np.full(len(frame), -1, dtype=np.int64) for _ in range(2))
    for track, order, sign in (
        (forwards, range(len(seen)), 1),
        (backwards, range(len(seen) - 1, -1, -1), -1),
    ):
        follower = follow()
        for place in order:
            found = seen[place]
            followed = follower.update(
                found.boxes_xyxy, found.scores, found.classes, time_s=sign * float(times_s[place])
            )
            by = followed.detection_index >= 0
            track[first[place] + followed.detection_index[by]] = followed.ids[by]
    return Sightings(
        frame=frame,
        boxes=np.concatenate([np.zeros((0, 4), np.float32), *(found.boxes_xyxy for found in seen)]),
        scores=np.concatenate([np.zeros(0, np.float32), *(found.scores for found in seen)]),
        classes=np.concatenate([np.zeros(0, np.int32), *(found.classes for found in seen)]),
        track=join_directions(forwards, backwards, frame),
    )


def _with_area(boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1))


def _resized(image: LabelledImage, width: int, height: int) -> LabelledImage:
    """Labels of a picture as those of the same at another size."""
    scale = np.array([width / image.width, height / image.height] * 2, dtype=np.float32)
    return replace(image, width=width, height=height, boxes=image.boxes * scale)
