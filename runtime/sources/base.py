"""What the pipeline asks of every source of frames: a file, a camera, a hardware decoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from catseye.capture.live import Clock
from catseye.capture.sources import Frame


@dataclass(frozen=True)
class SourceFrame:
    """A decoded frame as a source gives it.

    Args:
        frame: its number, time stamp and picture. The planes may already be of the size that the network
            takes, where a decoder scales by hardware.
        width, height: of the picture in the source, in whose pixels results are given.
        epoch: 0 at first, one more each time that the source's clock begins anew, as after a reconnection or
            a jump; time stamps of different epochs do not compare.
        arrived_s: when its data reached this machine, by ``time.perf_counter``; its age counts from then.
        captured_utc_ns: capture time in nanoseconds since 1970, UTC; None where nothing tells it.
        clock: where that time comes from.
    """

    frame: Frame
    width: int
    height: int
    epoch: int
    arrived_s: float
    captured_utc_ns: int | None
    clock: Clock


class Source(Protocol):
    """One stream of frames, read once.

    It may also count, as attributes that a summary shows: ``attempts`` (connections tried), ``dropped``
    (frames that it leaves out by itself) and ``corrupt_packets``.
    """

    name: str
    """Of the stream in results and logs; without user and password."""
    live: bool
    """Whether frames come at their own pace, so that the newest counts; a file waits and is taken whole."""

    def frames(self) -> Iterator[SourceFrame]:
        """Frames in order of time, until the source ends or is closed.

        A live source reconnects by itself, and ends only when closed. Called once, from one thread,
        and again only to go on after it has raised.
        """
        ...

    def close(self) -> None:
        """End ``frames`` soon, from any thread, and release what is held. Twice does no harm."""
        ...
