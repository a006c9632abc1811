"""Telling systemd that all streams go on, and falling silent when one does not, so that it starts us anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from catseye.capture.systemd import sd_notify
from catseye.runtime.stream_summary import StreamSummary


class Heartbeat:
    """Told how all streams fare now and then, it says ``READY=1`` once, and ``WATCHDOG=1`` while all go on.

    Args:
        notify: takes what is for systemd.
    """

    def __init__(self, notify: Callable[[str], object] = sd_notify) -> None:
        self._notify = notify
        self._at_beat: Sequence[StreamSummary] = ()

    def __call__(self, streams: Sequence[StreamSummary]) -> None:
        words = [f"STATUS={'; '.join(map(_told, streams))}"]
        if len(self._at_beat) != len(streams):
            words += ["READY=1", "WATCHDOG=1"]
            self._at_beat = streams
        elif all(_goes_on(before, now) for before, now in zip(self._at_beat, streams, strict=True)):
            words.append("WATCHDOG=1")
            self._at_beat = streams
        self._notify("\n".join(words))


def _goes_on(before: StreamSummary, now: StreamSummary) -> bool:
    """Whether frames came out, or a camera that gives none has been tried again, since the last beat."""
    if now.ended or now.processed > before.processed:
        return True
    return now.frames_in == before.frames_in and now.attempts > before.attempts


def _told(stream: StreamSummary) -> str:
    if stream.ended:
        return f"{stream.stream} has ended"
    age = "" if stream.output_age is None else f", {stream.output_age.p50_ms:.0f} ms old"
    return f"{stream.stream} {stream.processed} frames, {stream.dropped} dropped{age}"
