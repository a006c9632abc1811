"""A report as tables: for the terminal, as Markdown, and for the page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from catseye.runtime.benchmark.comparison import Change
from catseye.runtime.benchmark.report import BenchReport, Load, Measurement

_LATENCY_HEADER = ("", "queries", "p50", "p90", "p99", "p99 ≤", "max", "jitter", "p99 − p50", "frames/s")

DETAILS = frozenset({"queries", "jitter", "p99 − p50", "95 % of ratios", "allowed", "by rail"})
"""Columns for which a terminal has no room."""

NOTES = (
    "SingleStream and MultiStream put a query when the one before is answered. In Server queries arrive "
    "whether or not the system is ready, and a latency counts from when its query was meant to arrive. In "
    "Offline all is there at once. The names are those of MLPerf Inference; these are no MLPerf results.",
    "Engine: from inputs in memory to outputs in memory, copies included. End to end: from the packet to the "
    "record, decoding, resizing, tracking and distances included.",
    "Percentiles are times that occurred. The column p99 ≤ has what the 99th percentile is at most, with "
    "99 % confidence if times are independent. Jitter is the mean difference between a time and the one "
    "before.",
)


@dataclass(frozen=True)
class Table:
    """Rows of text below a header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def without(self, names: Collection[str]) -> Table:
        """The same with fewer columns."""
        kept = [place for place, name in enumerate(self.header) if name not in names]
        return Table(
            self.title,
            tuple(self.header[place] for place in kept),
            tuple(tuple(row[place] for place in kept) for row in self.rows),
        )


def tables(report: BenchReport, changes: Sequence[Change] = ()) -> list[Table]:
    """Everything that a report holds; what it does not hold has no table."""
    made = [
        _changes(changes),
        _latencies(report, "engine"),
        _latencies(report, "end to end"),
        _start(report),
        _energy(report),
        _streams(report),
        _accuracy(report),
        *_trtexec(report),
        _heat(report),
        _fingerprint(report),
    ]
    return [table for table in made if table.rows]


def markdown(report: BenchReport, changes: Sequence[Change] = ()) -> str:
    """The tables, with what disturbed and how to read them."""
    parts = [f"# {title(report)}", f"{report.began}, Catseye {report.fingerprint.catseye}"]
    if report.notes():
        parts.append("\n".join(f"- {_cell(each)}" for each in report.notes()))
    for table in tables(report, changes):
        lines = [f"## {table.title}", "", _row(table.header), _row(("---",) * len(table.header))]
        parts.append("\n".join(lines + [_row(row) for row in table.rows]))
    return "\n\n".join([*parts, *NOTES]) + "\n"


def title(report: BenchReport) -> str:
    machine = report.fingerprint
    return f"{machine.engine} {machine.precision} on {machine.board or machine.cpu}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _latencies(report: BenchReport, load: Load) -> Table:
    rows = tuple(_latency(m) for m in report.measurements if m.load == load)
    return Table(f"{load.capitalize()}: latency in ms, and rate", _LATENCY_HEADER, rows)


def _latency(m: Measurement) -> tuple[str, ...]:
    name: str = m.scenario
    if m.samples_per_query > 1:
        name += f" of {m.samples_per_query}"
    if m.rate_per_s is not None:
        name += f" {m.rate_per_s:.1f}/s" + (", even" if m.arrivals == "even" else "")
    if m.latency is None:
        return (name, str(len(m.times_ms)), *("",) * 7, f"{m.samples_per_s:.1f}")
    d = m.latency
    figures = (d.p50_ms, d.p90_ms, d.p99_ms, d.p99_bound_ms, d.max_ms, d.jitter_ms, d.spread_ms)
    cells = ("" if figure is None else f"{figure:.2f}" for figure in figures)
    return (name, str(d.count), *cells, f"{m.samples_per_s:.1f}")


def _start(report: BenchReport) -> Table:
    starts = report.cold_starts
    if not starts:
        return Table("", (), ())

    def middle(name: str) -> float:
        return float(np.median([getattr(start, name) for start in starts]))

    rows = [
        ("Python and libraries", f"{middle('imported_s'):.2f} s"),
        ("bundle verified", f"{middle('opened_s'):.2f} s"),
        ("engine ready", f"{middle('loaded_s'):.2f} s"),
        ("first result", f"{middle('first_result_s'):.2f} s"),
        (f"peak memory over {starts[0].frames} frames", f"{max(s.peak_memory_mib for s in starts):.0f} MiB"),
    ]
    if starts[0].gpu_memory_mib is not None:
        rows.append(("of the GPU's memory", f"{max(s.gpu_memory_mib or 0 for s in starts):.0f} MiB"))
    return Table(
        f"Cold start: since the process began, median of {len(starts)}", ("until", "took"), tuple(rows)
    )


def _energy(report: BenchReport) -> Table:
    header = ("", "power", "idle", "J a frame", "above idle", "by rail")
    rows = []
    for m in report.measurements:
        e = m.energy
        if e is not None:
            idle = "" if e.idle_w is None else f"{e.idle_w:.2f} W"
            above = "" if e.above_idle_joules_per_frame is None else f"{e.above_idle_joules_per_frame:.4f}"
            rails = ", ".join(f"{name} {watts:.2f} W" for name, watts in e.rails_w.items())
            rows.append((m.name, f"{e.mean_w:.2f} W", idle, f"{e.joules_per_frame:.4f}", above, rails))
    return Table("Energy, whole module", header, tuple(rows))


def _streams(report: BenchReport) -> Table:
    if report.streams is None:
        return Table("", (), ())
    limits = report.streams
    rate = limits.highest_rate_per_s
    highest = "none" if rate is None else f"{rate:.1f}/s"
    header = ("streams", "frames/s each", "due", "lost", "age p50", "age p99", "age max")
    rows: list[tuple[str, ...]] = []
    for trial in limits.trials:
        age = trial.age
        ages = () if age is None else (age.p50_ms, age.p99_ms, age.max_ms)
        cells = (
            str(trial.streams),
            f"{trial.rate_per_s:.1f}",
            str(trial.due),
            f"{100 * trial.lost_share:.2f} %",
        )
        rows.append((*cells, *(f"{milliseconds:.1f}" for milliseconds in ages), *("",) * (3 - len(ages))))
    told = f"Live streams: {limits.most_streams} kept up with, one up to {highest}; ages in ms"
    return Table(told, header, tuple(rows))


def _accuracy(report: BenchReport) -> Table:
    a = report.accuracy
    if a is None:
        return Table("", (), ())
    row = (f"{a.ap50:.3f}", f"{a.ap:.3f}", str(a.stills), str(a.objects))
    return Table("Accuracy of the same engine", ("AP50", "AP", "stills", "objects"), (row,))


def _trtexec(report: BenchReport) -> list[Table]:
    t = report.trtexec
    if t is None:
        return []
    ours = report.find("engine", "SingleStream")
    rows: list[tuple[str, ...]] = [
        (f"trtexec, {name}", f"{d.p50_ms:.3f}", f"{d.p90_ms:.3f}", f"{d.p99_ms:.3f}", f"{d.max_ms:.3f}")
        for name, d in (
            ("latency", t.latency),
            ("copy in", t.copy_in),
            ("compute", t.compute),
            ("copy out", t.copy_out),
        )
    ]
    if ours is not None and ours.latency is not None:
        d = ours.latency
        ratios = (d.p50_ms / t.latency.p50_ms, d.p99_ms / t.latency.p99_ms)
        rows.append(("ours, SingleStream", *(f"{v:.3f}" for v in (d.p50_ms, d.p90_ms, d.p99_ms, d.max_ms))))
        rows.append(("ours over trtexec's latency", f"× {ratios[0]:.3f}", "", f"× {ratios[1]:.3f}", ""))
    layers = tuple((layer.name, f"{layer.mean_ms:.4f}", f"{100 * layer.share:.1f} %") for layer in t.layers)
    return [
        Table("Beside trtexec, in ms", ("", "p50", "p90", "p99", "max"), tuple(rows)),
        Table("Layers that take longest, by trtexec", ("layer", "mean ms", "share"), layers),
    ]


def _heat(report: BenchReport) -> Table:
    rows = tuple((name, f"{degrees:.1f} °C") for name, degrees in sorted(report.hottest_c.items()))
    return Table("Hottest", ("zone", "temperature"), rows)


def _fingerprint(report: BenchReport) -> Table:
    rows = []
    for name, value in report.fingerprint.model_dump().items():
        if value in ("", None):
            continue
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        rows.append((name.replace("_", " "), text))
    return Table("Fingerprint", ("", ""), tuple(rows))


def _changes(changes: Sequence[Change]) -> Table:
    header = ("", "", "before", "now", "ratio", "95 % of ratios", "allowed", "")
    rows = tuple(
        (
            c.measurement,
            c.statistic,
            f"{c.before_ms:.2f} ms",
            f"{c.now_ms:.2f} ms",
            f"{c.ratio:.3f}",
            f"{c.low:.3f} to {c.high:.3f}",
            f"{c.allowed:.2f}",
            c.verdict,
        )
        for c in changes
    )
    return Table("Against the report of before", header, rows)
