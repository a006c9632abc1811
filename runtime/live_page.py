"""A run over HTTP: a page to look at, figures for machines, the newest picture of each stream."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from catseye import prometheus
from catseye.http_server import Answer, Routes
from catseye.runtime.live_board import LiveBoard, StreamFigures
from catseye.runtime.stream_summary import StreamSummary

PAGE = Path(__file__).with_name("live_page.html")

_NO_FRAME = Answer(b"no frame yet\n", code=503)


def routes(board: LiveBoard) -> Routes:
    """``/``, ``/status.json``, ``/metrics``, ``/healthz`` (503 while a stream is not well), and of each
    stream, counted from 0, ``/streams/N.jpg`` and ``/streams/N.json``, its newest result."""
    of_streams = {}
    for number, name in enumerate(board.streams):
        of_streams[f"/streams/{number}.jpg"] = partial(_picture, board, name)
        of_streams[f"/streams/{number}.json"] = partial(_record, board, name)
    return {
        "/": lambda: Answer(PAGE.read_bytes(), "text/html; charset=utf-8"),
        "/status.json": lambda: Answer.of_json(board.document()),
        "/metrics": lambda: Answer(metrics(board.figures()).encode(), prometheus.CONTENT_TYPE),
        "/healthz": partial(_health, board),
        **of_streams,
    }


def metrics(streams: list[StreamFigures]) -> str:
    """The figures as Prometheus reads them."""
    labelled = [({"stream": stream.summary.stream}, stream) for stream in streams]
    counters: dict[str, tuple[str, Callable[[StreamSummary], int]]] = {
        "frames_total": ("Frames that came in.", lambda s: s.frames_in),
        "processed_total": ("Frames whose result every output has taken.", lambda s: s.processed),
        "dropped_total": ("Frames left out.", lambda s: s.dropped),
        "tracks_total": ("Ids given.", lambda s: s.tracks),
        "epochs_total": ("Times that tracking began anew.", lambda s: s.epochs),
        "restarts_total": ("Faults after which a stream was taken up again.", lambda s: s.restarts),
    }
    told = [
        prometheus.Metric(
            f"catseye_run_{name}", "counter", text, [(labels, of(s.summary)) for labels, s in labelled]
        )
        for name, (text, of) in counters.items()
    ]
    ages = [
        ({**labels, "quantile": quantile}, getattr(s.summary.output_age, field) / 1e3)
        for labels, s in labelled
        if s.summary.output_age is not None
        for quantile, field in (("0.5", "p50_ms"), ("0.99", "p99_ms"))
    ]
    silent = [(labels, s.silent_s) for labels, s in labelled]
    return prometheus.exposition(
        [
            *told,
            prometheus.Metric(
                "catseye_run_output_age_seconds", "gauge", "From a frame's arrival to its result.", ages
            ),
            prometheus.Metric("catseye_run_silent_seconds", "gauge", "Since the newest result.", silent),
        ]
    )


def _health(board: LiveBoard) -> Answer:
    unwell = [stream.summary.stream for stream in board.figures() if not stream.well]
    if unwell:
        return Answer(f"no result lately: {', '.join(unwell)}\n".encode(), code=503)
    return Answer(b"ok\n")


def _record(board: LiveBoard, stream: str) -> Answer:
    record = board.record(stream)
    return _NO_FRAME if record is None else Answer.of_json(record)


def _picture(board: LiveBoard, stream: str) -> Answer:
    picture = board.picture(stream)
    return _NO_FRAME if picture is None else Answer(picture, "image/jpeg")
