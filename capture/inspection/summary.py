"""The numbers of an inspection: totals, sums by kind, histograms, and what is over- and under-represented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catseye.capture.dataset import Dataset
from catseye.capture.ingest_file import UNREADABLE
from catseye.capture.inspection.balance import Balance, balances
from catseye.capture.inspection.columns import KMH_PER_MPS, Columns, Flags, Floats, Texts, columns_of

UNKNOWN = "not known"

_BINS = 24
_COMMON_PART = 99.0


@dataclass(frozen=True)
class Group:
    """Clips that have something in common: how many, how long, and how much of it can be trained on."""

    name: str
    clips: int
    hours: float
    usable_clips: int
    usable_hours: float


@dataclass(frozen=True)
class Histogram:
    """Hours by the value of something.

    Args:
        name, unit: what of.
        edges: (B + 1,) of the bins; the last one takes in what lies beyond.
        usable_hours, set_aside_hours: (B,).
        unknown_hours: without a value.
    """

    name: str
    unit: str
    edges: tuple[float, ...]
    usable_hours: tuple[float, ...]
    set_aside_hours: tuple[float, ...]
    unknown_hours: float


@dataclass(frozen=True)
class FileNote:
    """A file and what is the matter with it."""

    source: str
    reason: str


@dataclass(frozen=True)
class Totals:
    """Sums over the dataset. Clips are rows with frames; the days are UTC, and empty where unknown."""

    hours: float
    usable_hours: float
    clips: int
    usable_clips: int
    frames: int
    files: int
    drives: int
    vehicles: int
    cameras: int
    first_day: str
    last_day: str


@dataclass(frozen=True)
class InspectionSummary:
    """What is in a dataset.

    Args:
        dataset: its URL.
        fingerprint, created_by, width, height: of ``dataset.json``.
        totals: sums over all of it.
        groups: by ``camera``, ``vehicle``, ``day``, ``tag``, ``split``, ``drive`` and ``reason`` (why
            set aside), most hours first, days in their order. A clip counts once for each of its tags.
        histograms: speed, brightness, sharpness, motion, and hour of the day.
        balances: what is over- and under-represented among the usable hours.
        unreadable: files of which something or all could not be read.
        duplicates: files and clips that repeat others.
    """

    dataset: str
    fingerprint: str
    created_by: str
    width: int
    height: int
    totals: Totals
    groups: Mapping[str, tuple[Group, ...]]
    histograms: tuple[Histogram, ...]
    balances: tuple[Balance, ...]
    unreadable: tuple[FileNote, ...]
    duplicates: tuple[FileNote, ...]

    def to_document(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def summarise(dataset: Dataset) -> InspectionSummary:
    """Sum up a dataset's rows."""
    rows = columns_of(dataset.clips)
    return InspectionSummary(
        dataset=dataset.url,
        fingerprint=dataset.fingerprint,
        created_by=dataset.info.created_by,
        width=dataset.info.width,
        height=dataset.info.height,
        totals=totals(rows),
        groups=groups(rows),
        histograms=histograms(rows),
        balances=balances(rows),
        unreadable=notes(rows, _with_tag(rows, UNREADABLE)),
        duplicates=notes(rows, _with_tag(rows, "duplicate")),
    )


def totals(rows: Columns) -> Totals:
    has_frames = rows.frames > 0
    days = np.unique(rows.day[rows.day != ""])
    return Totals(
        hours=float(rows.hours.sum()),
        usable_hours=float(rows.hours[rows.usable].sum()),
        clips=int(has_frames.sum()),
        usable_clips=int(rows.usable.sum()),
        frames=int(rows.frames.sum()),
        files=len(np.unique(rows.source)),
        drives=_named(rows.drive),
        vehicles=_named(rows.vehicle),
        cameras=_named(rows.camera),
        first_day=str(days[0]) if len(days) else "",
        last_day=str(days[-1]) if len(days) else "",
    )


def groups(rows: Columns) -> dict[str, tuple[Group, ...]]:
    """Sums by what clips have in common."""
    filmed = rows.frames > 0
    return {
        "camera": group_by(rows, rows.camera, filmed),
        "vehicle": group_by(rows, rows.vehicle, filmed),
        "day": tuple(sorted(group_by(rows, rows.day, filmed), key=lambda group: group.name)),
        "tag": _by_tag(rows, filmed),
        "split": group_by(rows, rows.split, filmed),
        "drive": group_by(rows, rows.drive, filmed),
        "reason": group_by(rows, rows.reason, filmed & ~rows.usable),
    }


def group_by(rows: Columns, names: Texts, among: Flags) -> tuple[Group, ...]:
    """Sums over the rows ``among`` by their names, most hours first."""
    distinct, which = np.unique(names[among], return_inverse=True)
    hours, usable = rows.hours[among], rows.usable[among]
    count = len(distinct)
    sums = zip(
        distinct.tolist(),
        np.bincount(which, minlength=count).tolist(),
        np.bincount(which, hours, minlength=count).tolist(),
        np.bincount(which, usable, minlength=count).astype(int).tolist(),
        np.bincount(which, hours * usable, minlength=count).tolist(),
        strict=True,
    )
    found = (Group(name or UNKNOWN, *numbers) for name, *numbers in sums)
    return tuple(sorted(found, key=lambda group: (-group.hours, -group.clips, group.name)))


def histograms(rows: Columns) -> tuple[Histogram, ...]:
    speed_kmh = rows.frame_speed_mps.astype(np.float64) * KMH_PER_MPS
    of_frames = (rows.frame_hours, rows.usable[rows.frame_row])
    of_clips = (rows.hours, rows.usable)
    return (
        histogram("speed", "km/h", speed_kmh, *of_frames, edges=_round_edges(speed_kmh)),
        histogram("brightness", "mean level", rows.brightness, *of_clips, edges=np.linspace(0, 256, 33)),
        histogram(
            "sharpness",
            "variance of the Laplacian",
            rows.sharpness,
            *of_clips,
            edges=_round_edges(rows.sharpness),
        ),
        histogram("motion", "levels in 0.2 s", rows.motion, *of_clips, edges=_round_edges(rows.motion)),
        histogram("hour of the day", "UTC", rows.hour_of_day, *of_clips, edges=np.linspace(0, 24, 25)),
    )


def histogram(
    name: str, unit: str, values: NDArray[np.floating[Any]], hours: Floats, usable: Flags, *, edges: Floats
) -> Histogram:
    """Hours by value. What lies beyond an end counts in the bin there."""
    known = np.isfinite(values)
    inside = np.clip(values[known], edges[0], np.nextafter(edges[-1], edges[0]))
    kept = np.histogram(inside, edges, weights=(hours * usable)[known])[0]
    aside = np.histogram(inside, edges, weights=(hours * ~usable)[known])[0]
    return Histogram(
        name=name,
        unit=unit,
        edges=tuple(edges.tolist()),
        usable_hours=tuple(kept.tolist()),
        set_aside_hours=tuple(aside.tolist()),
        unknown_hours=float(hours[~known].sum()),
    )


def notes(rows: Columns, among: Flags) -> tuple[FileNote, ...]:
    pairs = zip(rows.source[among].tolist(), rows.reason[among].tolist(), strict=True)
    return tuple(FileNote(source, reason) for source, reason in sorted(set(pairs)))


def _by_tag(rows: Columns, among: Flags) -> tuple[Group, ...]:
    found = [
        group
        for tag, has_it in rows.tags.items()
        for group in group_by(rows, np.full(len(rows), tag), has_it & among)
    ]
    return tuple(sorted(found, key=lambda group: (-group.hours, -group.clips, group.name)))


def _with_tag(rows: Columns, part: str) -> Flags:
    """Rows with a tag whose name has this in it: what repeats others has one of several names."""
    found = np.zeros(len(rows), dtype=bool)
    for tag, has_it in rows.tags.items():
        if part in tag:
            found |= has_it
    return found


def _named(names: Texts) -> int:
    return len(np.unique(names[names != ""]))


def _round_edges(values: NDArray[np.floating[Any]]) -> Floats:
    """Bins of a round width from 0 to where all but the rarest values end."""
    known = values[np.isfinite(values)]
    top = float(np.percentile(known, _COMMON_PART)) if len(known) else 1.0
    top = max(top, 1e-3)
    magnitude = 10.0 ** np.floor(np.log10(top / _BINS))
    width = next(step * magnitude for step in (1, 2, 2.5, 5, 10) if step * magnitude * _BINS >= top)
    return np.asarray(np.arange(int(np.ceil(top / width)) + 1) * width, dtype=np.float64)
