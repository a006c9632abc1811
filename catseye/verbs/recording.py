"""Verbs that run on the vehicle: cameras to footage, and footage off the vehicle."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from catseye.console import error_console, live_table, output_console, print_table, progress_bars
from catseye.errors import CatseyeError, InputError, UsageError
from catseye.stopping import until_told
from catseye.units import parse_bytes
from catseye.verbs.options import Json, print_json

if TYPE_CHECKING:
    from catseye.capture.recording.options import RecordOptions, SourceSpec
    from catseye.capture.recording.status import CameraStatus
    from catseye.vehicle_file import RecordTable, VehicleFile

_NAMED = re.compile(r"([A-Za-z0-9][\w-]*)=(.+)")
_LEAST_QUOTA = 10_000
_MIN_FREE = "5GB"
_STATUS_HEADER = ("camera", "now", "packets", "MB", "dropped", "segments", "gaps", "last trouble")

Footage = Annotated[Path, typer.Argument(help="Folder of the footage, as `record` writes it.")]


def record(
    out: Annotated[Path, typer.Option("--out", help="Folder of the footage.")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="rtsp://…, http://…, /dev/videoN or a file; NAME=… names the camera."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The vehicle's file; by default catseye.toml, where there is one.")
    ] = None,
    vehicle: Annotated[str | None, typer.Option(help="Name of the vehicle.")] = None,
    proxy: Annotated[
        list[str] | None, typer.Option(help="NAME=ADDRESS of a camera's small stream; repeatable.")
    ] = None,
    calibration: Annotated[
        list[str] | None, typer.Option(help="NAME=calibration.json of a camera; repeatable.")
    ] = None,
    segment: Annotated[float | None, typer.Option(help="Seconds a segment; default 60.")] = None,
    container: Annotated[
        Literal["mp4", "ts"] | None, typer.Option(help="Fragmented MP4 or MPEG-TS; default mp4.")
    ] = None,
    transport: Annotated[
        Literal["tcp", "udp"] | None, typer.Option(help="What RTSP sends over; default tcp.")
    ] = None,
    fsync: Annotated[
        float | None, typer.Option(help="Most seconds of footage that a power cut may cost; default 1.")
    ] = None,
    open_timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for a camera's answer; default 10.")
    ] = None,
    read_timeout: Annotated[
        float | None, typer.Option(help="Seconds of silence until a camera is connected anew; default 5.")
    ] = None,
    max_gap: Annotated[
        float | None, typer.Option(help="A longer step in a stream's time is noted as a gap; default 2.")
    ] = None,
    quota: Annotated[str | None, typer.Option(help="Most that all footage may take, as 200GB.")] = None,
    min_free: Annotated[str | None, typer.Option(help="Free space to leave; default 5GB.")] = None,
    telemetry: Annotated[
        str | None, typer.Option(help="NMEA, GPX, CSV or JSON Lines file, or gpsd://HOST[:PORT].")
    ] = None,
    duration: Annotated[float | None, typer.Option(help="Stop after so many seconds.")] = None,
    status_file: Annotated[Path | None, typer.Option(help="Keep the status here, as JSON.")] = None,
    status_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Serve /status.json, /metrics and /healthz on localhost; 0: any port."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Cameras to footage that a power cut cannot spoil. Stops cleanly at SIGTERM and Ctrl-C.

    Options that are not given are those of the vehicle's file, where it has them.
    """
    from catseye.capture.recording.recorder import Recorder
    from catseye.capture.recording_status import StatusFile, serve_status
    from catseye.capture.retention import footage_sizes, make_room
    from catseye.capture.systemd import sd_notify
    from catseye.capture.telemetry_log import open_telemetry
    from catseye.vehicle_file import vehicle_file

    if duration is not None and not duration > 0:
        raise UsageError(f"--duration {duration:g}: must be above 0")
    carried = vehicle_file(config)
    specs = _specs(
        sources or (), carried, vehicle=vehicle, proxies=proxy or (), calibrations=calibration or ()
    )
    limits = carried.record
    quota = quota or limits.quota
    room = partial(
        make_room,
        out,
        quota_bytes=None if quota is None else _quota_bytes(quota),
        min_free_bytes=parse_bytes(min_free or limits.min_free or _MIN_FREE),
        sizes=footage_sizes(out),
    )
    options = _record_options(
        limits,
        segment_s=segment,
        container=container,
        transport=transport,
        fsync_s=fsync,
        open_timeout_s=open_timeout,
        read_timeout_s=read_timeout,
        max_gap_s=max_gap,
    )
    with ExitStack() as stack:
        told = stack.enter_context(until_told())
        where = telemetry or limits.telemetry
        log = stack.enter_context(open_telemetry(where)) if where else None
        recorder = Recorder(specs, out, options=options, make_room=room, telemetry=log)
        status = StatusFile(status_file, recorder.status()) if status_file is not None else None
        if status_port is not None:
            server = stack.enter_context(serve_status(recorder.status, status_port))
            error_console.print(f"status at http://127.0.0.1:{server.port}/status.json", markup=False)
        show = stack.enter_context(live_table(_STATUS_HEADER))

        def tell(cameras: Sequence[CameraStatus]) -> None:
            sd_notify("READY=1\nWATCHDOG=1")
            show([_status_row(camera) for camera in cameras])
            if status is not None:
                status.write(cameras)

        cameras = recorder.run(stop=told.stop, duration_s=duration, on_status=tell)
        sd_notify("STOPPING=1")
    if as_json:
        print_json([asdict(camera) for camera in cameras])
    else:
        print_table(str(out), _STATUS_HEADER, [_status_row(camera) for camera in cameras])
    troubles = [f"{camera.name}: {camera.last_error}" for camera in cameras if camera.last_error]
    trouble = troubles[0] if troubles else "no camera sent anything"
    if not any(camera.packets for camera in cameras):
        raise CatseyeError(f"nothing was recorded: {trouble}")
    if not any(camera.segments for camera in cameras):
        raise CatseyeError(
            f"no segment could be closed: {trouble}; free some room, then: catseye salvage {out}"
        )


def salvage(footage: Footage, as_json: Json = False) -> None:
    """Close what a killed recorder left, each segment up to its last verified part. `record` does so too."""
    from catseye.capture.recording.salvaging import salvage as run_salvage

    salvaged = run_salvage(footage)
    if as_json:
        print_json([asdict(item) for item in salvaged])
    else:
        rows = [(item.path, item.outcome, item.packets, item.unverified_bytes) for item in salvaged]
        print_table(str(footage), ("file", "outcome", "packets", "bytes not verified"), rows)


def upload(
    footage: Footage,
    url: Annotated[str, typer.Argument(help="Where to: a folder or any fsspec URL, as s3://bucket/folder.")],
    delete_after: Annotated[
        bool, typer.Option("--delete-after", help="Delete what is verified there, unless locked.")
    ] = False,
    limit: Annotated[str | None, typer.Option(help="Most to send a second, as 1MB.")] = None,
    part: Annotated[str, typer.Option(help="What is sent again at most after a kill, for S3.")] = "8MiB",
    attempts: Annotated[
        int, typer.Option(help="Failures in a row, with no byte arriving, after which to give up.")
    ] = 8,
    endpoint: Annotated[
        str | None, typer.Option(help="https://… of a server that speaks S3, if it is not Amazon's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Footage off the vehicle: resumable, verified, small proxies and locked segments first."""
    from catseye.capture.uploading import upload as run_upload

    if endpoint is not None:
        _check_endpoint(endpoint, url)
    with progress_bars() as progress:
        summary = run_upload(
            footage,
            url,
            delete_after=delete_after,
            limit_bytes_per_s=None if limit is None else parse_bytes(limit),
            part_bytes=parse_bytes(part),
            attempts=attempts,
            storage_options=None if endpoint is None else {"endpoint_url": endpoint},
            progress=progress,
        )
    if as_json:
        print_json(asdict(summary))
    else:
        rows = [
            (name.replace("_", " "), value) for name, value in asdict(summary).items() if name != "failed"
        ]
        print_table(f"{footage} to {url}", ("figure", "value"), rows)
    if summary.failed:
        path, reason = next(iter(summary.failed.items()))
        raise CatseyeError(f"{len(summary.failed)} files could not be uploaded, first {path}: {reason}")


def lock(
    segments: Annotated[list[Path], typer.Argument(help="Segments to keep while there are others.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take the locks away.")] = False,
) -> None:
    """Keep segments from being deleted for room while there is any other footage."""
    from catseye.capture import retention

    for path in segments:
        if undo:
            retention.unlock(path)
        else:
            retention.lock(path)
    output_console.print(f"{'unlocked' if undo else 'locked'} {len(segments)}")


def _check_endpoint(endpoint: str, url: str) -> None:
    if not re.match(r"https?://[^/]", endpoint):
        raise UsageError(
            f"--endpoint {endpoint}: must be the address of a server, as https://storage.example.com"
        )
    if not url.startswith(("s3://", "s3a://")):
        raise UsageError(f"--endpoint {endpoint}: is for s3://bucket/folder, not for {url}")


def _record_options(table: RecordTable, **given: Any) -> RecordOptions:
    """What the command line gives, else the vehicle's file, else the default."""
    from catseye.capture.recording.options import RecordOptions

    asked = {name: getattr(table, name) if value is None else value for name, value in given.items()}
    return RecordOptions(**{name: value for name, value in asked.items() if value is not None})


def _quota_bytes(quota: str) -> int:
    amount = parse_bytes(quota)
    if amount < _LEAST_QUOTA:
        raise UsageError(f"quota {quota} is {amount} bytes, so that no segment would stay: give it as 200GB")
    return amount


def _specs(
    sources: Sequence[str],
    carried: VehicleFile,
    *,
    vehicle: str | None,
    proxies: Sequence[str],
    calibrations: Sequence[str],
) -> list[SourceSpec]:
    """The cameras to record: those named, or else those of the vehicle's file."""
    from catseye.capture.calibration import Calibration
    from catseye.capture.recording.options import SourceSpec

    named = _named_sources(sources) or {name: camera.url for name, camera in carried.cameras.items()}
    if not named:
        raise UsageError("no camera: name a SOURCE, or write a catseye.toml with [cameras.NAME]")
    for url in named.values():
        if "://" not in url and not Path(url).exists():
            raise InputError(url, "no such file or device", "give rtsp://…, http://…, /dev/videoN or a file")
    proxy_of = {name: c.proxy_url for name, c in carried.cameras.items()} | _pairs("--proxy", proxies, named)
    lens_of: dict[str, Any] = {name: c.calibration for name, c in carried.cameras.items()}
    lens_of |= _pairs("--calibration", calibrations, named)
    return [
        SourceSpec(
            name=name,
            url=url,
            vehicle=vehicle or carried.vehicle,
            proxy_url=proxy_of.get(name),
            calibration=Calibration.load(lens_of[name]) if lens_of.get(name) else None,
        )
        for name, url in named.items()
    ]


def _named_sources(sources: Sequence[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for number, source in enumerate(sources, start=1):
        match = _NAMED.fullmatch(source)
        if match is None:
            _check_no_name(source)
        name = match.group(1) if match else "camera" if len(sources) == 1 else f"camera{number}"
        if name in named:
            raise UsageError(f"camera {name!r} is given twice: write NAME=ADDRESS with a name for each")
        named[name] = match.group(2) if match else source
    return named


def _check_no_name(source: str) -> None:
    """Tell a name that no camera can have from an address with an equals sign in it."""
    name, equals, _ = source.partition("=")
    if equals and "/" not in name and not Path(source).exists():
        raise UsageError(f"camera {name!r}: use letters, digits, '-', '_' and '.', a letter first")


def _pairs(option: str, values: Sequence[str], cameras: dict[str, str]) -> dict[str, str]:
    pairs = {}
    for value in values:
        match = _NAMED.fullmatch(value)
        if match is None or match.group(1) not in cameras:
            raise UsageError(f"{option} {value!r}: write NAME=… with one of {', '.join(cameras)}")
        pairs[match.group(1)] = match.group(2)
    return pairs


def _status_row(camera: CameraStatus) -> tuple[str, ...]:
    return (
        camera.name,
        "recording" if camera.connected else "away",
        str(camera.packets),
        f"{camera.bytes / 1e6:.1f}",
        str(camera.dropped),
        str(camera.segments),
        f"{camera.gap_s:.1f} s",
        camera.last_error,
    )
