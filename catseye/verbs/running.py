"""``run``: a bundle on files, or on cameras until it is told to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from catseye.console import error_console, live_table, output_console, print_table, progress_bars
from catseye.errors import CatseyeError, UsageError
from catseye.progress import Progress, silent
from catseye.stopping import until_told
from catseye.verbs.building import WORKSPACE_MIB, Cache, Dla, Workspace, plan_options
from catseye.verbs.options import Engine, GraphPrecision, Json, Threads, print_json

if TYPE_CHECKING:
    from catseye.runtime.live_board import LiveBoard
    from catseye.runtime.stream_summary import StreamSummary
    from catseye.runtime.video_run import Calibrations

_HEADER = ("stream", "frames in", "processed", "dropped", "tracks", "frames/s", "age p50, p99", "")


def run(
    bundle: Annotated[Path, typer.Argument(help="NAME.catseye")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders or globs, one after the other; or streams at the same time: rtsp://…, "
            "http://…, /dev/videoN, csi://N, gst:PIPELINE, NAME=ANY. By default the cameras of catseye.toml."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The vehicle's file; by default catseye.toml, where there is one.")
    ] = None,
    jsonl: Annotated[
        Path | None,
        typer.Option(
            help="Write a record a frame to this file; of cameras, append them. -: standard output."
        ),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(help="Write the video, tracks drawn, to this file; of several streams to this folder."),
    ] = None,
    mcap: Annotated[
        Path | None,
        typer.Option(
            help="Write pictures, boxes and records to this .mcap, for Foxglove; of cameras to files with "
            "the time in their names, a new one each hour or 512 MiB."
        ),
    ] = None,
    mcap_pictures: Annotated[
        int, typer.Option(help="Most pixels of the width of pictures in --mcap; 0 writes none.")
    ] = 960,
    mqtt: Annotated[
        str | None,
        typer.Option(
            help="Publish a record a frame: mqtt[s]://[user@]host[:port]/topic. The password is taken from "
            "CATSEYE_MQTT_PASSWORD, or the file that CATSEYE_MQTT_PASSWORD_FILE names."
        ),
    ] = None,
    calibration: Annotated[
        list[str] | None,
        typer.Option(help="calibration.json of the camera; of several streams NAME=FILE, repeatable."),
    ] = None,
    transport: Annotated[
        Literal["tcp", "udp"] | None, typer.Option(help="What RTSP sends over; default tcp.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Serve a page to look at, /status.json, /metrics and /healthz there; 0 takes any free port.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address for --port; by default this machine alone can look.")
    ] = "127.0.0.1",
    likeness: Annotated[
        float,
        typer.Option(
            help="Cosine of embeddings that a track seen again after a while must have; 0 does not look."
        ),
    ] = 0.0,
    camera_motion: Annotated[
        bool,
        typer.Option(
            "--camera-motion",
            help="Move tracks as the camera turns: for a mount that shakes. Takes 2 ms or so a frame.",
        ),
    ] = False,
    duration: Annotated[float | None, typer.Option(help="Stop after so many seconds.")] = None,
    engine: Engine = "auto",
    precision: GraphPrecision = "auto",
    threads: Threads = 0,
    cache: Cache = None,
    workspace: Workspace = WORKSPACE_MIB,
    dla: Dla = None,
    as_json: Json = False,
) -> None:
    """Detect, track and measure distance. Ends cleanly at SIGTERM and Ctrl-C."""
    from catseye.capture.systemd import sd_notify
    from catseye.runtime import run as run_sources
    from catseye.runtime.heartbeat import Heartbeat
    from catseye.runtime.sources.opening import rounds_of
    from catseye.vehicle_file import vehicle_file

    if duration is not None and not duration > 0:
        raise UsageError(f"--duration {duration:g}: must be above 0")
    to_stdout = jsonl is not None and str(jsonl) == "-"
    if to_stdout and as_json:
        raise UsageError("--json and --jsonl - both write to standard output: choose one")
    carried = vehicle_file(config)
    named = list(sources or (f"{name}={camera.url}" for name, camera in carried.cameras.items()))
    specs = [spec for together in rounds_of(named) for spec in together]
    lenses = {
        spec.name: carried.cameras[spec.name].calibration for spec in specs if spec.name in carried.cameras
    }
    live = any(spec.live for spec in specs)
    beat = Heartbeat()
    with (
        until_told(duration) as told,
        _board([spec.name for spec in specs], port, host=host) as board,
        _shown(live=live) as (show, progress),
    ):

        def on_status(streams: Sequence[StreamSummary]) -> None:
            beat(streams)
            show([_row(stream) for stream in streams])
            if board is not None:
                board.tell(streams)

        summary = run_sources(
            bundle,
            *named,
            jsonl=jsonl,
            video=video,
            mcap=mcap,
            mcap_pictures=mcap_pictures,
            mqtt=mqtt,
            sinks=[board.show] if board is not None else [],
            calibration=_calibration(calibration or (), lenses),
            transport=transport or carried.record.transport or "tcp",
            engine=engine,
            precision=precision,
            threads=threads,
            plans=plan_options(cache, workspace, dla),
            min_likeness=likeness,
            camera_motion=camera_motion,
            stop=told.stop,
            on_status=on_status,
            progress=progress,
        )
    sd_notify("STOPPING=1")
    to = error_console if to_stdout else output_console
    if as_json:
        print_json(summary.to_json())
    elif len(summary.streams) == 1:
        print_table(summary.streams[0].stream, ("figure", "value"), _figures(summary.streams[0]), to=to)
    else:
        title = f"{summary.processed} frames in {summary.seconds:.2f} s, {summary.fps:.1f} frames/s"
        print_table(title, _HEADER, [_row(stream) for stream in summary.streams], to=to)
    if summary.mqtt is not None and not as_json:
        to.print(f"MQTT: {summary.mqtt.sent} records sent, {summary.mqtt.dropped} dropped")
    failed = [stream for stream in summary.streams if stream.error]
    if failed and not live:
        raise CatseyeError(f"{len(failed)} of {len(specs)} files failed, first {failed[0].error}")
    if told.number is not None and not live:
        raise typer.Exit(128 + told.number)


@contextmanager
def _shown(*, live: bool) -> Iterator[tuple[Callable[[list[tuple[str, ...]]], None], Progress]]:
    """Where the status of cameras is shown, and the progress of files."""
    if live:
        with live_table(_HEADER) as show:
            yield show, silent
    else:
        with progress_bars() as progress:
            yield (lambda rows: None), progress


@contextmanager
def _board(streams: Sequence[str], port: int | None, *, host: str) -> Iterator[LiveBoard | None]:
    """What is shown over HTTP; None where there is no port."""
    if port is None:
        yield None
        return
    from catseye.http_server import WebServer
    from catseye.runtime.live_board import LiveBoard
    from catseye.runtime.live_page import routes

    board = LiveBoard(streams)
    with WebServer(routes(board), port, host=host) as server:
        error_console.print(f"look at http://{host}:{server.port}/", markup=False)
        yield board


def _calibration(values: Sequence[str], lenses: Mapping[str, Path | None]) -> Calibrations | None:
    """What ``--calibration`` says, over what the vehicle's file says."""
    named = {name: path for name, path in lenses.items() if path is not None}
    for value in values:
        name, is_named, path = value.partition("=")
        if is_named and not Path(value).exists():
            named[name] = Path(path)
        elif len(values) > 1:
            raise UsageError(f"--calibration {value!r}: of several, write each as NAME=FILE")
        else:
            return value
    return named or None


def _row(stream: StreamSummary) -> tuple[str, ...]:
    """A stream among others, by the columns of ``_HEADER``."""
    if stream.error:
        state = f"failed: {stream.error}"
    elif stream.ended:
        state = "ended"
    else:
        state = "running" if stream.processed else f"waiting, {stream.attempts} attempts"
    return (
        stream.stream,
        str(stream.frames_in),
        str(stream.processed),
        str(stream.dropped),
        str(stream.tracks),
        f"{stream.fps:.1f}",
        _age(stream),
        state,
    )


def _figures(stream: StreamSummary) -> list[tuple[str, str]]:
    """All of a single stream."""
    rows = [
        ("frames in", f"{stream.frames_in}"),
        ("processed", f"{stream.processed}"),
        ("dropped", f"{stream.dropped}"),
        ("packets that did not decode", f"{stream.corrupt_packets}"),
        ("tracks", f"{stream.tracks}"),
        ("took", f"{stream.seconds:.2f} s, {stream.fps:.1f} frames/s"),
        ("age at output, p50 and p99", _age(stream)),
    ]
    if stream.attempts:
        rows.append(("connections", f"{stream.attempts}"))
    return rows


def _age(stream: StreamSummary) -> str:
    age = stream.output_age
    return "" if age is None else f"{age.p50_ms:.1f} ms, {age.p99_ms:.1f} ms"
