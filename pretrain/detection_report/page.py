"""``detection.html``: figures by class, size and distance, curves, confusions, and the worst cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import PurePath

from catseye.charts import line_chart
from catseye.html_page import document, grid, section
from catseye.pretrain.detection_report.case_pictures import CASE, FOUND, LABELLED
from catseye.pretrain.detection_report.summary import ClassFigures, DetectionReport
from catseye.pretrain.evaluation.look import STYLE
from catseye.pretrain.evaluation.page_pictures import Picture
from catseye.version import __version__

_MOST_CURVES = 6
_BACKGROUND = "background"
_CASES = ((CASE, "the case"), (LABELLED, "labelled"), (FOUND, "found"))
_STYLE = STYLE + "".join(
    f".legend .case{number}{{background:rgb{colour}}}" for number, (colour, _) in enumerate(_CASES)
)


def render_page(report: DetectionReport, misses: Sequence[Picture], alarms: Sequence[Picture]) -> str:
    """The whole page. Every text that comes from labels is escaped."""
    name = PurePath(report.labels).name
    return document(
        title=f"{escape(name)} – Catseye detection",
        style=_STYLE,
        header=_header(report, name),
        sections=[
            section("classes", "By class", _classes(report.classes)),
            section("bands", "By size and distance", _bands(report)),
            section("curves", "Precision over recall", _curves(report.classes)),
            section("confusion", "What is taken for what", _confusion(report)),
            section(
                "misses", "Worst misses", _cases(misses, "Objects that nothing found, the largest first.")
            ),
            section("alarms", "Worst false alarms", _cases(alarms, "What is no object, the surest first.")),
        ],
        footer=f"Catseye {escape(__version__)}",
    )


def _header(report: DetectionReport, name: str) -> str:
    figures = {"ap": "AP", "ap50": "AP50", "ap50_h10": "height ≥ 10 px", "ap50_h20": "height ≥ 20 px"}
    told = [f"{title} {report.figures[key]:.3f}" for key, title in figures.items() if key in report.figures]
    facts = [f"{report.stills:,} stills of {name}", *told, _threshold(report)]
    return (
        f"<header><p class='kicker'>Catseye · detection</p><h1>{escape(name)}</h1>"
        f"<p class='dim'>{escape(' · '.join(facts))}</p></header>"
    )


def _threshold(report: DetectionReport) -> str:
    if report.threshold is None:
        return "nothing found is right"
    return f"counted from a score of {report.threshold:.2f}, which serves F1 best"


def _classes(classes: Sequence[ClassFigures]) -> str:
    rows = [
        (c.name, f"{c.objects:,}", _value(c.ap50), _value(c.ap), _value(c.precision), _value(c.recall))
        for c in classes
    ]
    table = _table(("class", "objects", "AP50", "AP", "precision", "recall"), rows)
    return f"<div class='panel'>{table}</div>"


def _bands(report: DetectionReport) -> str:
    tables = [
        _table((title, "objects", "AP50"), [(b.name, f"{b.objects:,}", _value(b.ap50)) for b in bands])
        for title, bands in (("height in the still", report.heights), ("distance", report.distances))
        if bands
    ]
    note = (
        "<p class='note'>Objects of other bands are ignored. A false alarm counts where its own height is of "
        "the band; by distance, where its height is one that an object of the band has.</p>"
    )
    return grid(tables) + note if tables else ""


def _curves(classes: Sequence[ClassFigures]) -> str:
    shown = sorted((c for c in classes if c.curve), key=lambda c: -c.objects)[:_MOST_CURVES]
    over_recall = {c.name: [(recall, precision) for recall, precision, _ in c.curve] for c in shown}
    over_score = {c.name: [(score, _f1(p, r)) for r, p, score in reversed(c.curve)] for c in shown}
    drawn = grid(
        (
            line_chart("Precision", over_recall, x_label="recall at IoU 0.5", x_text="{:.2f}".format),
            line_chart("F1", over_score, x_label="least score that counts", x_text="{:.2f}".format),
        )
    )
    left_out = len(classes) - len(shown)
    note = f"<p class='note'>The classes with most objects; {left_out} more are not drawn.</p>"
    return drawn + note if drawn and left_out else drawn


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _confusion(report: DetectionReport) -> str:
    names = [*(c.name for c in report.classes), _BACKGROUND]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = []
    for row, (name, counts) in enumerate(zip(names, report.confusion, strict=True)):
        total = max(1, sum(counts))
        labelled = row < len(report.classes)
        cells = "".join(
            _shaded(count, count / total if labelled else None, right=row == column)
            for column, count in enumerate(counts)
        )
        body.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return (
        "<div class='panel scroll'><table class='table'><thead><tr><th>labelled ↓ found →</th>"
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        "<p class='note'>Counts of objects; below each its share of the line. Under background what nothing "
        "found, and in the last line what was found and is no object.</p>"
    )


def _shaded(count: int, share: float | None, *, right: bool) -> str:
    if not count:
        return "<td class='blind'>·</td>"
    if share is None:
        return f"<td>{count:,}</td>"
    colour = "80,210,110" if right else "255,70,90"
    return f"<td style='background:rgba({colour},{0.6 * share:.2f})'>{count:,}<small>{share:.0%}</small></td>"


def _cases(pictures: Sequence[Picture], lead: str) -> str:
    if not pictures:
        return ""
    key = "".join(f"<span><i class='case{n}'></i>{title}</span>" for n, (_, title) in enumerate(_CASES))
    drawn = "".join(
        f"<figure><img loading='lazy' alt='' src='{picture.url}'>"
        f"<figcaption><span class='mark'>{escape(picture.mark)}</span>{escape(picture.caption)}</figcaption>"
        "</figure>"
        for picture in pictures
    )
    return f"<p class='dim'>{lead}</p><p class='legend'>{key}</p><div class='worst'>{drawn}</div>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<div class='scroll'><table class='table'><thead><tr>{titles}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
