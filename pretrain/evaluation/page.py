"""The evaluation as one HTML page: no script, nothing fetched, light or dark as the reader's screen is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePath

from catseye.html_page import document, grid, section
from catseye.pretrain.evaluation.few_label_page import few_label_part
from catseye.pretrain.evaluation.look import STYLE
from catseye.pretrain.evaluation.page_pictures import Picture, Sheet
from catseye.pretrain.evaluation.summary import (
    FIGURES,
    ClipGroup,
    Evaluation,
    Figure,
    ObjectGroup,
    Row,
    best_values,
)

_ASPECTS = {
    "height": "By height in the still",
    "place": "By place in the still",
    "light": "By the still's light",
    "objects": "By objects in the still",
    "drive": "By drive",
    "tag": "By tag",
}
_READERS = {"probe": "frozen linear probe", "detector": "detector"}
_BY_CLIPS = ("order_accuracy", "future_skill", "depth_absrel", "pose_rotation")


@dataclass(frozen=True)
class Pictures:
    """What the page shows besides figures; ``neighbours`` and ``worst`` by the name of what they are of."""

    features: Sheet
    depth: Sheet
    neighbours: Mapping[str, Sheet]
    worst: Mapping[str, Sequence[Picture]]


def render_page(evaluation: Evaluation, pictures: Pictures) -> str:
    """The whole page. Every text that comes from runs, dataset or labels is escaped."""
    title = ", ".join(row.name for row in evaluation.rows if row.run)
    sections = [
        section("figures", "Figures", _table(evaluation)),
        section("few-labels", "Detection from few labels", _few_labels(evaluation)),
        section("objects", "Objects found, by group", _objects(evaluation.rows)),
        section("clips", "Pretext figures, by group", _clips(evaluation.rows)),
        section("features", "What the features tell apart", _features(pictures.features)),
        section("depth", "Depth beside the frame", _depth(pictures.depth)),
        section("neighbours", "Nearest neighbours", _neighbours(pictures.neighbours)),
        section("worst", "Stills with most errors", _worst(pictures.worst)),
    ]
    return document(
        title=f"{escape(title)} – Catseye evaluation",
        style=STYLE,
        header=_header(evaluation, title),
        sections=sections,
        footer=(
            f"Catseye {escape(evaluation.code_version)} · dataset "
            f"<code>{escape(evaluation.dataset_fingerprint[:16])}</code> · seed {evaluation.seed} · latency "
            f"on {escape(evaluation.machine.processor)}, "
            f"{_many(evaluation.machine.threads, 'thread')} of torch"
        ),
    )


def _header(evaluation: Evaluation, title: str) -> str:
    facts = [f"split {evaluation.split} of {PurePath(evaluation.dataset).name or evaluation.dataset}"]
    if evaluation.stills is not None:
        stills = evaluation.stills
        facts.append(
            f"probes learn from {_many(stills.train, 'still')}, all is measured on "
            f"{_many(stills.test, 'other')}; cells of {stills.width}×{stills.height} frames"
        )
    return (
        f"<header><p class='kicker'>Catseye · evaluation</p><h1>{escape(title)}</h1>"
        f"<p class='dim'>{escape(' · '.join(facts))}</p></header>"
    )


def _table(evaluation: Evaluation) -> str:
    rows = evaluation.rows
    best = best_values(rows)
    head = "".join(f"<th>{escape(row.name)}<small>{escape(_what(row))}</small></th>" for row in rows)
    body, heading = [], ""
    for figure in FIGURES:
        if not any(figure.name in row.figures for row in rows):
            continue
        if figure.heading != heading:
            heading = figure.heading
            body.append(f"<tr><th colspan='{len(rows) + 2}'>{heading}</th></tr>")
        blind = _value(figure, evaluation.blind.get(figure.name))
        cells = "".join(f"<td>{_cell(figure, row, best)}</td>" for row in rows)
        body.append(f"<tr><td>{_titled(figure)}</td>{cells}<td class='blind'>{blind}</td></tr>")
    return (
        "<div class='panel scroll'><table class='table'><thead><tr><th></th>"
        f"{head}<th class='blind'>blind guess<small>looks at nothing</small></th></tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
        "<p class='note'>The best of each line is bold. AP of cells: average precision over cells of 8 px, "
        "of which a blind guess gets the share that lies in objects. For the future the guess is a copy of "
        "the last frame; for depth, the best constant; for motion, driving straight on at the mean true "
        "velocity. Motion is of five frames a tenth of a second apart. A multiply-add is two FLOPs.</p>"
    )


def _few_labels(evaluation: Evaluation) -> str:
    return "" if evaluation.few_labels is None else few_label_part(evaluation.few_labels)


def _what(row: Row) -> str:
    return f"{row.encoder}, {row.width}×{row.height}"


def _titled(figure: Figure) -> str:
    arrow = {"higher": " ↑", "lower": " ↓", "": ""}[figure.better]
    return f"{escape(figure.title)}<span class='dim'>{arrow}</span>"


def _cell(figure: Figure, row: Row, best: Mapping[str, float]) -> str:
    value = row.figures.get(figure.name)
    text = _value(figure, value)
    return f"<b>{text}</b>" if value is not None and best.get(figure.name) == value else text


def _value(figure: Figure, value: float | None) -> str:
    return "–" if value is None else figure.form.format(value)


def _objects(rows: Sequence[Row]) -> str:
    """A panel for each reader and aspect; in it each group, and in that a bar for each run."""
    found = [(row, group) for row in rows for group in row.objects if group.objects]
    panels = []
    for reader, aspect in dict.fromkeys((group.reader, group.aspect) for _, group in found):
        those = [(row, g) for row, g in found if (g.reader, g.aspect) == (reader, aspect)]
        lines = []
        for name in dict.fromkeys(group.name for _, group in those):
            lines.append(f"<li><span class='name'>{escape(name)}</span></li>")
            lines += [_bar(row, group) for row, group in those if group.name == name]
        panels.append(
            f"<h3>{_ASPECTS[aspect]}, {_READERS[reader]}</h3><ul class='rows bars'>{''.join(lines)}</ul>"
        )
    if not panels:
        return ""
    return (
        grid(panels)
        + "<p class='note'>Bars are recall: the share of labelled objects that is found, at the score that "
        "serves F1 best over all stills. A probe finds an object if one of its cells is found; it is not "
        "asked for objects too small to have a cell. Beside it what is found there and is no object. Thirds "
        "of light are of the stills measured on.</p>"
    )


def _bar(row: Row, group: ObjectGroup) -> str:
    recall = group.recall or 0.0
    return _line(row.name, f"of {group.objects:,}, {group.false:,} false", f"{100 * recall:.0f} %", recall)


def _clips(rows: Sequence[Row]) -> str:
    figures = {figure.name: figure for figure in FIGURES}
    found = [(row, group) for row in rows for group in row.clips]
    panels = []
    for aspect in dict.fromkeys(group.aspect for _, group in found):
        for name in _BY_CLIPS:
            those = [(row, g) for row, g in found if g.aspect == aspect and name in g.figures]
            if those:
                lines = "".join(_clip_line(row, group, figures[name]) for row, group in _by_group(those))
                title = f"{_ASPECTS[aspect]}: {_titled(figures[name])}"
                panels.append(f"<h3>{title}</h3><ul class='rows bars'>{lines}</ul>")
    return grid(panels)


def _by_group(those: Iterable[tuple[Row, ClipGroup]]) -> list[tuple[Row, ClipGroup]]:
    return sorted(those, key=lambda pair: pair[1].name)


def _clip_line(row: Row, group: ClipGroup, figure: Figure) -> str:
    value = group.figures[figure.name]
    return _line(group.name, f"{row.name}, {_many(group.clips, 'clip')}", _value(figure, value), value)


def _line(name: str, aside: str, amount: str, share: float) -> str:
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        f"<li><span>{escape(name)}</span><span class='dim'>{escape(aside)}</span><b>{escape(amount)}</b>"
        f"<span class='bar'><i class='u' style='width:{width:.1f}%'></i></span></li>"
    )


def _features(sheet: Sheet) -> str:
    if not sheet:
        return ""
    return (
        "<p class='dim'>The first three principal components of the maps at strides 8 and 16, as red, green "
        "and blue, of frames at twice their size. One basis serves all frames of a run: a colour means the "
        "same thing in each of them, and another thing in another run.</p>" + _strips(sheet)
    )


def _depth(sheet: Sheet) -> str:
    return f"<p class='dim'>Near is bright, far is dark.</p>{_strips(sheet)}" if sheet else ""


def _neighbours(sheets: Mapping[str, Sheet]) -> str:
    drawn = _folds({name: _strips(sheet) for name, sheet in sheets.items()})
    lead = (
        "<p class='dim'>A frame, and the four nearest to it by pooled features, of other drives only; of "
        "other clips where there is one drive.</p>"
    )
    return lead + drawn if drawn else ""


def _folds(bodies: Mapping[str, str]) -> str:
    """Each body that is not empty below its name."""
    return "".join(
        f"<div class='fold'><h3>{escape(name)}</h3>{body}</div>" for name, body in bodies.items() if body
    )


def _strips(sheet: Sheet) -> str:
    return "".join(
        f"<div class='strip' style='grid-template-columns:repeat({len(row)},minmax(0,1fr))'>"
        f"{''.join(map(_figure, row))}</div>"
        for row in sheet
    )


def _worst(sheets: Mapping[str, Sequence[Picture]]) -> str:
    drawn = _folds(
        {
            name: f"<div class='worst'>{''.join(map(_figure, pictures))}</div>" if pictures else ""
            for name, pictures in sheets.items()
        }
    )
    key = (
        "<p class='legend'><span><i class='hit'></i>found</span><span><i class='miss'></i>missed</span>"
        "<span><i class='wrong'></i>false</span></p>"
    )
    return key + drawn if drawn else ""


def _figure(picture: Picture) -> str:
    mark = f"<span class='mark'>{escape(picture.mark)}</span>" if picture.mark else ""
    return (
        f"<figure><img loading='lazy' alt='' src='{picture.url}'>"
        f"<figcaption>{mark}{escape(picture.caption)}</figcaption></figure>"
    )


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"
