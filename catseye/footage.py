"""What a demo works on: footage of the user's own, or a rendered road world."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catseye.errors import InputError, UsageError
from catseye.files import sha256_of, write_json, write_text
from catseye.progress import Progress

if TYPE_CHECKING:
    from catseye.capture.rendering import Truth


@dataclass(frozen=True)
class Footage:
    """What a demo works on.

    Args:
        train: videos to learn from.
        held_out: videos kept out of all training; one of them is tracked.
        labels: COCO, YOLO or CVAT; ``images`` is the folder its file names are relative to.
        train_list, test_list: file names to learn from and to measure on; every image where None.
    """

    train: tuple[Path, ...]
    held_out: tuple[Path, ...]
    labels: Path
    images: Path
    train_list: Path | None
    test_list: Path | None

    def digest(self) -> list[str]:
        """Identity of the videos' content and of which are held out."""
        return [*map(sha256_of, self.train), "held out", *map(sha256_of, self.held_out)]

    def labels_digest(self) -> list[str]:
        """Identity of the labels and of the lists."""
        from catseye.pretrain.label_formats import read_labels

        labels = read_labels(self.labels, images=self.images).digest()
        lists = (self.train_list, self.test_list)
        return [labels, *("none" if path is None else sha256_of(path) for path in lists)]

    def truths(self) -> dict[str, Truth]:
        """What is known of the held-out videos, by absolute path; there is none but of rendered ones."""
        from catseye.capture.rendering import load_truth

        files = {str(video.resolve()): video.with_suffix(".truth.npz") for video in self.held_out}
        return {video: load_truth(path) for video, path in files.items() if path.exists()}


def check_footage(*, videos: Sequence[Path], holdout: Path | None, labels: Path | None) -> None:
    """Refuse, before anything is done, a choice of inputs that cannot make a demo."""
    if bool(videos) != (labels is not None):
        raise UsageError("--video and --labels go together: give both, or neither to render a road world")
    if holdout is not None and not videos:
        raise UsageError("--holdout needs --video: name the footage to learn from")
    if videos and holdout is None and len(videos) < 2:
        raise UsageError("one --video alone leaves nothing to learn from: give a second one, or --holdout")
    for path in (*videos, *([holdout] if holdout else []), *([labels] if labels else [])):
        if not path.exists():
            raise InputError(path, "no such file", "check the path")
    if holdout is not None and holdout.resolve() in {path.resolve() for path in videos}:
        raise UsageError(f"--holdout {holdout} is also a --video: what is held out cannot be learned from")


def own_footage(
    *,
    videos: Sequence[Path],
    holdout: Path | None,
    labels: Path,
    train_list: Path | None,
    test_list: Path | None,
) -> Footage:
    """The user's own footage, with what lies beside the labels filled in."""

    from catseye.pretrain.label_formats import images_folder

    folder = labels if labels.is_dir() else labels.parent

    def beside(name: str) -> Path | None:
        path = folder / name
        return path if path.exists() else None

    *train, last = videos
    images = images_folder(labels)
    return Footage(
        train=tuple(train) if holdout is None else tuple(videos),
        held_out=(holdout or last,),
        labels=labels,
        images=images if images.is_dir() else folder,
        train_list=train_list or beside("train.txt"),
        test_list=test_list or beside("test.txt"),
    )


@dataclass(frozen=True)
class World:
    """How much of a road world is rendered: clips to learn from, clips held out, and seconds of each."""

    train_clips: int
    held_out_clips: int
    clip_s: float = 8.0


def render_world(folder: Path, world: World, *, seed: int, progress: Progress) -> None:
    """Render clips to learn from, and clips to hold out, with other vehicles and surroundings."""
    from catseye.capture.rendering import synth

    train, held_out = folder / "train", folder / "held-out"
    render = partial(synth, duration_s=world.clip_s, progress=progress)
    render(train, seed=seed, clips=world.train_clips, appearance="train")
    render(held_out, seed=seed + 1, clips=world.held_out_clips, appearance="heldout")
    merge_labels(folder, {"train.txt": train, "test.txt": held_out})


def rendered_footage(folder: Path) -> Footage:
    """The footage that ``render_world`` left in a folder."""
    return Footage(
        train=tuple(sorted((folder / "train").glob("*.mp4"))),
        held_out=tuple(sorted((folder / "held-out").glob("*.mp4"))),
        labels=folder / "labels.json",
        images=folder,
        train_list=folder / "train.txt",
        test_list=folder / "test.txt",
    )


def merge_labels(world: Path, folders: dict[str, Path]) -> None:
    """Write ``labels.json`` over several rendered folders, and each folder's list of stills.

    Args:
        world: where to write; file names in the labels are relative to it.
        folders: the name of the list to write, and the folder below ``world`` whose stills it names.
    """
    merged: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": []}
    for list_name, folder in folders.items():
        coco = json.loads((folder / "instances_coco.json").read_text())
        new_id = {image["id"]: len(merged["images"]) + number for number, image in enumerate(coco["images"])}
        names = [f"{folder.relative_to(world)}/images/{image['file_name']}" for image in coco["images"]]
        merged["categories"] = coco["categories"]
        merged["images"] += [
            {**image, "id": new_id[image["id"]], "file_name": file_name}
            for image, file_name in zip(coco["images"], names, strict=True)
        ]
        merged["annotations"] += [
            {**box, "id": len(merged["annotations"]) + number, "image_id": new_id[box["image_id"]]}
            for number, box in enumerate(coco["annotations"])
        ]
        write_text(world / list_name, "".join(f"{line}\n" for line in names))
    write_json(world / "labels.json", merged)
