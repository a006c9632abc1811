"""What became of the frames of each stream."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from catseye.runtime.latency import Latency

_AGES_KEPT = 1 << 14


@dataclass(frozen=True)
class StreamSummary:
    """What became of a stream; ``frames_in == processed + dropped`` when it has ended.

    Args:
        stream: its name.
        frames_in: frames decoded.
        processed: frames whose result every output has taken.
        dropped: frames left out: a newer one of a live stream came, or their time does not lie after the
            frame before, or a fault hit them.
        corrupt_packets: packets of a file that could not be decoded and gave no frame.
        tracks: ids given.
        epochs: times that tracking began, anew after a reconnection, a jump of time or another picture size.
        attempts: connections tried, of a camera.
        restarts: faults after which the stream was taken up again.
        most_waiting: frames that have waited for inference at once, at most.
        seconds: from the start to the last output.
        output_age: from a frame's arrival to its result, waiting in queues included; of the last 16,384.
        error: what ended the stream before its time; empty where nothing did.
        ended: whether nothing more comes.
    """

    stream: str
    frames_in: int = 0
    processed: int = 0
    dropped: int = 0
    corrupt_packets: int = 0
    tracks: int = 0
    epochs: int = 0
    attempts: int = 0
    restarts: int = 0
    most_waiting: int = 0
    seconds: float = 0.0
    output_age: Latency | None = None
    error: str = ""
    ended: bool = True

    @property
    def fps(self) -> float:
        """Frames processed a second."""
        return self.processed / self.seconds if self.seconds > 0 else 0.0


class Ages:
    """The newest ages of frames at output, in memory that is all there from the start."""

    def __init__(self, kept: int = _AGES_KEPT) -> None:
        self._seconds = np.full(kept, np.nan, dtype=np.float32)
        self._count = 0

    def add(self, seconds: float) -> None:
        self._seconds[self._count % len(self._seconds)] = seconds
        self._count += 1

    def latency(self) -> Latency | None:
        return Latency.of(self._seconds[: self._count].tolist())


@dataclass(frozen=True)
class Delivery:
    """What became of the records for an MQTT broker.

    Args:
        sent: records that the system has taken.
        dropped: the others, for which the broker was too slow, or away.
        connections: times that it took us on.
    """

    sent: int
    dropped: int
    connections: int


@dataclass(frozen=True)
class RunSummary:
    """What became of all streams, whose summaries are in the order given, and how long it took.

    Args:
        mqtt: what became of the records for a broker; None where there is none.
    """

    streams: tuple[StreamSummary, ...]
    seconds: float
    mqtt: Delivery | None = None

    @property
    def frames_in(self) -> int:
        return sum(stream.frames_in for stream in self.streams)

    @property
    def processed(self) -> int:
        return sum(stream.processed for stream in self.streams)

    @property
    def dropped(self) -> int:
        return sum(stream.dropped for stream in self.streams)

    @property
    def corrupt_packets(self) -> int:
        return sum(stream.corrupt_packets for stream in self.streams)

    @property
    def tracks(self) -> int:
        return sum(stream.tracks for stream in self.streams)

    @property
    def fps(self) -> float:
        """Frames processed a second, of all streams together."""
        return self.processed / self.seconds if self.seconds > 0 else 0.0

    @property
    def output_age(self) -> Latency | None:
        """Of the stream whose frames get oldest, by their 99th percentile."""
        ages = [stream.output_age for stream in self.streams if stream.output_age is not None]
        return max(ages, key=lambda age: age.p99_ms, default=None)

    def to_json(self) -> dict[str, Any]:
        names = ("frames_in", "processed", "dropped", "corrupt_packets", "tracks", "seconds")
        age = self.output_age
        return {
            **{name: getattr(self, name) for name in names},
            "output_age": None if age is None else asdict(age),
            "mqtt": None if self.mqtt is None else asdict(self.mqtt),
            "streams": [asdict(stream) for stream in self.streams],
        }
