"""Looking for wrong labels: the label file, its pictures, and a detector for a second opinion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from catseye.capture.geometry import Image
from catseye.errors import InputError
from catseye.pretrain.label_errors import KINDS, Boxes, Found, Suspicion, suspicions
from catseye.pretrain.label_formats import images_folder, read_labels
from catseye.pretrain.labels import Labels
from catseye.pretrain.picture_size import labelled_pictures
from catseye.pretrain.stills import read_picture
from catseye.progress import Progress, silent


@dataclass(frozen=True)
class SecondOpinion:
    """A detector to compare labels with.

    Args:
        name: how it is called on the page.
        classes: the names of its classes; those that the labels have too are compared.
        detect: finds in an RGB picture (H, W, 3) uint8, also with low scores; ``Found.classes`` are indices
            into ``classes``.
    """

    name: str
    classes: tuple[str, ...]
    detect: Callable[[Image], Found]


@dataclass(frozen=True)
class LabelCheck:
    """What was looked at, and what is suspicious in it, the worst first.

    Args:
        labels: as they are in the file, so that boxes may reach over the border of their image.
        folder: of the pictures.
        opinion: name of the detector; empty without one.
    """

    labels: Labels
    folder: Path
    opinion: str
    suspicions: tuple[Suspicion, ...]

    def counts(self) -> dict[str, int]:
        """How many there are of each kind; 0 also of the kinds that only a detector shows."""
        return {kind: sum(each.kind == kind for each in self.suspicions) for kind in KINDS}

    def reason(self, suspicion: Suspicion) -> str:
        """In words, why it is suspicious."""
        value, classes = suspicion.value, self.labels.classes
        other = suspicion.other_class
        seen = "" if other is None or other < 0 else classes[other]
        words = {
            "missing": f"the detector finds {seen} with {value:.2f}, and no label is there",
            "spurious": f"nothing is found there, where {value:.0%} of labels of such height are found",
            "shifted": f"the detector's {seen} overlaps it by an IoU of {value:.2f} only",
            "class": f"the detector finds {seen} in its place, at an IoU of {value:.2f}",
            "doubled": f"an earlier label of its class is in its place, at an IoU of {value:.2f}",
            "outside": f"{value:.0%} of it is outside the image",
            "improbable": f"its height or shape is {value:.1f} deviations from what is usual for its class",
        }
        return words[suspicion.kind]

    def documents(self) -> list[dict[str, Any]]:
        """Each suspicion for a machine; boxes as corners in pixels."""
        return [self._document(each) for each in self.suspicions]

    def _document(self, each: Suspicion) -> dict[str, Any]:
        image = self.labels.images[each.image]
        labelled = None if each.row is None else self.labels.classes[image.classes[each.row]]
        proposed = None if each.other_class is None else self.labels.classes[each.other_class]
        return {
            "kind": each.kind,
            "score": round(each.score, 4),
            "image": image.file_name,
            "label": each.row,
            "class": labelled,
            "box": _rounded(each.box),
            "other_box": None if each.other is None else _rounded(each.other),
            "other_class": proposed,
            "reason": self.reason(each),
        }


def check_labels(
    path: str | Path,
    *,
    images: Path | None = None,
    opinion: SecondOpinion | None = None,
    progress: Progress = silent,
) -> LabelCheck:
    """Look for labels that are probably wrong, see ``label_errors``.

    Args:
        path: of the labels, in any format.
        images: folder of the pictures, by default ``images`` beside the labels.
        opinion: without it, labels are only compared among themselves.

    Raises:
        InputError: the labels are broken, a picture is absent or of another size, or labels and detector
            have no class in common.
    """
    labels = read_labels(path, images=images, clip=False)
    folder = images_folder(path) if images is None else images
    pictures = labelled_pictures(labels, folder)
    if opinion is None:
        return LabelCheck(labels, folder, "", tuple(suspicions(labels.images)))
    index = {name: number for number, name in enumerate(labels.classes)}
    if not set(index) & set(opinion.classes):
        fault = f"has classes {', '.join(labels.classes)}, and {opinion.name} {', '.join(opinion.classes)}"
        raise InputError(labels.path, fault, "give a detector of the classes that are labelled")
    ours = np.array([index.get(name, -1) for name in opinion.classes], dtype=np.int32)
    found = []
    for label, picture in zip(labels.images, pictures, strict=True):
        boxes, scores, classes = opinion.detect(read_picture(picture, label))
        found.append(Found(boxes, scores, ours[classes]))
        progress("check labels", len(found), len(pictures))
    return LabelCheck(labels, folder, opinion.name, tuple(suspicions(labels.images, found)))


def _rounded(box: Boxes) -> list[float]:
    return [round(float(corner), 2) for corner in box]
