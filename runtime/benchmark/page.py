"""A report as one HTML page with plots: no script, nothing fetched, light or dark as the screen is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from catseye.charts import histogram, line_chart
from catseye.html_page import document, grid, section
from catseye.runtime.benchmark.comparison import Change
from catseye.runtime.benchmark.report import BenchReport, Measurement
from catseye.runtime.benchmark.tables import NOTES, Table, tables, title
from catseye.version import __version__

_MOST_POINTS = 400
_BINS = 40

_STYLE = """
:root{--bg:#f6f7f9;--card:#fff;--ink:#1b2027;--dim:#646d79;--line:#e1e5ea;--chart-0:#2f6fed;--chart-1:#d9582b;
--chart-2:#2a8f4e;--chart-3:#8a55d7}
@media(prefers-color-scheme:dark){:root{--bg:#0f1216;--card:#181d23;--ink:#e7eaee;--dim:#98a2ae;--line:#2a313a;
--chart-0:#6ea3ff;--chart-1:#ff9166;--chart-2:#5fcb86;--chart-3:#bd97ff}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1120px;padding:28px 20px 48px;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:26px;line-height:1.2;margin:2px 0 6px;overflow-wrap:anywhere}
h2{font-size:18px;margin:34px 0 10px}
.kicker{margin:0;color:var(--chart-0);font-weight:600;font-size:13px}.dim,.note{color:var(--dim)}.note{font-size:13px}
header p{margin:0}.cards{margin-top:20px;display:grid;
grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px}
.card,.panel,.scroll,.told{background:var(--card);border:1px solid var(--line);border-radius:12px}
.card{padding:14px 16px}
.card b{display:block;font-size:22px;font-variant-numeric:tabular-nums;white-space:nowrap}
.card span{color:var(--dim);font-size:13px}.told{margin:18px 0 0;padding:12px 18px 12px 34px}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:14px}.panel{padding:14px 16px}
.panel>svg{display:block;width:100%;height:auto}.scroll{overflow-x:auto;padding:6px 10px}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{color:var(--dim);font-weight:500}tr:last-child td{border-bottom:0}
th:first-child,td:first-child{text-align:left}
.two td,.two th{text-align:left;white-space:normal;overflow-wrap:anywhere}
footer{margin-top:34px;color:var(--dim);font-size:13px}
"""


def render_page(report: BenchReport, changes: Sequence[Change] = ()) -> str:
    """The whole page; what comes from users is escaped."""
    made = tables(report, changes)
    return document(
        title=f"{escape(title(report))} – Catseye bench",
        style=_STYLE,
        header=_header(report),
        sections=[
            section("plots", "How latencies are spread", grid(_plots(report))),
            section("streams", "Live streams", grid(_stream_plots(report))),
            *(section(f"table-{number}", table.title, _table(table)) for number, table in enumerate(made)),
            section("notes", "How to read this", "".join(f"<p class='note'>{escape(n)}</p>" for n in NOTES)),
        ],
        footer=f"Catseye {escape(__version__)} · {escape(report.began)}",
    )


def _header(report: BenchReport) -> str:
    cards = "".join(
        f"<div class='card'><b>{value:.4g}</b><span>{escape(name.replace('_', ' '))}</span></div>"
        for name, value in report.figures().items()
    )
    told = "".join(f"<li>{escape(each)}</li>" for each in report.notes())
    machine = report.fingerprint
    return (
        f"<header><p class='kicker'>Catseye · bench</p><h1>{escape(title(report))}</h1>"
        f"<p class='dim'>{escape(f'{machine.input} · network {machine.network} · {machine.os}')}</p>"
        f"<div class='cards'>{cards}</div>{f'<ul class=told>{told}</ul>' if told else ''}</header>"
    )


def _plots(report: BenchReport) -> list[str]:
    plots = []
    for load in ("engine", "end to end"):
        timed = [
            m for m in report.measurements if m.load == load and m.scenario in {"SingleStream", "Server"}
        ]
        plots.append(_percentiles(f"{load}: latency by percentile, ms", timed))
        for m in timed:
            plots.append(_over_time(m))
            plots.append(_histogram(m))
    return plots


def _percentiles(name: str, measurements: Sequence[Measurement]) -> str:
    """Latency over nines: 90 % lies at 1, 99 % at 2."""
    series: dict[str, list[tuple[float, float]]] = {}
    for m in measurements:
        times = np.sort(m.times_ms)
        nines = -np.log10(1 - np.arange(len(times)) / len(times))
        series[m.scenario] = _thinned(list(zip(nines.tolist(), times.tolist(), strict=True)))
    return line_chart(name, series, x_label="share of queries", x_text=_share)


def _share(nines: float) -> str:
    return f"{100 * (1 - 10**-nines):.4g} %"


def _over_time(m: Measurement) -> str:
    """The highest of each stretch, so that no stall is lost."""
    times = np.array(m.times_ms)
    step = max(1, -(-len(times) // _MOST_POINTS))
    points = [(float(k), float(times[k : k + step].max())) for k in range(0, len(times), step)]
    return line_chart(f"{m.name}: ms, query by query", {"latency": points}, x_label="query")


def _histogram(m: Measurement) -> str:
    longest = max(m.times_ms)
    step = 10 ** np.floor(np.log10(longest)) / 10
    counts, edges = np.histogram(m.times_ms, bins=_BINS, range=(0, step * np.ceil(longest / step)))
    return histogram(m.name, edges.tolist(), {"": counts.tolist()}, x_label="ms", y_label="queries")


def _stream_plots(report: BenchReport) -> list[str]:
    if report.streams is None:
        return []
    trials = report.streams.trials
    plots = []
    for x_label, points in (
        ("streams", [(float(t.streams), t) for t in trials if t.rate_per_s == trials[0].rate_per_s]),
        ("frames/s of one stream", [(t.rate_per_s, t) for t in trials if t.streams == 1]),
    ):
        if len(points) < 2:
            continue
        points.sort(key=lambda point: point[0])
        lost = [(x, 100 * trial.lost_share) for x, trial in points]
        age = [(x, trial.age.p99_ms) for x, trial in points if trial.age is not None]
        plots.append(line_chart("lost, %", {"lost": lost}, x_label=x_label))
        plots.append(line_chart("age at output, p99, ms", {"age p99": age}, x_label=x_label))
    return plots


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Fewer points where they lie close; the last hundred, which are the tail, all stay."""
    step = max(1, len(points) // _MOST_POINTS)
    return points[:-100:step] + points[-100:]


def _table(table: Table) -> str:
    kind = " class='two'" if len(table.header) == 2 else ""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f"<div class='scroll'><table{kind}><tr>{head}</tr>{body}</table></div>"
