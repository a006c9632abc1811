"""Suspicious labels as one HTML page with a picture of each: no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from catseye.capture.geometry import Image
from catseye.html_page import document, section
from catseye.pretrain.detection_pictures import draw_box
from catseye.pretrain.evaluation.look import STYLE
from catseye.pretrain.evaluation.page_pictures import picture_of
from catseye.pretrain.label_check import LabelCheck
from catseye.pretrain.label_errors import Boxes, Suspicion
from catseye.pretrain.stills import read_picture
from catseye.version import __version__

MOST_PICTURES = 120

_SUSPECT, _OTHER, _NEIGHBOUR = (255, 70, 90), (255, 190, 40), (80, 210, 110)
_CONTEXT = 3.0
_LEAST_CROP = 96
_PICTURE_WIDTH = 320
_TITLES = {
    "missing": "Missing",
    "spurious": "Nothing there",
    "shifted": "Shifted",
    "class": "Wrong class",
    "doubled": "Doubled",
    "outside": "Outside the image",
    "improbable": "Improbable size or shape",
}
_LEGEND = (
    "<p class='legend'><span><i class='miss'></i>in question</span><span><i class='wrong'></i>what the "
    "detector finds, or the label that is doubled</span><span><i class='hit'></i>other labels</span></p>"
)


def render_page(check: LabelCheck) -> str:
    """The whole page. Every text that comes from the labels is escaped."""
    shown = check.suspicions[:MOST_PICTURES]
    more = len(check.suspicions) - len(shown)
    note = f"<p class='note'>{more:,} more are in the list that --json prints.</p>" if more else ""
    if not shown:
        note = "<p class='note'>Nothing is suspicious.</p>"
    figures = "".join(_figures(check, shown))
    title = check.labels.path.name
    return document(
        title=f"{escape(title)} – Catseye label check",
        style=STYLE,
        header=_header(check, title),
        sections=[
            section("suspicions", "The worst first", f"{_LEGEND}<div class='worst'>{figures}</div>{note}")
        ],
        footer=f"Catseye {escape(__version__)} · labels <code>{check.labels.digest()[:16]}</code>",
    )


def crop_around(rgb: Image, boxes: Sequence[Boxes]) -> tuple[Image, tuple[int, int]]:
    """The part of a picture (H, W, 3) around boxes, with its surroundings, and its left top corner."""
    height, width = rgb.shape[:2]
    corners = np.stack(boxes).astype(np.float64)
    low, high = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    side = max(_LEAST_CROP, _CONTEXT * float((high - low).max()))
    centre = (low + high) / 2
    limits = np.array([width, height])
    start = np.clip(np.floor(centre - side / 2), 0, limits - 1).astype(int)
    stop = np.clip(np.ceil(centre + side / 2), start + 1, limits).astype(int)
    return rgb[start[1] : stop[1], start[0] : stop[0]], (int(start[0]), int(start[1]))


def _header(check: LabelCheck, title: str) -> str:
    boxes = sum(len(image.boxes) for image in check.labels.images)
    opinion = f"compared with {check.opinion}" if check.opinion else "without a detector's opinion"
    facts = f"{boxes:,} boxes in {len(check.labels.images):,} images · {opinion}"
    counts = {kind: count for kind, count in check.counts().items() if count or check.opinion}
    cards = "".join(
        f"<div class='card'><b>{count:,}</b><span>{_TITLES[kind]}</span></div>"
        for kind, count in counts.items()
    )
    return (
        f"<header><p class='kicker'>Catseye · label check</p><h1>{escape(title)}</h1>"
        f"<p class='dim'>{escape(facts)}</p><div class='cards'>{cards}</div></header>"
    )


def _figures(check: LabelCheck, shown: Sequence[Suspicion]) -> list[str]:
    drawn: dict[int, str] = {}
    by_image = sorted(range(len(shown)), key=lambda k: shown[k].image)
    rgb, of_image = None, -1
    for k in by_image:
        label = check.labels.images[shown[k].image]
        if rgb is None or shown[k].image != of_image:
            rgb, of_image = read_picture(check.folder / label.file_name, label), shown[k].image
        drawn[k] = _figure(check, shown[k], rgb)
    return [drawn[k] for k in range(len(shown))]


def _figure(check: LabelCheck, suspicion: Suspicion, rgb: Image) -> str:
    label = check.labels.images[suspicion.image]
    boxes = [suspicion.box, *([] if suspicion.other is None else [suspicion.other])]
    part, (left, top) = crop_around(rgb, boxes)
    part = part.copy()
    shift = np.array([left, top, left, top], dtype=np.float32)
    height, width = part.shape[:2]
    moved = label.boxes - shift
    visible = (moved[:, 0] < width) & (moved[:, 1] < height) & (moved[:, 2] > 0) & (moved[:, 3] > 0)
    if suspicion.row is not None:
        visible[suspicion.row] = False
    for box in moved[visible]:
        draw_box(part, box, _NEIGHBOUR)
    if suspicion.other is not None:
        draw_box(part, suspicion.other - shift, _OTHER)
    draw_box(part, suspicion.box - shift, _SUSPECT)
    name = ""
    if suspicion.row is not None:
        name = f" ({check.labels.classes[label.classes[suspicion.row]]})"
    picture = picture_of(part, "", least_width=_PICTURE_WIDTH)
    mark = f"{_TITLES[suspicion.kind]}{name}, {suspicion.score:.2f}"
    caption = f"{label.file_name}: {check.reason(suspicion)}"
    return (
        f"<figure><img loading='lazy' alt='' src='{picture.url}'><figcaption>"
        f"<span class='mark'>{escape(mark)}</span>{escape(caption)}</figcaption></figure>"
    )
