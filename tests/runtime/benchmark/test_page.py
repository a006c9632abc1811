from __future__ import annotations

import re
from html.parser import HTMLParser

from bench_reports import full_report, measurement, report

from catseye.runtime.benchmark.comparison import compare
from catseye.runtime.benchmark.distribution import Distribution
from catseye.runtime.benchmark.page import render_page
from catseye.runtime.benchmark.tables import DETAILS, markdown, tables
from catseye.runtime.benchmark.trtexec import LayerTime, TrtexecTimes


class Balance(HTMLParser):
    """Whether every element that is opened is closed, in its order."""

    ALONE = frozenset({"meta", "path", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.ALONE:
            assert self.open.pop() == tag


def test_page_shows_everything_and_escapes_it() -> None:
    whole = full_report()
    page = render_page(whole, compare(whole, whole))
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert "<b>processor</b>" not in page and "&lt;b&gt;processor" in page
    assert "other processes took &lt;1&gt; core" in page
    assert "<script" not in page and "http" not in page
    # Per load a plot of percentiles, and two of each of three timed scenarios; two of streams, two of rates.
    assert page.count("<svg") == 2 + 2 * 3 + 4
    for title in (
        "Against the report",
        "Engine: latency",
        "End to end",
        "Cold start",
        "Energy",
        "Live streams",
    ):
        assert title in page


def test_figures_in_the_tables() -> None:
    whole = full_report()
    found = {table.title: table for table in tables(whole)}
    engine = next(table for title, table in found.items() if title.startswith("Engine"))
    single, server, offline = engine.rows
    latency = whole.measurements[0].latency
    assert latency is not None and latency.p99_bound_ms is not None
    assert single[:2] == ("SingleStream", "600") and single[5] == f"{latency.p99_bound_ms:.2f}"
    assert server[0] == "Server 60.0/s" and offline[-1] == "125.0" and offline[2] == ""
    (frames,) = next(table for title, table in found.items() if title.startswith("End to end")).rows
    assert frames[1] == "30" and frames[5] == ""  # too few to bound the percentile
    start = next(table for title, table in found.items() if title.startswith("Cold start"))
    assert ("first result", "1.00 s") in start.rows  # the median of 0.9, 1.0 and 5.0
    assert found["Energy, whole module"].rows[0][3:5] == ("0.1000", "0.0400")
    assert not set(engine.without(DETAILS).header) & DETAILS
    assert len(engine.without(DETAILS).rows[0]) == len(engine.without(DETAILS).header)
    assert whole.figures()["cold_start_s"] == 1.0


def test_markdown_tables_are_whole() -> None:
    text = markdown(full_report())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    for block in blocks:
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(columns) == 1, block
    assert any("A <b>processor</b> \\| of ours" in row for row in rows)


def test_times_of_trtexec_beside_ours() -> None:
    theirs = Distribution.of([2.0, 4.0])
    parts = dict.fromkeys(("latency", "copy_in", "compute", "copy_out"), theirs)
    layer = LayerTime(name="Conv", mean_ms=0.5, share=0.25)
    times = TrtexecTimes(**parts, queries_per_s=None, layers=(layer,))
    ours = measurement("SingleStream", [3.0, 5.0])
    beside, layers = tables(report(ours, trtexec=times))[1:3]
    assert beside.rows[-1] == ("ours over trtexec's latency", "× 1.500", "", "× 1.250", "")
    assert layers.rows == (("Conv", "0.5000", "25.0 %"),)
    assert any("the engine here is onnxruntime" in note for note in report(ours, trtexec=times).notes())
    on_gpu = report(ours, trtexec=times, machine={"engine": "tensorrt 10.3.0 fp16"})
    assert not any("trtexec" in note for note in on_gpu.notes())


def test_a_report_of_little_has_few_tables() -> None:
    little = report(measurement("SingleStream", [1.0, 2.0]))
    assert [table.title.split(":")[0] for table in tables(little)] == ["Engine", "Fingerprint"]
    assert "<svg" in render_page(little)
