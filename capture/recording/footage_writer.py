"""From one camera's packets to its segments and its journal, with every loss accounted for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream

from catseye.capture import journal
from catseye.capture.backoff import Backoff
from catseye.capture.journal import PROXY_SUFFIX, ClockStepped, Entry, Gap, SegmentClosed
from catseye.capture.live import LivePacket
from catseye.capture.recording.names import SegmentNames
from catseye.capture.recording.options import RecordOptions, TelemetryLog
from catseye.capture.recording.packet_queue import Connected, Dropped, Item, Lost
from catseye.capture.recording.parameters import parameters_in, template_from
from catseye.capture.recording.salvaging import salvage_folder
from catseye.capture.recording.segment import SUFFIXES, Segment
from catseye.capture.recording.status import StatusBoard
from catseye.capture.recording.timestamps import JumpError, TimestampRepair
from catseye.capture.utc import ns_of, utc_of
from catseye.files import DISK_IS_FULL

_log = logging.getLogger(__name__)

_CLOCK_STEP_NS = 10**9
_FULL_DISK_WAIT_S = 1.0
_STALL_TOLERANCE_S = 1.0
_NOT_RUNNING = "the recorder was not running"


class CurrentStem:
    """Name of the segment that a camera's main stream is at, for its proxy to follow; None between two."""

    def __init__(self) -> None:
        self.value: str | None = None


@dataclass(frozen=True)
class _GapStart:
    monotonic_ns: int
    reason: str


class FootageWriter:
    """Takes what a camera's queue gives, from one thread. Nothing that a disk or a stream does ends it.

    Args:
        folder: the camera's, which exists.
        options: how to record.
        calibration: hash of the camera's, or empty.
        status: told of what this stream writes and loses.
        make_room: deletes old footage; called when the disk is full.
        telemetry: asked for what belongs to each segment as it closes.
        stop: once it is set, a full disk is not waited for.
        current: where the main stream tells what segment it is at.
        is_proxy: whether this is the small stream, which follows ``current``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        options: RecordOptions,
        calibration: str,
        status: StatusBoard,
        make_room: Callable[[], Sequence[Path]],
        telemetry: TelemetryLog | None,
        stop: threading.Event,
        current: CurrentStem,
        is_proxy: bool,
    ) -> None:
        self._folder = folder
        self._options = options
        self._calibration = calibration
        self._status = status
        self._make_room = make_room
        self._telemetry = telemetry
        self._stop = stop
        self._current = current
        self._is_proxy = is_proxy
        self._names = SegmentNames(folder)
        self._followed: str | None = None
        self._source: Connected | None = None
        self._repair = TimestampRepair(time_base=Fraction(1), longest_step_s=options.max_gap_s)
        self._template: VideoStream | None = None
        self._parameters = b""
        self._segment: Segment | None = None
        self._slot = -1
        self._dropped = 0
        self._unnoted: list[Entry] = []
        self._written_until_ns = self._last_arrival_ns = time.monotonic_ns()
        self._clock_offset_ns = time.time_ns() - time.monotonic_ns()
        self._clock_was_set = False
        self._gap = self._gap_since_last_run()
        self._disk_backoff = Backoff(options.longest_backoff_s)
        self._disk_retry_s = 0.0
        self._left_a_part = False

    def handle(self, item: Item | None) -> None:
        """Take the next item; None where none came for a while."""
        try:
            if isinstance(item, LivePacket):
                self._write(item)
            elif isinstance(item, Connected):
                self._source, self._template, self._parameters = item, item.stream, b""
                self._repair = TimestampRepair(
                    time_base=item.time_base, longest_step_s=self._options.max_gap_s
                )
            elif isinstance(item, Lost):
                self._drop(item.packets)
                self._end(item.reason)
            elif isinstance(item, Dropped):
                self._drop(item.packets)
                self._end("the disk could not keep up")
            else:
                self._note()
                if self._segment is not None:
                    self._segment.sync_if_due()
        except OSError as error:
            if isinstance(error, av.FFmpegError):
                self.give_up(f"the stream cannot be written ({error})")
            else:
                self._disk_failed(error)
        except (av.FFmpegError, ValueError) as error:
            self.give_up(f"the stream cannot be written ({error})")

    def finish(self) -> None:
        """Close the segment and the account."""
        try:
            self._end("")
        except (OSError, av.FFmpegError, ValueError) as error:
            self.give_up(str(error))
        if self._gap is not None:
            self._note_gap(time.time_ns(), time.monotonic_ns())

    def _write(self, packet: LivePacket) -> None:
        self._watch_clock(packet)
        is_key = bool(packet.packet.is_keyframe)
        if self._segment is not None and is_key and self._begins_a_segment(packet):
            self._end("")
        if self._segment is None:
            if not is_key or time.monotonic() < self._disk_retry_s:
                self._drop(1)
                return
            try:
                self._segment = self._begin(packet)
            except BaseException:
                self._drop(1)
                raise
        source = packet.packet
        try:
            stamps = self._repair.repair(pts=source.pts, dts=source.dts, duration=source.duration)
        except JumpError as jump:
            self._end(self._explain(jump, packet))
            self._write(packet)
            return
        self._segment.add(packet, stamps)
        self._last_arrival_ns = packet.monotonic_ns
        self._status.add(packets=1, bytes=source.size)

    def _begins_a_segment(self, packet: LivePacket) -> bool:
        assert self._source is not None
        found = parameters_in(self._source.codec, bytes(packet.packet))
        if self._clock_was_set or (found and found != self._parameters):
            return True
        if self._is_proxy and self._current.value is not None:
            return self._current.value != self._followed
        return self._slot != self._slot_at(packet)

    def _slot_at(self, packet: LivePacket) -> int:
        return int((packet.monotonic_ns + self._clock_offset_ns) / 1e9 // self._options.segment_s)

    def _begin(self, packet: LivePacket) -> Segment:
        assert self._source is not None
        found = parameters_in(self._source.codec, bytes(packet.packet))
        if found and found != self._parameters:
            self._template = template_from(self._source.codec, bytes(packet.packet)) or self._template
            self._parameters = found
        if self._template is None:
            raise ValueError("its key frames carry no parameter sets")
        segment = Segment(
            self._folder / f"{self._next_stem(packet)}{SUFFIXES[self._options.container]}",
            template=self._template,
            time_base=self._source.time_base,
            first=packet,
            dropped=self._dropped,
            calibration=self._calibration,
            fragment_s=self._options.fragment_s,
            fsync_s=self._options.fsync_s,
            wait_for_room=self._wait_for_room,
        )
        self._repair.restart()
        self._dropped = 0
        self._slot = self._slot_at(packet)
        self._clock_was_set = False
        self._disk_backoff.reset()
        if self._gap is not None:
            utc_ns = time.time_ns() if packet.clock == "file" else packet.utc_ns
            self._note_gap(utc_ns, packet.monotonic_ns)
        if self._left_a_part:
            self._left_a_part = False
            salvage_folder(self._folder)
        return segment

    def _next_stem(self, packet: LivePacket) -> str:
        if not self._is_proxy:
            self._current.value = self._names.next(packet.utc_ns)
            return self._current.value
        followed, self._followed = self._followed, self._current.value
        if self._followed is None or self._followed == followed:
            return self._names.next(packet.utc_ns) + PROXY_SUFFIX
        return self._followed + PROXY_SUFFIX

    def _end(self, reason: str) -> None:
        """Close the segment, if one is open. A reason opens a gap."""
        if not self._is_proxy:
            self._current.value = None
        segment, self._segment = self._segment, None
        if segment is not None:
            self._close(segment)
        if reason:
            self._open_gap(reason)

    def _close(self, segment: Segment) -> None:
        try:
            line = segment.finish()
            self._note(line.model_copy(update={"telemetry": self._telemetry_of(line)}))
        except BaseException:
            self._left_a_part = True
            self._drop(segment.unwritten)
            raise
        finally:
            self._written_until_ns = segment.written_until_ns
            segment.close()
        self._status.add(segments=1)
        _log.info("closed %s", segment.path)

    def _open_gap(self, reason: str) -> None:
        self._status.set(last_error=reason)
        if self._gap is not None and self._gap.reason == _NOT_RUNNING:
            self._written_until_ns = time.monotonic_ns()
            self._note_gap(time.time_ns(), self._written_until_ns)
        if self._gap is None:
            self._gap = _GapStart(self._written_until_ns, reason)

    def _telemetry_of(self, line: SegmentClosed) -> str:
        if self._telemetry is None or self._is_proxy:
            return ""
        end_utc = line.start_utc + timedelta(seconds=line.duration_s)
        first_pts_s = line.first_pts * line.time_base[0] / line.time_base[1]
        try:
            stem = self._folder / Path(line.file).stem
            return self._telemetry.write_for(stem, line.start_utc, end_utc, first_pts_s)
        except Exception as error:  # whatever it is, the footage goes on
            _log.warning("no telemetry for %s (%s)", line.file, error)
            return ""

    def give_up(self, reason: str) -> None:
        """Leave the segment to a salvage, and go on with another."""
        _log.warning("%s: %s", self._folder, reason)
        segment, self._segment = self._segment, None
        if not self._is_proxy:
            self._current.value = None
        if segment is not None:
            segment.close()
            self._left_a_part = True
            self._drop(segment.unwritten)
            self._written_until_ns = segment.written_until_ns
        self._open_gap(reason)

    def _disk_failed(self, error: OSError) -> None:
        self.give_up(f"the disk fails ({error.strerror})")
        if error.errno in DISK_IS_FULL:
            self._make_room()
        self._disk_retry_s = time.monotonic() + self._disk_backoff.next_s()

    def _wait_for_room(self, error: OSError) -> None:
        _log.warning("%s: the disk is full; deleting old footage", self._folder)
        self._status.set(last_error="the disk is full")
        if not self._make_room() and self._stop.wait(_FULL_DISK_WAIT_S):
            raise error

    def _drop(self, packets: int) -> None:
        self._dropped += packets
        self._status.add(dropped=packets)

    def _watch_clock(self, packet: LivePacket) -> None:
        """Notice that the machine's clock was set, of which the next segments' names and times will tell."""
        now_ns, offset_ns = time.time_ns(), time.time_ns() - time.monotonic_ns()
        stepped_ns = offset_ns - self._clock_offset_ns
        self._clock_offset_ns = offset_ns
        if abs(stepped_ns) > _CLOCK_STEP_NS:
            self._clock_was_set = True
            _log.warning("the clock was set by %+.1f s", stepped_ns / 1e9)
            self._note(ClockStepped(from_utc=utc_of(now_ns - stepped_ns), to_utc=utc_of(now_ns)))

    def _explain(self, jump: JumpError, packet: LivePacket) -> str:
        silent_s = (packet.monotonic_ns - self._last_arrival_ns) / 1e9
        if abs(silent_s - jump.step_s) < _STALL_TOLERANCE_S:
            return f"no packet for {silent_s:.1f} s"
        return str(jump)

    def _gap_since_last_run(self) -> _GapStart | None:
        told = [entry for entry in journal.read(self._folder) if isinstance(entry, (SegmentClosed, Gap))]
        if not told or self._is_proxy:
            return None
        last = told[-1]
        if isinstance(last, Gap):
            end_utc = last.to_utc
        elif last.clock == "file":  # filmed whenever it was, which says nothing of when it was played
            return None
        else:
            end_utc = last.start_utc + timedelta(seconds=last.duration_s)
        ago_ns = time.time_ns() - ns_of(end_utc)
        return _GapStart(time.monotonic_ns() - ago_ns, _NOT_RUNNING)

    def _note_gap(self, utc_ns: int, monotonic_ns: int) -> None:
        gap, self._gap = self._gap, None
        assert gap is not None
        lasted_ns = monotonic_ns - gap.monotonic_ns  # the clock may have been set meanwhile
        if lasted_ns <= 0:
            return
        reason = f"proxy stream: {gap.reason}" if self._is_proxy else gap.reason
        self._status.add(gap_s=lasted_ns / 1e9)
        self._note(Gap(from_utc=utc_of(utc_ns - lasted_ns), to_utc=utc_of(utc_ns), reason=reason))

    def _note(self, *entries: Entry) -> None:
        """Journal entries, and those before them that a failing disk did not take."""
        self._unnoted += entries
        try:
            while self._unnoted:
                journal.append(self._folder, self._unnoted[0])
                del self._unnoted[0]
        except OSError as error:
            _log.warning("%s: the journal cannot be written (%s)", self._folder, error.strerror)
            self._status.set(last_error=f"the journal cannot be written ({error.strerror})")
            if error.errno in DISK_IS_FULL:
                self._make_room()
