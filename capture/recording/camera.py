"""One stream of a camera, recorded: a thread reads it, another writes, and neither stops for a fault."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timezone

from catseye.capture.backoff import Backoff
from catseye.capture.live import LivePacket, LiveSource, without_credentials
from catseye.capture.recording.footage_writer import FootageWriter
from catseye.capture.recording.options import RecordOptions
from catseye.capture.recording.packet_queue import Connected, Lost, PacketQueue
from catseye.capture.recording.status import StatusBoard
from catseye.errors import InputError

_log = logging.getLogger(__name__)

_IDLE_S = 0.25


class CameraThreads:
    """The reading and the writing thread of one stream.

    Args:
        address: of the stream.
        writer: where its packets go.
        options: how to connect, and how much may wait for the disk.
        status: told of the connection.
        stop: ends both threads; what came until then is written.
    """

    def __init__(
        self,
        address: str,
        *,
        writer: FootageWriter,
        options: RecordOptions,
        status: StatusBoard,
        stop: threading.Event,
    ) -> None:
        self._address = address
        self._writer = writer
        self._options = options
        self._status = status
        self._stop = stop
        self._queue = PacketQueue(options.buffer_bytes)
        self._is_over = threading.Event()
        self._newest: LivePacket | None = None
        name = without_credentials(address)
        # Reading may hang in the network until its time-out; nobody waits for it.
        self._reading = threading.Thread(target=self._read, name=f"read {name}", daemon=True)
        self._writing = threading.Thread(target=self._write, name=f"write {name}", daemon=True)

    def start(self) -> None:
        self._reading.start()
        self._writing.start()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the writing to end, which it does after ``stop`` or at a file's end; whether it has."""
        self._writing.join(timeout_s)
        return not self._writing.is_alive()

    def _read(self) -> None:
        backoff = Backoff(self._options.longest_backoff_s)
        connections = 0
        while not self._stop.is_set():
            try:
                with self._connect() as source:
                    self._status.set(connected=not self._stop.is_set(), reconnects=connections)
                    connections += 1
                    if self._read_until_it_ends(source, backoff):
                        break
                    reason = "the stream ended"
            except InputError as error:
                reason = error.fault
            except Exception as error:  # a fault of ours or of a library stops no camera
                _log.exception("reading %s", without_credentials(self._address))
                reason = f"reading failed ({error})"
            self._status.set(connected=False)
            if self._stop.is_set():
                break
            self._queue.put(Lost(reason, packets=0 if self._newest is None else 1))
            self._newest = None
            wait_s = backoff.next_s()
            _log.warning("%s %s; next attempt in %.1f s", without_credentials(self._address), reason, wait_s)
            self._stop.wait(wait_s)
        self._status.set(connected=False)
        self._is_over.set()

    def _connect(self) -> LiveSource:
        return LiveSource(
            self._address,
            transport=self._options.transport,
            open_timeout_s=self._options.open_timeout_s,
            read_timeout_s=self._options.read_timeout_s,
            stop=self._stop,
        )

    def _read_until_it_ends(self, source: LiveSource, backoff: Backoff) -> bool:
        """Whether it was told to end, or has nothing more to come.

        A connection that breaks within a frame gives the half of it that came, which nothing tells from a
        whole one; so a packet is passed on only when another has followed it, and the last is lost.
        """
        self._queue.put(Connected(source.codec, source.time_base, source.stream))
        for packet in source.packets():
            if self._stop.is_set():
                return True
            backoff.reset()
            if source.finite:
                self._queue.put(packet)
            else:
                if self._newest is not None:
                    self._queue.put(self._newest)
                self._newest = packet
            self._status.set(last_packet_utc=datetime.fromtimestamp(time.time(), timezone.utc))
        return source.finite or self._stop.is_set()

    def _write(self) -> None:
        while True:
            is_over = self._stop.is_set() or self._is_over.is_set()
            item = self._queue.get(0.0 if is_over else _IDLE_S)
            if item is None and is_over:
                break
            try:
                self._writer.handle(item)
            except Exception as error:  # a fault of ours stops no camera
                _log.exception("writing %s", without_credentials(self._address))
                self._writer.give_up(f"writing failed ({error})")
        self._writer.finish()
        self._status.set(connected=False)  # the reading thread may still wait for the camera's next packet
