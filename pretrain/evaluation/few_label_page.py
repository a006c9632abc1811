"""The page's part on detection from few labels: curves over the number of stills, and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from catseye.charts import line_chart
from catseye.html_page import grid
from catseye.pretrain.evaluation.few_label_table import MEASURES, Cell, cells_of, stills_of
from catseye.pretrain.evaluation.summary import FewLabels


def few_label_part(few: FewLabels) -> str:
    """Everything below the part's title; nothing before the first case is done."""
    measured = {title: cells_of(few, measure) for measure, title in MEASURES.items()}
    measured = {title: cells for title, cells in measured.items() if cells}
    if not measured:
        return _failed(few)
    several = len(stills_of(few)) > 1
    curves = grid(_curve(title, cells) for title, cells in measured.items()) if several else ""
    return _lead(few) + curves + _table(few, measured) + _note(few) + _failed(few)


def _lead(few: FewLabels) -> str:
    seeds = len({case.seed for case in few.cases})
    left = few.planned - len(few.cases)
    return (
        f"<p class='dim'>The same detector, taught with each encoder as its start: {few.steps:,} steps of "
        f"{few.batch} stills at {few.width}×{few.height}, learning rate {few.lr:g}, "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}, of {few.stills:,} stills that there are."
        + (f" <b>{left} of {few.planned} cases are still to be measured.</b>" if left else "")
        + "</p>"
    )


def _curve(title: str, cells: Mapping[str, Mapping[int, Cell]]) -> str:
    series = {
        start: [(math.log10(stills), cell.mean) for stills, cell in by_stills.items()]
        for start, by_stills in cells.items()
    }
    return line_chart(title, series, x_label="labelled stills", x_text=lambda x: f"{10**x:.3g}")


def _table(few: FewLabels, measured: Mapping[str, Mapping[str, Mapping[int, Cell]]]) -> str:
    numbers = stills_of(few)
    shares = {case.stills: case.share for case in few.cases}
    head = "".join(f"<th>{number:,}<small>{shares[number]:g} %</small></th>" for number in numbers)
    body = []
    for title, cells in measured.items():
        body.append(f"<tr><th colspan='{len(numbers) + 1}'>{escape(title)}</th></tr>")
        best = {
            number: max(by_stills[number].mean for by_stills in cells.values() if number in by_stills)
            for number in numbers
            if any(number in by_stills for by_stills in cells.values())
        }
        for start, by_stills in cells.items():
            shown = "".join(_shown(by_stills.get(number), best.get(number)) for number in numbers)
            body.append(f"<tr><td>{escape(start)}</td>{shown}</tr>")
    return (
        "<div class='panel scroll'><table class='table'><thead><tr><th>labelled stills</th>"
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _shown(cell: Cell | None, best: float | None) -> str:
    if cell is None:
        return "<td>–</td>"
    value = f"<b>{cell}</b>" if cell.mean == best else str(cell)
    gain = f"<small>{escape(cell.gain)}</small>" if cell.gain else ""
    return f"<td>{value}{gain}</td>"


def _note(few: FewLabels) -> str:
    spread = "± is the standard deviation over seeds. " if len({case.seed for case in few.cases}) > 1 else ""
    return (
        f"<p class='note'>{spread}Below each value its gain over training from scratch on the same stills "
        "with the same seed, and in how many of the seeds it is the better one. With fewer stills the set is "
        "a part of that with more.</p>"
    )


def _failed(few: FewLabels) -> str:
    lines = "".join(
        f"<li>{escape(case.start)}, {case.stills:,} stills, seed {case.seed}: {escape(case.failed)}</li>"
        for case in few.cases
        if case.failed
    )
    return (
        f"<p class='note'>Not among the figures, since training failed:</p><ul>{lines}</ul>" if lines else ""
    )
