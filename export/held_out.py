"""Frames kept out of training, on which the task's own metrics of an engine are measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catseye.capture.dataset import Dataset, open_dataset
from catseye.capture.geometry import Image, Letterbox, letterbox
from catseye.capture.manifest import Clip
from catseye.capture.rendering import load_truth
from catseye.capture.rendering.truth import Truth as RenderedTruth
from catseye.errors import InputError, UsageError
from catseye.pretrain.appearance_scenes import spaced
from catseye.pretrain.clip_pictures import ClipPictures
from catseye.pretrain.clip_sampler import network_intrinsics
from catseye.pretrain.depth_probe import rows_of
from catseye.pretrain.detection_metrics import Truth
from catseye.pretrain.label_formats import images_folder, read_labels
from catseye.pretrain.labels import Labels, read_image_list
from catseye.pretrain.pseudo_tracks import PseudoTracks
from catseye.pretrain.stills import read_picture
from catseye.progress import Progress, silent
from catseye.runtime.engines.base import Inputs
from catseye.runtime.manifest import Manifest
from catseye.runtime.network_input import picture_input, pictures_input

_FRAMES_A_CLIP = 32
_EVERY_S = 0.16
_LEAST_SEEN, _LEAST_HEIGHT = 0.5, 10


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Which frames. What is not given is not measured.

    Args:
        labels: labelled stills, see ``read_labels``.
        test_list: file with the names of those that were kept out; by default all of ``labels`` were.
        images: folder that the names are relative to; by default where the labels' format has them.
        dataset: folder or URL of a dataset, whose clips of the split ``split`` tell of depth and embedding.
        most_stills, most_frames: more than these are drawn from by ``seed``; all are held in memory.

    Raises:
        UsageError: an option has a value that cannot be.
    """

    labels: Path | None = None
    test_list: Path | None = None
    images: Path | None = None
    dataset: str | Path | None = None
    split: str = "test"
    most_stills: int = 500
    most_frames: int = 320
    seed: int = 0

    def __post_init__(self) -> None:
        if self.labels is None and self.dataset is None:
            raise UsageError("held-out frames: give labels, a dataset, or both")
        if self.labels is None and (self.test_list or self.images):
            raise UsageError("held-out frames: a list or a folder of images needs labels")
        for name in ("most_stills", "most_frames"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)}: must be above 0")


@dataclass(frozen=True, eq=False)
class HeldOutStill:
    """A labelled still: network input without a batch axis, how it lies in it, and what is to be found, by
    the network's own class indices."""

    frame: Inputs
    box: Letterbox
    truth: Truth


@dataclass(frozen=True, eq=False)
class HeldOutClip:
    """Frames of a clip, some time apart.

    Args:
        drive: of two drives, no vehicle is the same.
        frames: T frames of network input.
        box: how the source's frames lie in it.
        focal_px: fx in network pixels.
        times_s: (T,) seconds.
        depth: of each frame the true depth in metres, each a map of a whole picture; empty where unknown.
        tracks: which vehicles are where, ``frames`` counting those above and boxes in network pixels; None
            where nobody knows.
    """

    drive: str
    frames: Inputs
    box: Letterbox
    focal_px: float
    times_s: NDArray[np.float64]
    depth: tuple[NDArray[np.float32], ...]
    tracks: PseudoTracks | None


@dataclass(frozen=True)
class HeldOutFrames:
    """What ``read_held_out`` has decoded."""

    stills: tuple[HeldOutStill, ...]
    clips: tuple[HeldOutClip, ...]


def held_out_labels(held_out: HeldOut) -> tuple[Labels, Path] | None:
    """The labels of the stills to measure on and the folder of their pictures; None without labels.

    Raises:
        InputError: labels or list are not what they must be, or name no object.
    """
    if held_out.labels is None:
        return None
    labels = read_labels(held_out.labels, images=held_out.images)
    if held_out.test_list is not None:
        labels = labels.only(read_image_list(held_out.test_list), source=held_out.test_list)
    few = _drawn(len(labels.images), held_out.most_stills, seed=held_out.seed)
    labels = replace(labels, images=tuple(labels.images[index] for index in few))
    if not any((~image.crowd).any() for image in labels.images):
        source = held_out.test_list or held_out.labels
        raise InputError(source, "leaves no still with a labelled object", "name stills that have some")
    folder = images_folder(held_out.labels) if held_out.images is None else held_out.images
    return labels, folder


def read_held_out(held_out: HeldOut, manifest: Manifest, *, progress: Progress = silent) -> HeldOutFrames:
    """Decode all frames once, as input of a bundle's network.

    Raises:
        InputError: labels, pictures or dataset are not what they must be, the labels have a class that the
            network does not, or the split has no usable clip.
        CorruptClip: a clip cannot be read.
    """
    found = held_out_labels(held_out)
    stills = () if found is None else _stills(*found, manifest, progress=progress)
    clips: tuple[HeldOutClip, ...] = ()
    if held_out.dataset is not None:
        dataset = open_dataset(held_out.dataset)
        clips = _clips(dataset, held_out, manifest, progress=progress)
    return HeldOutFrames(stills, clips)


def held_out_pictures(held_out: HeldOut) -> Iterator[Image]:
    """The stills (H, W, 3) uint8 as they are, in the order of ``HeldOutFrames.stills``.

    Raises:
        InputError: as ``read_held_out``.
    """
    found = held_out_labels(held_out)
    if found is not None:
        labels, folder = found
        for label, path in zip(labels.images, labels.pictures(folder), strict=True):
            yield read_picture(path, label)


def _stills(
    labels: Labels, folder: Path, manifest: Manifest, *, progress: Progress
) -> tuple[HeldOutStill, ...]:
    unknown = [name for name in labels.classes if name not in manifest.classes]
    if unknown:
        fault = f"has the class {unknown[0]!r}, the network has {', '.join(manifest.classes)}"
        raise InputError(labels.path, fault, "give labels with the classes that it was taught")
    of_network = np.array([manifest.classes.index(name) for name in labels.classes], dtype=np.int32)
    stills = []
    for label, path in zip(labels.images, labels.pictures(folder), strict=True):
        rgb = read_picture(path, label)
        box = manifest.network.letterbox(label.width, label.height)
        truth = Truth(label.boxes, of_network[label.classes], label.crowd)
        stills.append(HeldOutStill(picture_input(rgb, manifest.network), box, truth))
        progress("held-out stills", len(stills), len(labels.images))
    return tuple(stills)


def _clips(
    dataset: Dataset, held_out: HeldOut, manifest: Manifest, *, progress: Progress
) -> tuple[HeldOutClip, ...]:
    usable = [clip for clip in dataset.select(split=held_out.split) if len(clip)]
    if not usable:
        fault = f"has no usable clip in the split {held_out.split!r}"
        raise InputError(dataset.url, fault, "ingest with a hold-out")
    most = max(1, held_out.most_frames // _FRAMES_A_CLIP)
    few = [usable[index] for index in _drawn(len(usable), most, seed=held_out.seed)]
    truths = _truths(few)
    pictures = ClipPictures(dataset)
    clips = []
    for clip in few:
        truth = truths.get(clip.source)
        clips.append(_clip(clip, pictures, truth, manifest, dataset, most=held_out.most_frames))
        progress("held-out clips", len(clips), len(few))
    pictures.close()
    return tuple(clips)


def _truths(clips: Sequence[Clip]) -> dict[str, RenderedTruth]:
    """The truth of sources that have it beside them, as rendered ones do."""
    files = {clip.source: Path(clip.source).with_suffix(".truth.npz") for clip in clips}
    return {source: load_truth(file) for source, file in files.items() if file.is_file()}


def _clip(
    clip: Clip,
    pictures: ClipPictures,
    truth: RenderedTruth | None,
    manifest: Manifest,
    dataset: Dataset,
    *,
    most: int,
) -> HeldOutClip:
    chosen = spaced(clip, _EVERY_S)[: min(_FRAMES_A_CLIP, most)]
    found, _ = pictures.read(clip, chosen)
    box = manifest.network.letterbox(found.shape[2], found.shape[1])
    rows = None if truth is None else rows_of(truth, clip.pts[chosen])
    depth: tuple[NDArray[np.float32], ...] = ()
    tracks = None
    if truth is not None and rows is not None:
        depth = tuple(np.asarray(truth.depth[row], dtype=np.float32) for row in rows)
        # Boxes of a truth are in pixels of the source, which shards are shrunk from.
        tracks = _true_tracks(truth, rows, manifest.network.letterbox(clip.width, clip.height))
    size = {"width": dataset.info.width, "height": dataset.info.height}
    in_dataset = letterbox(clip.width, clip.height, **size)
    focal_px = network_intrinsics(clip, **size)[0] * dataset.info.width
    return HeldOutClip(
        drive=clip.drive,
        frames=pictures_input(found, manifest.network),
        box=box,
        focal_px=focal_px * box.scaled_width / in_dataset.scaled_width,
        times_s=clip.times_s[chosen],
        depth=depth,
        tracks=tracks,
    )


def _true_tracks(truth: RenderedTruth, rows: NDArray[np.int64], box: Letterbox) -> PseudoTracks:
    """The vehicles of some frames that are seen well enough to be known again."""
    frames, boxes, owners = [], [], []
    for place, row in enumerate(rows.tolist()):
        here = truth.frame_index == row
        tall = truth.boxes[:, 3] - truth.boxes[:, 1] >= _LEAST_HEIGHT
        clear = here & tall & (truth.visibility >= _LEAST_SEEN)
        frames.append(np.full(int(clear.sum()), place))
        boxes.append(box.boxes_to_network(truth.boxes[clear]))
        owners.append(truth.track_ids[clear])
    numbers = np.unique(np.concatenate(owners), return_inverse=True)[1]
    return PseudoTracks(np.concatenate(frames), np.concatenate(boxes), numbers.reshape(-1))


def _drawn(count: int, most: int, *, seed: int) -> list[int]:
    """Indices below ``count`` in order, at most so many of them, by chance where there are more."""
    order = np.random.default_rng(seed).permutation(count)[:most]
    return sorted(int(index) for index in order)
