"""Between the thread that reads a camera and the one that writes to the disk."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

from av.video.stream import VideoStream

from catseye.capture.live import LivePacket


@dataclass(frozen=True)
class Connected:
    """Packets of this coding and unit follow."""

    codec: str
    time_base: Fraction
    stream: VideoStream | None


@dataclass(frozen=True)
class Lost:
    """The source is gone, for the reason given, and so many packets with it."""

    reason: str
    packets: int = 0


@dataclass(frozen=True)
class Dropped:
    """So many packets were thrown away here."""

    packets: int


Item = LivePacket | Connected | Lost | Dropped


class PacketQueue:
    """First in, first out, and bounded: what does not fit is dropped up to a key frame, and counted.

    Args:
        limit_bytes: most bytes of packets held.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._dropped = 0
        self._changed = threading.Condition()

    def put(self, item: Item) -> None:
        """Add an item, or count it as dropped; never waits."""
        with self._changed:
            if isinstance(item, LivePacket):
                if not self._takes(item):
                    self._dropped += 1
                    return
                self._bytes += item.packet.size
            self._tell_of_drops()
            self._items.append(item)
            self._changed.notify()

    def get(self, timeout_s: float) -> Item | None:
        """The oldest item; None where none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items), timeout_s)
            if not self._items:
                self._tell_of_drops()
                return self._items.popleft() if self._items else None
            item = self._items.popleft()
            if isinstance(item, LivePacket):
                self._bytes -= item.packet.size
            return item

    def _takes(self, packet: LivePacket) -> bool:
        if self._dropped:  # room for more than one packet, or it would be dropping again at once
            return bool(packet.packet.is_keyframe) and self._bytes <= self._limit // 2
        return self._bytes + packet.packet.size <= self._limit or not self._items

    def _tell_of_drops(self) -> None:
        if self._dropped:
            self._items.append(Dropped(self._dropped))
            self._dropped = 0
