"""The pictures of the page: what features look like, what is near what, and where finding objects fails."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from catseye.capture.geometry import Image
from catseye.pretrain.detection_pictures import draw_box
from catseye.pretrain.evaluation.feature_space import component_colours, nearest
from catseye.pretrain.evaluation.gallery import Features, Frame, Gallery
from catseye.pretrain.evaluation.outcomes import StillOutcome
from catseye.pretrain.evaluation.subjects import Subject, depth_map
from catseye.pretrain.labels import LabelledImage, Labels
from catseye.pretrain.pictures import depth_picture
from catseye.pretrain.stills import read_picture

_WIDEST = 448
_WORST = 6
_QUERIES = 3
_FOUND, _MISSED, _FALSE = (80, 210, 110), (255, 70, 90), (255, 190, 40)


@dataclass(frozen=True)
class Picture:
    """A JPEG as a data URL, and what is written below it; ``mark`` is what catches the eye first."""

    url: str
    caption: str
    mark: str = ""


Sheet = list[list[Picture]]
"""Rows of pictures."""


def picture_of(rgb: Image, caption: str, *, mark: str = "", least_width: int = 0) -> Picture:
    """Encode (H, W, 3), enlarged to ``least_width`` where it is smaller, and shrunk where it is large."""
    width = int(np.clip(rgb.shape[1], least_width, max(_WIDEST, least_width)))
    if width != rgb.shape[1]:
        size = (width, max(1, round(rgb.shape[0] * width / rgb.shape[1])))
        method = cv2.INTER_AREA if width < rgb.shape[1] else cv2.INTER_CUBIC
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=method), dtype=np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, 82]
    _, content = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    data = base64.b64encode(content.tobytes()).decode()
    return Picture(f"data:image/jpeg;base64,{data}", caption, mark)


def feature_sheet(gallery: Gallery, features: Mapping[str, Features]) -> Sheet:
    """Each frame shown beside its features' principal components, by the subjects' names."""
    coloured = {name: component_colours(found.maps) for name, found in features.items()}
    rows = []
    for row, index in enumerate(gallery.shown):
        frame = gallery.frames[index]
        pictures = [picture_of(frame.rgb, frame.caption, least_width=240)]
        pictures += [picture_of(maps[row], name, least_width=240) for name, maps in coloured.items()]
        rows.append(pictures)
    return rows


def depth_sheet(gallery: Gallery, subjects: Sequence[Subject]) -> Sheet:
    """Each frame shown beside its depth, near bright and far dark, of the subjects that have depth."""
    with_depth = [subject for subject in subjects if subject.has_depth]
    if not with_depth:
        return []
    rows = []
    for index in gallery.shown:
        frame = gallery.frames[index]
        width = frame.rgb.shape[1]
        pictures = [picture_of(frame.rgb, frame.caption, least_width=240)]
        for subject in with_depth:
            depth = depth_picture(frame.rgb, depth_map(subject, frame.rgb))[:, width:]
            pictures.append(picture_of(depth, subject.name, least_width=240))
        rows.append(pictures)
    return rows


def neighbour_sheet(gallery: Gallery, features: Features) -> Sheet:
    """Frames of the split, each with the frames of other drives that are nearest to it.

    Of other clips where all frames are of one drive; nothing where they are of one clip.
    """
    drives = [frame.clip.drive for frame in gallery.frames]
    owners = drives if len(set(drives)) > 1 else [frame.clip.clip_id for frame in gallery.frames]
    if len(set(owners)) < 2:
        return []
    chosen = np.unique(np.linspace(0, len(gallery.shown) - 1, _QUERIES).round().astype(int))
    queries = [gallery.shown[index] for index in chosen]
    return [
        [_thumbnail(gallery.frames[query], mark="query"), *(_thumbnail(gallery.frames[i]) for i in found)]
        for query, found in zip(queries, nearest(features.pooled, owners, queries), strict=True)
    ]


def worst_sheet(outcomes: Sequence[StillOutcome], labels: Labels, folder: Path) -> list[Picture]:
    """The stills with most errors, the worst first; of those with equally many, the one with most missed."""
    order = sorted(
        range(len(outcomes)), key=lambda i: (-outcomes[i].errors, -int(outcomes[i].missed.sum()), i)
    )
    pictures = []
    for index in order[:_WORST]:
        outcome, label = outcomes[index], labels.images[index]
        if outcome.errors:
            missed, asked = int(outcome.missed.sum()), int(outcome.asked.sum())
            rgb = draw_outcome(read_picture(folder / label.file_name, label), outcome, label)
            mark = f"{missed} of {asked} missed, {len(outcome.false)} false"
            pictures.append(picture_of(rgb, label.file_name, mark=mark, least_width=360))
    return pictures


def draw_outcome(rgb: Image, outcome: StillOutcome, label: LabelledImage) -> Image:
    """Boxes on a copy of a picture (H, W, 3): found green, missed red, false yellow."""
    picture = rgb.copy()
    thickness = max(1, round(picture.shape[1] / 400))
    for boxes, colour in (
        (label.boxes[outcome.asked & outcome.found], _FOUND),
        (outcome.false, _FALSE),
        (label.boxes[outcome.missed], _MISSED),
    ):
        for box in boxes:
            draw_box(picture, box, colour, thickness=thickness)
    return picture


def _thumbnail(frame: Frame, *, mark: str = "") -> Picture:
    return picture_of(frame.rgb, frame.caption, mark=mark, least_width=200)
