"""What lies in front of an ingest: the videos, what lies beside them, and which drive each belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catseye.capture.calibration import Calibration, calibration_beside
from catseye.capture.dataset import INFO_NAME, SHARDS_NAME, WORK_NAME
from catseye.capture.drives import Recorded, recorded_files
from catseye.capture.fixes import log_beside, telemetry_beside
from catseye.capture.journal import PROXY_SUFFIX, SegmentClosed
from catseye.capture.sources import VideoFile, find_videos
from catseye.capture.telemetry import TELEMETRY_SUFFIX, Telemetry, read_telemetry
from catseye.errors import InputError, UsageError
from catseye.files import is_there


@dataclass(frozen=True)
class Source:
    """A video to ingest.

    Args:
        path: absolute.
        named_drive: the drive that the path or the recorder's journal names, or None: then the file is a
            drive of its own.
        held_out: whether it is kept out of all training.
        calibration: its camera's, from beside it or given for all.
        telemetry: its vehicle's speed.
        vehicle, camera: from the journal; empty where there is none.
        start_utc: capture time of its first frame, from the journal, or None.
        calibration_hash: from the journal, whether or not the calibration itself is there; or empty.
    """

    path: Path
    named_drive: str | None
    held_out: bool
    calibration: Calibration | None
    telemetry: Telemetry | None
    vehicle: str = ""
    camera: str = ""
    start_utc: datetime | None = None
    calibration_hash: str = ""

    def drive(self, sha256: str) -> str:
        """The drive; a file that is one of its own is named by its content, wherever it lies."""
        return self.named_drive if self.named_drive is not None else f"{self.path.stem}-{sha256[:8]}"


def find_sources(
    paths: Sequence[Path],
    *,
    holdout: Sequence[Path] = (),
    drive_from: str | None = None,
    calibration: Path | None = None,
) -> list[Source]:
    """Every video of the files and folders given, once, in their order.

    The shards of a dataset that lies among the footage are none of it, nor are the small copies that a
    recorder makes. Of footage that a recorder made, the journal tells vehicle, camera, time and drive.

    Args:
        paths: files and folders to learn from.
        holdout: files and folders to keep out of all training; one that is in ``paths`` too is held out.
        drive_from: regular expression searched for in each path as given; its first group names the drive.
        calibration: a calibration for every video, instead of the ``<stem>.calibration.json`` beside each.

    Raises:
        InputError: there is no such path, a folder has no video, or a sidecar does not fit its format.
        UsageError: nothing is given, or ``drive_from`` is no expression with a group or does not fit a path.
    """
    pattern = _drive_pattern(drive_from)
    given = [(path, False) for path in paths] + [(path, True) for path in holdout]
    if not given:
        raise UsageError("nothing to ingest: name a video file or a folder of them")
    common = Calibration.load(calibration) if calibration is not None else None
    found: dict[Path, Path] = {}
    held_out: set[Path] = set()
    for root, is_held_out in given:
        for path in find_videos(root):
            if _is_shard(path.absolute()) or (_is_proxy(path) and path != root):
                continue
            found.setdefault(path.absolute(), path)
            if is_held_out:
                held_out.add(path.absolute())
    if not found:
        raise InputError(
            given[0][0], "has no video but the shards of a dataset", "give the footage it came from"
        )
    recorded = recorded_files({path.parent for path in found})
    return [
        _source(
            path,
            named_drive=_drive(as_given, pattern),
            held_out=path in held_out,
            calibration=common,
            recorded=recorded.get(path),
        )
        for path, as_given in found.items()
    ]


def _source(
    path: Path,
    *,
    named_drive: str | None,
    held_out: bool,
    calibration: Calibration | None,
    recorded: Recorded | None,
) -> Source:
    if recorded is None:
        return Source(
            path=path,
            named_drive=named_drive,
            held_out=held_out,
            calibration=calibration or _sidecar_calibration(path),
            telemetry=_sidecar_telemetry(path, "", None),
        )
    segment = recorded.segment
    return Source(
        path=path,
        named_drive=named_drive if named_drive is not None else recorded.drive,
        held_out=held_out,
        calibration=calibration or _sidecar_calibration(path) or _cameras_calibration(path, segment),
        telemetry=_sidecar_telemetry(path, segment.telemetry, segment.start_utc),
        vehicle=recorded.vehicle,
        camera=recorded.camera,
        start_utc=segment.start_utc,
        calibration_hash=segment.calibration,
    )


def _is_shard(path: Path) -> bool:
    dataset = path.parent.parent
    return path.parent.name == SHARDS_NAME and any(
        (dataset / name).exists() for name in (INFO_NAME, WORK_NAME)
    )


def _drive_pattern(drive_from: str | None) -> re.Pattern[str] | None:
    if drive_from is None:
        return None
    try:
        pattern = re.compile(drive_from)
    except re.error as error:
        raise UsageError(f"--drive-from {drive_from!r} is no regular expression ({error})") from None
    if not pattern.groups:
        raise UsageError(f"--drive-from {drive_from!r} has no group: put the drive's name in (…)")
    return pattern


def _drive(path: Path, pattern: re.Pattern[str] | None) -> str | None:
    if pattern is None:
        return None
    match = pattern.search(path.as_posix())
    if match is None or not match.group(1):
        raise UsageError(f"--drive-from {pattern.pattern!r} names no drive for {path}")
    return match.group(1)


def _is_proxy(path: Path) -> bool:
    return path.stem.endswith(PROXY_SUFFIX)


def _sidecar_calibration(path: Path) -> Calibration | None:
    sidecar = calibration_beside(path)
    return Calibration.load(sidecar) if sidecar is not None else None


def _cameras_calibration(path: Path, segment: SegmentClosed) -> Calibration | None:
    """``calibration.json`` of the camera's or the vehicle's folder, if it is the one recorded with."""
    for folder in (path.parent, path.parent.parent) if segment.calibration else ():
        common = folder / "calibration.json"
        if common.exists() and (found := Calibration.load(common)).content_hash == segment.calibration:
            return found
    return None


def _sidecar_telemetry(path: Path, stated: str, start_utc: datetime | None) -> Telemetry | None:
    """What lies beside a video: on its own clock, or else a log that is joined by UTC."""
    for name in (path.stem + TELEMETRY_SUFFIX, stated):
        sidecar = path.parent / Path(name).name
        if name and is_there(sidecar):
            return read_telemetry(sidecar)
    if log_beside(path) is None:
        return None
    try:
        with VideoFile(path) as video:
            info = video.info
    except InputError:
        return None  # the ingest itself tells of the video
    return telemetry_beside(
        path, start_utc=start_utc or info.created, first_pts_s=float(info.start_pts * info.time_base)
    )
