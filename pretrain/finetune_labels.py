"""The labels of a fine-tuning run: to learn from, to check on, to measure on, and extra ones."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from catseye.errors import InputError
from catseye.pretrain.class_map import check_class_names, renamed_classes, with_classes
from catseye.pretrain.finetune_config import FinetuneConfig
from catseye.pretrain.label_formats import images_folder, read_labels
from catseye.pretrain.labels import LabelledImage, Labels, split_labels
from catseye.pretrain.repeat_factors import repeat_factors
from catseye.pretrain.stills import StillPool, load_stills
from catseye.pretrain.validation_part import keep_back
from catseye.progress import Progress

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelSource:
    """Where labels come from.

    Args:
        labels: of any format that ``read_labels`` takes.
        images: folder that its file names are relative to; by default what ``images_folder`` says.
    """

    labels: Path
    images: Path | None = None

    @property
    def folder(self) -> Path:
        return images_folder(self.labels) if self.images is None else self.images


@dataclass(frozen=True)
class RunLabels:
    """Labels of one class list, in parts that share no picture.

    Args:
        learn: to learn from.
        check: kept back from those, for early stopping; without images where it is not asked for.
        test: to measure on; without images where none are named.
        folder: of their pictures.
        extra: others to learn from, with pictures in ``extra_folder``; None without.
        fingerprint: hex SHA-256 of the files and of the names of the images trained and measured on.
    """

    learn: Labels
    check: Labels
    test: Labels
    folder: Path
    extra: Labels | None
    extra_folder: Path
    fingerprint: str

    @property
    def classes(self) -> tuple[str, ...]:
        return self.learn.classes

    def pool(self, config: FinetuneConfig, *, progress: Progress) -> StillPool:
        """Decode what is learned from.

        Raises:
            InputError: a picture is absent or does not fit its labels.
        """
        size = {"width": config.width, "height": config.height}
        stills = load_stills(self.learn, self.folder, **size, progress=progress)
        factors = repeat_factors(
            [image.classes[~image.crowd] for image in self.learn.images],
            num_classes=len(self.classes),
            threshold=config.repeat_rare,
        )
        extra = load_stills(self.extra, self.extra_folder, **size, progress=progress) if self.extra else ()
        return StillPool(stills, tuple(factors.tolist()), extra)


def read_run_labels(
    source: LabelSource,
    *,
    train_list: Path | None,
    test_list: Path | None,
    extra: LabelSource | None,
    config: FinetuneConfig,
) -> RunLabels:
    """Read labels and lists, bring all to one list of classes, and part them.

    Raises:
        InputError: labels or lists are not what they must be, a picture is absent or in two parts, or there
            is nothing to learn from.
        UsageError: classes are named that no labels have, or a batch has no room for both kinds of labels.
    """
    everything = read_labels(source.labels, images=source.images)
    other = None if extra is None else read_labels(extra.labels, images=extra.images)
    known = [everything] if other is None else [everything, other]
    check_class_names(known, config.class_map, config.classes)
    mapped = with_classes(everything, config.class_map, config.classes)
    train, test = split_labels(mapped, train_list, test_list)
    _require_objects(train, train_list or source.labels)
    names = [[image.file_name for image in part.images] for part in (train, test)]
    fingerprint = f"{everything.digest()} {names}"
    learn, check = train, replace(train, images=())
    if config.patience:
        learn, check = keep_back(train, share=config.validation_share, group_from=config.group_from)
    if extra is not None and other is not None:
        config.extra_of_a_batch()
        digest = other.digest()
        other = _extra_labels(other, mapped.classes, config)
        other = _apart(other, extra, check, test, folder=source.folder)
        fingerprint += f" {digest}"
    return RunLabels(
        learn,
        check,
        test,
        source.folder,
        other,
        source.folder if extra is None else extra.folder,
        hashlib.sha256(fingerprint.encode()).hexdigest(),
    )


def _extra_labels(other: Labels, classes: tuple[str, ...], config: FinetuneConfig) -> Labels:
    """Extra labels by the classes of the others; what is of none of them is left out, and counted."""
    extra = with_classes(other, config.class_map, classes)
    left_out = _boxes(other) - _boxes(extra)
    if not any((~image.crowd).any() for image in extra.images):
        found = ", ".join(renamed_classes(other, config.class_map))
        fault = f"has no object of a class {', '.join(classes)}; its own are {found}"
        raise InputError(other.path, fault, "say with --class-map what its classes are called here")
    if left_out:
        _LOG.warning("%s: %d boxes are of classes that are not to be found", other.path, left_out)
    return extra


def _apart(extra: Labels, source: LabelSource, check: Labels, test: Labels, *, folder: Path) -> Labels:
    """Extra labels without pictures that are checked on; refuses those that are measured on."""
    paths = {image.file_name: path.resolve() for image, path in _located(extra, source.folder)}
    measured = {path.resolve() for _, path in _located(test, folder)}
    both = sorted(name for name, path in paths.items() if path in measured)
    if both:
        fault = f"{len(both)} of its pictures are to be measured on, first {both[0]!r}"
        raise InputError(extra.path, fault, "take them out of the extra labels")
    checked = {path.resolve() for _, path in _located(check, folder)}
    return extra.without(name for name, path in paths.items() if path in checked)


def _located(labels: Labels, folder: Path) -> list[tuple[LabelledImage, Path]]:
    return list(zip(labels.images, labels.pictures(folder), strict=True))


def _require_objects(train: Labels, source: Path) -> None:
    if not _boxes(train):
        raise InputError(source, "leaves no labelled object to train on", "label more images")


def _boxes(labels: Labels) -> int:
    return sum(len(image.boxes) for image in labels.images)
