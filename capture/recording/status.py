"""How a camera's recording fares, in figures that another thread may read at any time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class CameraStatus:
    """One camera's figures since the recorder started; all counts only grow.

    Args:
        name: the camera's.
        connected: whether packets are expected to come now.
        last_packet_utc: arrival of the newest packet; None before the first.
        packets, bytes: given to segments; those of a proxy stream count nowhere.
        dropped: packets that came and were not written, whatever the reason.
        reconnects: connections after the first.
        segments: closed under their final names.
        gap_s: seconds that the journal's gaps add up to.
        last_error: the newest thing that went wrong, or empty.
    """

    name: str
    connected: bool = False
    last_packet_utc: datetime | None = None
    packets: int = 0
    bytes: int = 0
    dropped: int = 0
    reconnects: int = 0
    segments: int = 0
    gap_s: float = 0.0
    last_error: str = ""


class StatusBoard:
    """The newest status of a camera; one thread writes, others take snapshots."""

    def __init__(self, name: str) -> None:
        self._lock = threading.Lock()
        self._status = CameraStatus(name)

    def set(self, **values: Any) -> None:
        """Replace fields by name."""
        with self._lock:
            self._status = replace(self._status, **values)

    def add(self, **amounts: float) -> None:
        """Add to counts by name."""
        with self._lock:
            grown = {name: getattr(self._status, name) + amount for name, amount in amounts.items()}
            self._status = replace(self._status, **grown)

    def snapshot(self) -> CameraStatus:
        with self._lock:
            return self._status
