"""``report.html``: what a demo did, on one page that needs nothing else but the video beside it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2

from catseye.capture.geometry import planes_to_rgb
from catseye.capture.sources import VideoFile
from catseye.charts import line_chart, smoothed
from catseye.files import write_text
from catseye.ledger import Stage

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em;color:#1f2328}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .8em;border-bottom:1px solid #d0d7de;
text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}img,video{max-width:100%;margin:2px}
figure{display:inline-block;margin:4px}figcaption{font-size:12px;color:#57606a}
"""


def write_report(out: Path, stages: Sequence[Stage]) -> Path:
    """Write ``report.html`` into a demo's folder from what the stages left there.

    Args:
        out: the demo's folder.
        stages: what was done, in order.
    """
    sections = [
        _section("What each stage did", _stage_table(stages)),
        _section("Pretraining", _curves(out / "run/pretrain/metrics.jsonl")),
        _section("Depth beside the frame", _pictures(out / "run/pretrain/pictures")),
        _section("Fine-tuning", _curves(out / "run/finetune/metrics.jsonl")),
        _section("Detections on labelled stills", _pictures(out / "run/finetune/pictures")),
        _section("Tracks on the held-out clip", _tracks(out / "tracked.mp4")),
        _section("Latency", _latency(out / "bench.json")),
    ]
    page = (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Catseye demo</title>"
        f"<style>{_STYLE}</style><h1>Catseye demo</h1>{''.join(sections)}</html>\n"
    )
    path = out / "report.html"
    write_text(path, page)
    return path


def _section(title: str, body: str) -> str:
    return f"<h2>{html.escape(title)}</h2>{body}" if body else ""


def _stage_table(stages: Sequence[Stage]) -> str:
    rows = [(stage.name, stage.did, f"{stage.seconds:.1f} s") for stage in stages]
    figures = [
        (stage.name, name, f"{value:.4g}")
        for stage in stages
        for name, value in sorted(stage.figures.items())
    ]
    return _table(("stage", "did", "took"), rows) + _table(("stage", "figure", "value"), figures)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[:-1])
        + f"<td class='n'>{html.escape(row[-1])}</td></tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _curves(path: Path) -> str:
    """A chart for each figure that a run logged; those that share what stands before a slash share one."""
    if not path.exists():
        return ""
    charts: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        step = float(record.pop("step"))
        for name, value in record.items():
            if isinstance(value, (int, float)):
                chart, _, series = name.rpartition("/")
                charts.setdefault(chart or name, {}).setdefault(series, []).append((step, float(value)))
    return "".join(_chart(title, series) for title, series in sorted(charts.items()))


def _chart(title: str, series: Mapping[str, list[tuple[float, float]]]) -> str:
    window = max(1, max(len(points) for points in series.values()) // 20)
    smooth = {name: smoothed(points, window=window) for name, points in series.items()}
    return line_chart(title, smooth, x_label="step")


def _pictures(folder: Path, *, most: int = 8) -> str:
    files = sorted(path for path in folder.glob("*") if path.suffix in {".png", ".jpg"})[:most]
    return "".join(_figure(path.read_bytes(), path.suffix.removeprefix("."), path.stem) for path in files)


def _figure(content: bytes, kind: str, caption: str) -> str:
    kind = "jpeg" if kind == "jpg" else kind
    data = base64.b64encode(content).decode()
    return (
        f"<figure><img src='data:image/{kind};base64,{data}' alt='{html.escape(caption)}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _tracks(video: Path, *, stills: int = 6) -> str:
    """The video itself, and stills spread over it for readers whose browser does not play it."""
    if not video.exists():
        return ""
    with VideoFile(video) as file:
        total = sum(1 for _ in file.packets())
    wanted = {round((number + 0.5) * total / stills) for number in range(stills)}
    figures = []
    with VideoFile(video) as file:
        for frame in file.frames():
            if frame.index in wanted:
                bgr = cv2.cvtColor(planes_to_rgb(frame.planes), cv2.COLOR_RGB2BGR)
                encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
                figures.append(_figure(encoded.tobytes(), "jpg", f"{frame.time_s:.2f} s"))
    player = f"<p><video src='{html.escape(video.name)}' controls muted loop></video></p>"
    return player + "".join(figures)


def _latency(path: Path) -> str:
    if not path.exists():
        return ""
    from catseye.runtime.benchmark.report import BenchReport
    from catseye.runtime.benchmark.tables import tables

    return "".join(
        f"<h3>{html.escape(table.title)}</h3>{_table(table.header, table.rows)}"
        for table in tables(BenchReport.load(path))
    )
