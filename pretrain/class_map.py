"""Which classes are to be found: names of one label file brought to those of another, or to fewer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from catseye.errors import UsageError
from catseye.pretrain.labels import LabelledImage, Labels


def renamed_classes(labels: Labels, class_map: Mapping[str, str]) -> tuple[str, ...]:
    """The labels' classes by their new names, each once, in the order of the labels'."""
    return tuple(dict.fromkeys(class_map.get(name, name) for name in labels.classes))


def with_classes(labels: Labels, class_map: Mapping[str, str], classes: Sequence[str] = ()) -> Labels:
    """The same labels with classes renamed, and those of ``classes`` alone, in that order.

    Boxes of other classes are left out, so that their places are background. Without ``classes`` all are
    kept. A class of ``classes`` that the labels do not have is one without boxes.
    """
    classes = tuple(classes) or renamed_classes(labels, class_map)
    if classes == labels.classes and not class_map:
        return labels
    index = {name: number for number, name in enumerate(classes)}
    table = np.array([index.get(class_map.get(name, name), -1) for name in labels.classes], dtype=np.int32)
    return replace(labels, classes=classes, images=tuple(_reindexed(each, table) for each in labels.images))


def check_class_names(known: Sequence[Labels], class_map: Mapping[str, str], classes: Sequence[str]) -> None:
    """Refuse names that none of several labels has.

    Raises:
        UsageError: such a name is mapped, or asked for.
    """
    names = list(dict.fromkeys(name for labels in known for name in labels.classes))
    for name, other in class_map.items():
        if name not in names:
            raise UsageError(f"class_map {name}={other}: there is no class {name!r}, but {_told(names)}")
    renamed = list(dict.fromkeys(name for labels in known for name in renamed_classes(labels, class_map)))
    for name in classes:
        if name not in renamed:
            raise UsageError(f"classes {','.join(classes)}: there is no class {name!r}, but {_told(renamed)}")


def _reindexed(image: LabelledImage, table: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> LabelledImage:
    classes = table[image.classes]
    rows = classes >= 0
    return replace(image.kept(rows), classes=classes[rows])


def _told(names: Sequence[str]) -> str:
    return ", ".join(names)
