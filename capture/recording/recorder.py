"""Recording many cameras at once, until told to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from catseye.capture.recording.camera import CameraThreads
from catseye.capture.recording.footage_writer import CurrentStem, FootageWriter
from catseye.capture.recording.options import RecordOptions, SourceSpec, TelemetryLog, check_distinct
from catseye.capture.recording.salvaging import salvage
from catseye.capture.recording.status import CameraStatus, StatusBoard
from catseye.errors import InputError
from catseye.files import exclusive, fsync

_log = logging.getLogger(__name__)

ROOM_EVERY_S = 5.0
STATUS_EVERY_S = 1.0

LOCK_NAME = ".recording"
"""In a camera's folder: locked by the process that records into it."""


def _make_no_room() -> Sequence[Path]:
    return ()


class Recorder:
    """Cameras to footage below a folder; ``run`` does it, and ``status`` tells how it fares meanwhile.

    Args:
        sources: the cameras.
        out: folder of the footage; it is made where it is not there.
        options: how to record.
        make_room: deletes old footage as is needed and returns what it deleted. It is called every 5 s in a
            thread of its own, and at once when the disk is full; never twice at a time.
        telemetry: asked for what belongs to each segment as it closes.

    Raises:
        UsageError: no source, or two of the same name.
    """

    def __init__(
        self,
        sources: Sequence[SourceSpec],
        out: Path,
        *,
        options: RecordOptions | None = None,
        make_room: Callable[[], Sequence[Path]] = _make_no_room,
        telemetry: TelemetryLog | None = None,
    ) -> None:
        check_distinct(sources)
        self._sources = sources
        self._out = out
        self._options = options or RecordOptions()
        self._make_room_unlocked = make_room
        self._room = threading.Lock()
        self._telemetry = telemetry
        self._boards = [StatusBoard(source.name) for source in sources]

    def status(self) -> tuple[CameraStatus, ...]:
        """Of each camera in the order given; from any thread."""
        return tuple(board.snapshot() for board in self._boards)

    def run(
        self,
        *,
        stop: threading.Event,
        duration_s: float | None = None,
        on_status: Callable[[tuple[CameraStatus, ...]], None] | None = None,
    ) -> tuple[CameraStatus, ...]:
        """Salvage what an earlier run left, then record until ``stop`` is set, or the files given end.

        Args:
            stop: set it, from a handler of signals say, to have every segment closed and this return. It is
                also set by this on its way out.
            duration_s: end by itself after so long.
            on_status: told every second, and at the end.

        Raises:
            InputError: the folder cannot be written, or another process records a camera into it.
        """
        deadline_s = time.monotonic() + (duration_s if duration_s is not None else float("inf"))
        with ExitStack() as held:
            cameras = self._prepare(stop, held)
            for camera in cameras:
                camera.start()
            keeper = threading.Thread(target=self._keep_room, args=(stop,), name="make room", daemon=True)
            keeper.start()
            try:
                while not stop.is_set() and time.monotonic() < deadline_s:
                    if on_status is not None:
                        on_status(self.status())
                    stop.wait(max(0.0, min(STATUS_EVERY_S, deadline_s - time.monotonic())))
                    if all(camera.join(0.0) for camera in cameras):
                        break
            finally:
                stop.set()
                for camera in cameras:
                    camera.join()
                keeper.join()
                self._make_room()  # for what was written since it was last asked for
        if on_status is not None:
            on_status(self.status())
        return self.status()

    def _prepare(self, stop: threading.Event, held: ExitStack) -> list[CameraThreads]:
        try:
            _make_folder(self._out)
            self._make_room()
            for source in self._sources:
                _make_folder(source.folder(self._out))
                held.enter_context(_owned(source.folder(self._out)))
            salvage(self._out)
            return [
                threads
                for source, board in zip(self._sources, self._boards, strict=True)
                for threads in self._threads(source, board, stop)
            ]
        except OSError as error:
            raise InputError(
                self._out, f"cannot be written ({error.strerror})", "check the disk and permissions"
            ) from None

    def _threads(self, source: SourceSpec, board: StatusBoard, stop: threading.Event) -> list[CameraThreads]:
        streams = [(source.url, board, False)]
        if source.proxy_url is not None:  # its troubles are not the camera's
            streams.append((source.proxy_url, StatusBoard(f"{source.name} proxy"), True))
        current = CurrentStem()
        return [
            CameraThreads(
                url,
                writer=FootageWriter(
                    source.folder(self._out),
                    options=self._options,
                    calibration=source.calibration.content_hash if source.calibration else "",
                    status=status,
                    make_room=self._make_room,
                    telemetry=self._telemetry,
                    stop=stop,
                    current=current,
                    is_proxy=is_proxy,
                ),
                options=self._options,
                status=status,
                stop=stop,
            )
            for url, status, is_proxy in streams
        ]

    def _make_room(self) -> Sequence[Path]:
        with self._room:
            try:
                return self._make_room_unlocked()
            except Exception:  # it is called again soon, and recording goes on meanwhile
                _log.exception("making room in %s", self._out)
                return ()

    def _keep_room(self, stop: threading.Event) -> None:
        while not stop.wait(ROOM_EVERY_S):
            self._make_room()


def record(
    sources: Sequence[SourceSpec],
    out: Path,
    *,
    stop: threading.Event | None = None,
    duration_s: float | None = None,
    options: RecordOptions | None = None,
    make_room: Callable[[], Sequence[Path]] = _make_no_room,
    telemetry: TelemetryLog | None = None,
    on_status: Callable[[tuple[CameraStatus, ...]], None] | None = None,
) -> tuple[CameraStatus, ...]:
    """Record cameras below ``out`` until ``stop`` is set: ``Recorder`` and its ``run`` in one call."""
    recorder = Recorder(sources, out, options=options, make_room=make_room, telemetry=telemetry)
    return recorder.run(stop=stop or threading.Event(), duration_s=duration_s, on_status=on_status)


def _owned(folder: Path) -> AbstractContextManager[None]:
    busy = InputError(
        folder, "is being recorded to by another process", "stop that one, or name the camera otherwise"
    )
    return exclusive(folder / LOCK_NAME, busy=busy)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it such that they last through a power cut."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        fsync(path.parent)
