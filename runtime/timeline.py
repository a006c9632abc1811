"""Whether the frames of a stream follow one upon the other in time."""

from __future__ import annotations

from dataclasses import replace

from catseye.runtime.sources.base import SourceFrame

JUMP_S = 1.0
"""A stream's clock that goes back by more, or by so much more than real time forward, has been set anew."""


class Timeline:
    """The frames of one stream, each put into an epoch, within which time rises.

    Args:
        live: whether frames arrive as they are taken, so that the time between arrivals tells of the clock.
    """

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._last: SourceFrame | None = None
        self._epoch = 0
        self._is_broken = False

    def place(self, frame: SourceFrame) -> SourceFrame | None:
        """The next frame with its epoch; None where its time does not lie after that of the one before."""
        last = self._last
        if last is not None:
            step_s = frame.frame.time_s - last.frame.time_s
            if self._is_broken or frame.epoch != last.epoch or self._jumps(step_s, frame, last):
                self._epoch += 1
            elif step_s <= 0:
                return None
        self._last, self._is_broken = frame, False
        return frame if frame.epoch == self._epoch else replace(frame, epoch=self._epoch)

    def break_off(self) -> None:
        """The next frame does not follow upon the one before."""
        self._is_broken = True

    def _jumps(self, step_s: float, frame: SourceFrame, last: SourceFrame) -> bool:
        # A network that stalls delays arrivals, which is no jump: then it is time that lags behind them.
        real_s = frame.arrived_s - last.arrived_s
        return step_s < -JUMP_S or (self._live and step_s > real_s + JUMP_S)
