"""The frames chosen as one HTML page: each with its reasons; no script, nothing fetched."""

from __future__ import annotations

import base64
from collections import Counter
from html import escape
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import cv2

from catseye.capture.inspection.style import STYLE
from catseye.html_page import document, grid, section
from catseye.version import __version__

if TYPE_CHECKING:
    from catseye.pretrain.selection import Picked, Selection

_WIDEST_PX = 320
_QUALITY = 72
_MOST = 400
_MOST_KINDS = 12


def render_page(selection: Selection, pictures: Path) -> str:
    """The whole page; ``pictures`` is the folder they were written to. What comes from users is escaped."""
    name = PurePath(selection.pool).name or selection.pool
    return document(
        title=f"{escape(name)} – Catseye selection",
        style=STYLE + _MORE,
        header=_header(selection, name),
        sections=[
            section("kinds", "What was chosen", grid(_kinds(selection))),
            section("frames", "Frames, the most useful first", _sheet(selection, pictures)),
        ],
        footer=(
            f"Catseye {escape(__version__)} · run {escape(selection.run)} · seed {selection.options['seed']}"
        ),
    )


_MORE = ".sheet{grid-template-columns:repeat(auto-fill,minmax(240px,1fr))}"


def _header(selection: Selection, name: str) -> str:
    cards = [
        (len(selection.pictures), "frames to label"),
        (selection.looked_at, "looked at"),
        (selection.labelled, "labelled before"),
        (selection.unreadable, "could not be read"),
    ]
    drawn = "".join(f"<div class='card'><b>{value:,}</b><span>{label}</span></div>" for value, label in cards)
    return (
        f"<header><p class='kicker'>Catseye · frames to label</p><h1>{escape(name)}</h1>"
        f"<p class='dim'>{escape(selection.pool)}</p><div class='cards'>{drawn}</div></header>"
    )


def _kinds(selection: Selection) -> list[str]:
    """How many frames there are of each kind, an aspect a panel."""
    panels = []
    for aspect in selection.aspects:
        counts = Counter(picked.kinds[aspect] or "not known" for picked in selection.pictures)
        shown = counts.most_common(_MOST_KINDS)
        most = shown[0][1]
        rows = "".join(
            f"<li><span>{escape(kind)}</span><span></span><b>{count}</b>"
            f"<span class='bar'><i class='u' style='width:{100 * count / most:.1f}%'></i></span></li>"
            for kind, count in shown
        )
        rest = len(counts) - len(shown)
        more = f"<p class='note'>and {rest} more</p>" if rest else ""
        panels.append(f"<h3>{escape(aspect.capitalize())}</h3><ul class='rows'>{rows}</ul>{more}")
    return panels


def _sheet(selection: Selection, pictures: Path) -> str:
    shown = selection.pictures[:_MOST]
    rest = len(selection.pictures) - len(shown)
    more = f"<p class='note'>and {rest:,} more, in selection.csv</p>" if rest else ""
    figures = "".join(_figure(number, picked, pictures) for number, picked in enumerate(shown, 1))
    return f"<div class='sheet'>{figures}</div>{more}"


def _figure(number: int, picked: Picked, pictures: Path) -> str:
    at = "" if picked.time_s is None else f"at {picked.time_s:.2f} s · pts {picked.pts}"
    facts = " · ".join(filter(None, (picked.drive, picked.camera, picked.captured, at)))
    reasons = "".join(f"<br>{escape(reason)}" for reason in picked.why.split("; "))
    return (
        f"<figure title='{escape(picked.source, quote=True)}'><img loading='lazy' alt='' "
        f"src='data:image/jpeg;base64,{_thumbnail(pictures / picked.file_name)}'>"
        f"<figcaption><b>{number}. {escape(picked.file_name)}</b>"
        f"{f'<br>{escape(facts)}' if facts else ''}{reasons}</figcaption></figure>"
    )


def _thumbnail(path: Path) -> str:
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert bgr is not None  # it has just been written
    height, width = bgr.shape[:2]
    if width > _WIDEST_PX:
        size = (_WIDEST_PX, max(1, round(height * _WIDEST_PX / width)))
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    return base64.b64encode(
        cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    ).decode()
