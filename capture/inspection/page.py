"""The inspection as one HTML page: no script, nothing fetched, light or dark as the reader's screen is."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import PurePath

import numpy as np

from catseye.capture.inspection.balance import Balance, duration, percent
from catseye.capture.inspection.columns import KMH_PER_MPS
from catseye.capture.inspection.positions import Track, split_by_place
from catseye.capture.inspection.sheets import Thumbnail
from catseye.capture.inspection.style import STYLE
from catseye.capture.inspection.summary import UNKNOWN, FileNote, Group, Histogram, InspectionSummary, Totals
from catseye.capture.inspection.track_map import speed_names, track_map
from catseye.charts import histogram
from catseye.html_page import document, grid, section

_MOST_ROWS = 24
_MOST_NOTES = 100
_MOST_MAPS = 4
_LONGEST_TEXT = 300
_MONTH = len("YYYY-MM")
_UNITS = (("hours", 1.0), ("minutes", 60.0), ("seconds", 3600.0))

_KEY = "<p class='legend'><span><i class='u'></i>usable</span><span><i class='a'></i>set aside</span></p>"

_GROUP_TITLES = {
    "split": "By split",
    "camera": "By camera",
    "vehicle": "By vehicle",
    "day": "By day (UTC)",
    "tag": "By tag",
    "drive": "By drive",
    "reason": "Why clips are set aside",
}


def render_page(
    summary: InspectionSummary,
    tracks: Sequence[Track],
    *,
    kept: Sequence[Thumbnail],
    set_aside: Sequence[Thumbnail],
) -> str:
    """The whole page. Every text that comes from the dataset is escaped."""
    name = PurePath(summary.dataset).name or summary.dataset
    sections = [
        section("stands-out", "What stands out", _sentences(summary.balances)),
        section("balance", "Over- and under-represented", grid(_balance(b) for b in summary.balances)),
        section(
            "kinds",
            "Hours and clips",
            _KEY + grid(_groups(key, summary.groups[key]) for key in _GROUP_TITLES),
        ),
        section("distributions", "Distributions", grid(_histogram(h) for h in summary.histograms)),
        section("map", "Where", _maps(tracks)),
        section("kept", "Kept clips", _sheet(kept, summary.totals.usable_clips)),
        section("set-aside", "Clips set aside", _sheet(set_aside, _aside_count(summary.totals))),
        section("unreadable", "Files that could not be read whole", _notes(summary.unreadable)),
        section("duplicates", "Duplicates", _notes(summary.duplicates)),
    ]
    return document(
        title=f"{_text(name)} – Catseye inspection",
        style=STYLE,
        header=_header(summary, name),
        sections=sections,
        footer=f"{_text(summary.created_by)} · fingerprint <code>{_text(summary.fingerprint[:16])}</code>",
    )


def _header(summary: InspectionSummary, name: str) -> str:
    totals = summary.totals
    days = (
        f"{totals.first_day} to {totals.last_day}"
        if totals.first_day != totals.last_day
        else totals.first_day or "start times not known"
    )
    usable = totals.usable_hours / totals.hours if totals.hours else 0.0
    cards = [
        (_hours(totals.hours), "of video"),
        (_hours(totals.usable_hours), f"usable, {percent(usable)}"),
        (f"{totals.usable_clips:,}", f"usable of {totals.clips:,} clips"),
        (f"{totals.drives:,}", _plural(totals.drives, "drive")),
        (f"{totals.vehicles:,}" if totals.vehicles else "–", _plural(totals.vehicles, "vehicle") + " named"),
        (f"{totals.cameras:,}" if totals.cameras else "–", _plural(totals.cameras, "camera") + " named"),
        (f"{totals.files:,}", _plural(totals.files, "file")),
    ]
    drawn = "".join(f"<div class='card'><b>{value}</b><span>{label}</span></div>" for value, label in cards)
    return (
        f"<header><p class='kicker'>Catseye · dataset inspection</p><h1>{_text(name)}</h1>"
        f"<p class='dim'>{_text(summary.dataset)} · {summary.width}×{summary.height} · {_text(days)}</p>"
        f"<div class='cards'>{drawn}</div></header>"
    )


def _sentences(balances: Sequence[Balance]) -> str:
    return f"<ul class='says'>{''.join(f'<li>{_text(b.sentence)}</li>' for b in balances)}</ul>"


def _balance(balance: Balance) -> str:
    if not sum(share.hours for share in balance.shares):
        return ""
    marks = {"over": "<em class='over'>much</em>", "under": "<em class='under'>little</em>", "": ""}
    rows = "".join(
        _row(
            f"{_text(share.name)} {marks[share.standing]}",
            _hours(share.hours),
            percent(share.share),
            _bar(share.share, 0.0),
        )
        for share in balance.shares
    )
    if balance.unknown_hours > 0:
        rows += _row("<span class='dim'>not known</span>", _hours(balance.unknown_hours), "", "")
    return (
        f"<h3>{_text(balance.aspect.capitalize())}</h3><ul class='rows'>{rows}</ul>"
        f"<p class='note'>{_text(balance.basis)}</p>"
    )


def _groups(key: str, groups: Sequence[Group]) -> str:
    if not groups or [group.name for group in groups] == [UNKNOWN]:
        return ""
    if key == "day" and len(groups) > _MOST_ROWS:
        groups = _by_month(groups)
    shown, rest = groups[:_MOST_ROWS], groups[_MOST_ROWS:]
    most = max(group.hours for group in shown) or 1.0
    rows = "".join(
        _row(
            _text(group.name),
            f"{group.clips:,} {_plural(group.clips, 'clip')}",
            _hours(group.hours),
            _bar(group.usable_hours / most, (group.hours - group.usable_hours) / most),
        )
        for group in shown
    )
    if rest:
        whole = _together(f"{len(rest):,} more", rest)
        rows += _row(whole.name, f"{whole.clips:,} clips", _hours(whole.hours), "")
    return f"<h3>{_GROUP_TITLES[key]}</h3><ul class='rows'>{rows}</ul>"


def _row(name: str, aside: str, amount: str, bar: str) -> str:
    """A line of a list of amounts; ``name`` and ``bar`` are HTML."""
    return f"<li><span>{name}</span><span class='dim'>{aside}</span><b>{amount}</b>{bar}</li>"


def _by_month(days: Sequence[Group]) -> list[Group]:
    months = {day.name[:_MONTH]: None for day in days if day.name[:1].isdigit()}
    grouped = [_together(m, [day for day in days if day.name.startswith(m)]) for m in months]
    return grouped + [day for day in days if not day.name[:1].isdigit()]


def _together(name: str, groups: Sequence[Group]) -> Group:
    return Group(
        name,
        sum(group.clips for group in groups),
        sum(group.hours for group in groups),
        sum(group.usable_clips for group in groups),
        sum(group.usable_hours for group in groups),
    )


def _bar(usable: float, aside: float) -> str:
    parts = "".join(
        f"<i class='{kind}' style='width:{100 * min(part, 1):.1f}%'></i>"
        for kind, part in (("u", usable), ("a", aside))
        if part > 0
    )
    return f"<span class='bar'>{parts}</span>"


def _histogram(found: Histogram) -> str:
    top = max((a + b for a, b in zip(found.usable_hours, found.set_aside_hours, strict=True)), default=0.0)
    unit, factor = next(scale for scale in _UNITS if top * scale[1] >= 1 or scale == _UNITS[-1])
    chart = histogram(
        found.name.capitalize(),
        found.edges,
        {
            "usable": [hours * factor for hours in found.usable_hours],
            "set aside": [hours * factor for hours in found.set_aside_hours],
        },
        x_label=found.unit,
        y_label=unit,
    )
    if not chart:
        return f"<h3>{_text(found.name.capitalize())}</h3><p class='dim'>Not known for any clip.</p>"
    unknown = (
        f"<p class='note'>not known for {duration(found.unknown_hours)}</p>"
        if found.unknown_hours > 1e-6
        else ""
    )
    return chart + unknown


def _maps(tracks: Sequence[Track]) -> str:
    if not tracks:
        return "<p class='dim'>No positions: the dataset's telemetry has no latitude and longitude.</p>"
    places = split_by_place(tracks)
    drawn = "".join(f"<div class='panel wide'>{track_map(group)}</div>" for group in places[:_MOST_MAPS])
    legend = "".join(
        f"<span><svg viewBox='0 0 18 6'><path class='v{kind}' d='M1 3h16'/></svg>{_text(name)}</span>"
        for kind, name in enumerate(speed_names())
    )
    more = (
        f"<p class='note'>{len(places) - _MOST_MAPS} more places, over 50 km apart, are not drawn.</p>"
        if len(places) > _MOST_MAPS
        else ""
    )
    return (
        f"<p class='legend'>{legend}</p>{drawn}{more}"
        "<p class='note'>Equirectangular, north up. The page holds these positions: share it as you would "
        "share the footage.</p>"
    )


def _sheet(pictures: Sequence[Thumbnail], total: int) -> str:
    if not total:
        return "<p class='dim'>None.</p>"
    if not pictures:
        return f"<p class='dim'>{total:,} in all, none of them pictured here.</p>"
    figures = "".join(map(_figure, pictures))
    lead = f"<p class='dim'>{len(pictures):,} of {total:,}, chosen for variety.</p>"
    return f"{lead}<div class='sheet'>{figures}</div>"


def _figure(picture: Thumbnail) -> str:
    clip = picture.clip
    start = f"{clip.start_time:%Y-%m-%d %H:%M}" if clip.start_time else ""
    known = clip.speed_mps[np.isfinite(clip.speed_mps)]
    speed = f"{float(np.median(known)) * KMH_PER_MPS:.0f} km/h" if len(known) else ""
    facts = " · ".join(filter(None, (clip.camera, start, f"{clip.duration_s:.1f} s", speed)))
    if picture.jpeg:
        data = base64.b64encode(picture.jpeg).decode()
        image = f"<img loading='lazy' alt='' src='data:image/jpeg;base64,{data}'>"
    else:
        image = f"<div class='lost'>{_text(picture.fault)}</div>"
    reason = f"<em>{_text(clip.reason)}</em><br>" if clip.reason else ""
    return (
        f"<figure title='{_text(clip.source)}'>{image}<figcaption>{reason}"
        f"<b>{_text(clip.drive or PurePath(clip.source).name)}</b><br>{_text(facts)}</figcaption></figure>"
    )


def _notes(notes: Sequence[FileNote]) -> str:
    if not notes:
        return ""
    rows = "".join(
        f"<li><code>{_text(note.source)}</code><br><span class='dim'>{_text(note.reason)}</span></li>"
        for note in notes[:_MOST_NOTES]
    )
    more = f"<p class='note'>and {len(notes) - _MOST_NOTES:,} more</p>" if len(notes) > _MOST_NOTES else ""
    return f"<p class='dim'>{len(notes):,}</p><ul class='notes'>{rows}</ul>{more}"


def _aside_count(totals: Totals) -> int:
    return totals.clips - totals.usable_clips


def _hours(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} h" if hours < 1000 else f"{hours:,.0f} h"
    minutes, seconds = divmod(round(hours * 3600), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _text(text: str) -> str:
    """Escaped, and cut where it is so long that it would fill the page."""
    return escape(text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…", quote=True)
