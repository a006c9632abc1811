"""The contract ``detection.json``."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from catseye.contract import Contract


class Band(BaseModel):
    """AP50 of the objects within a band; None where there is none to find."""

    model_config = ConfigDict(frozen=True)

    name: str
    objects: int = Field(ge=0)
    ap50: float | None


class ClassFigures(BaseModel):
    """How one class fares.

    Args:
        objects: labelled ones that are to be found.
        ap, ap50: over IoU 0.50 to 0.95, and at 0.50; None without an object.
        precision, recall: at the threshold of the report.
        curve: recall, precision and score from which on they hold, the highest score first.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    objects: int = Field(ge=0)
    ap: float | None
    ap50: float | None
    precision: float
    recall: float
    curve: tuple[tuple[float, float, float], ...] = ()


class BadCase(BaseModel):
    """A miss or a false alarm, its box in source pixels."""

    model_config = ConfigDict(frozen=True)

    file_name: str
    box: tuple[float, float, float, float]
    name: str
    score: float
    why: str


class DetectionReport(Contract):
    """What a detector finds and misses on labelled stills.

    Args:
        labels: path of the label file.
        threshold: the score that serves F1 best over all classes; None where nothing is right.
        classes: in the order of the labels.
        heights, distances: AP50 by band; no distances where the labels give none.
        confusion: counts by labelled class, down, and the one found, across; last is background.
        misses, false_alarms: the worst, at the threshold.
    """

    VERSION: ClassVar[str] = "1.0"
    REMEDY: ClassVar[str] = "fine-tune again"

    labels: str
    stills: int
    threshold: float | None
    figures: dict[str, float]
    classes: tuple[ClassFigures, ...]
    heights: tuple[Band, ...]
    distances: tuple[Band, ...]
    confusion: tuple[tuple[int, ...], ...]
    misses: tuple[BadCase, ...]
    false_alarms: tuple[BadCase, ...]
