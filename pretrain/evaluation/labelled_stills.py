"""The labelled stills of an evaluation: those that probes learn from, and those that all is measured on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from catseye.errors import InputError, UsageError
from catseye.pretrain.augment import Still
from catseye.pretrain.evaluation.summary import ProbedStills
from catseye.pretrain.label_formats import images_folder, read_labels
from catseye.pretrain.labels import Labels, split_labels
from catseye.pretrain.run_options import require_network_size
from catseye.pretrain.stills import load_stills
from catseye.progress import Progress


@dataclass(frozen=True)
class StillsOptions:
    """Which labelled stills, and how probes look at them.

    Args:
        labels: COCO, YOLO or CVAT, see ``read_labels``.
        test_list: file with the names to measure on.
        train_list: file with the names to learn from; by default all but those of ``test_list``.
        images: folder that the names are relative to; by default ``images`` beside ``labels``.
        learn_from: stills that the probes learn from, drawn by the seed; 0 takes all.
        width, height: size in pixels, multiples of 32.

    Raises:
        UsageError: an option has a value that cannot be.
    """

    labels: Path
    test_list: Path
    train_list: Path | None = None
    images: Path | None = None
    learn_from: int = 100
    width: int = 448
    height: int = 256

    def __post_init__(self) -> None:
        require_network_size(self.width, self.height)
        if self.learn_from < 0:
            raise UsageError(f"probe stills {self.learn_from}: cannot be negative")

    @property
    def folder(self) -> Path:
        """Where the pictures are."""
        return images_folder(self.labels) if self.images is None else self.images

    def read(self) -> Labels:
        """All of the labels.

        Raises:
            InputError: they are not what they must be.
        """
        return read_labels(self.labels, images=self.images)


@dataclass(frozen=True)
class LabelledStills:
    """Labels and decoded pictures, in the same order.

    Args:
        folder: of the pictures.
        width, height: size in pixels at which probes look at them.
    """

    folder: Path
    train: Labels
    test: Labels
    train_stills: list[Still]
    test_stills: list[Still]
    width: int
    height: int

    def described(self) -> ProbedStills:
        return ProbedStills(
            labels=str(self.test.path),
            train=len(self.train_stills),
            test=len(self.test_stills),
            width=self.width,
            height=self.height,
        )


def choose_stills(options: StillsOptions, *, seed: int) -> tuple[Labels, Labels]:
    """The labels to learn from, of as many stills as asked for, and those to measure on.

    Raises:
        InputError: a file is not what it must be, a list is empty, an image is in both lists, or one of the
            two has no labelled object.
    """
    train, test = split_labels(options.read(), options.train_list, options.test_list)
    drawn = np.random.default_rng(seed).permutation(len(train.images))
    few = sorted(drawn[: options.learn_from or None].tolist())
    train = replace(train, images=tuple(train.images[index] for index in few))
    for part, source in ((train, options.train_list or options.labels), (test, options.test_list)):
        if not any((~image.crowd).any() for image in part.images):
            raise InputError(source, "leaves no still with a labelled object", "name stills that have some")
    return train, test


def read_stills(options: StillsOptions, *, seed: int, progress: Progress) -> LabelledStills:
    """Choose and decode them.

    Raises:
        InputError: as ``choose_stills``, or a picture is absent or of another size than its labels.
    """
    train, test = choose_stills(options, seed=seed)
    folder = options.folder
    width, height = options.width, options.height
    train_stills, test_stills = (
        load_stills(part, folder, width=width, height=height, progress=progress) for part in (train, test)
    )
    return LabelledStills(folder, train, test, train_stills, test_stills, width, height)
