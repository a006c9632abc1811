"""What to record, and how."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Protocol

from catseye.capture.calibration import Calibration
from catseye.capture.live import Transport, check_address
from catseye.capture.recording.stamps import Container
from catseye.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class SourceSpec:
    """A camera to record.

    Args:
        name: the camera's, and its folder's below the vehicle's.
        url: its address, as ``LiveSource`` takes it.
        vehicle: name of the vehicle.
        proxy_url: address of the same camera's small stream, to be recorded beside.
        calibration: the camera's, if known.

    Raises:
        UsageError: a name is no name for a folder, or an address none of a camera.
    """

    name: str
    url: str
    vehicle: str
    proxy_url: str | None = None
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        for what, name in (("camera", self.name), ("vehicle", self.vehicle)):
            if not _NAME.fullmatch(name):
                raise UsageError(f"{what} {name!r}: use letters, digits, '-', '_' and '.', a letter first")
        check_address(self.url)
        if self.proxy_url:
            check_address(self.proxy_url)

    def folder(self, out: Path) -> Path:
        """Where its footage goes."""
        return out / self.vehicle / self.name


@dataclass(frozen=True)
class RecordOptions:
    """How cameras are recorded.

    Args:
        segment_s: length of a segment; they are cut at the first key frame after each multiple of it, UTC.
        container: fragmented MP4 or MPEG-TS.
        fragment_s: most video that waits in memory to be written.
        fsync_s: longest time that what was written waits to be made to last through a power cut.
        transport: what RTSP sends its packets over.
        open_timeout_s, read_timeout_s: longest waits for a camera's answer, and for its next packet.
        longest_backoff_s: longest wait between attempts to connect, or to write to a disk that failed.
        max_gap_s: a longer step between packets, or one back, ends the segment and is noted as a gap.
        buffer_bytes: most memory for packets that wait for the disk, a camera; what comes beyond is dropped.

    Raises:
        UsageError: one of them is not a finite number above 0, or names no container or transport.
    """

    segment_s: float = 60.0
    container: Container = "mp4"
    fragment_s: float = 0.5
    fsync_s: float = 1.0
    transport: Transport = "tcp"
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    longest_backoff_s: float = 30.0
    max_gap_s: float = 2.0
    buffer_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (int, float)) and not 0 < value < math.inf:
                raise UsageError(f"{field.name} {value}: must be above 0")
        for name, value, choices in (
            ("container", self.container, ("mp4", "ts")),
            ("transport", self.transport, ("tcp", "udp")),
        ):
            if value not in choices:
                raise UsageError(f"{name} {value!r}: must be one of {', '.join(choices)}")


class TelemetryLog(Protocol):
    """Whoever gathers the vehicle's telemetry while cameras are recorded."""

    def write_for(self, path_stem: Path, start_utc: datetime, end_utc: datetime, first_pts_s: float) -> str:
        """Write what was gathered between two moments beside a segment.

        Args:
            path_stem: path of the segment without its suffix.
            start_utc, end_utc: capture times of its first and last frame.
            first_pts_s: presentation time of its first frame in seconds.

        Returns:
            The name of the file written, in the segment's folder; empty where there was nothing.
        """
        ...


def check_distinct(sources: Sequence[SourceSpec]) -> None:
    """Refuse two cameras in one folder.

    Raises:
        UsageError: there is no source, or a name is given twice.
    """
    if not sources:
        raise UsageError("no source: name at least one camera")
    seen: set[tuple[str, str]] = set()
    for source in sources:
        key = (source.vehicle, source.name)
        if key in seen:
            raise UsageError(f"camera {source.name!r} is given twice: each source needs a name of its own")
        seen.add(key)
