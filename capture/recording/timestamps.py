"""Repair of a live stream's time stamps: what a muxer takes is in order, complete and starts at nought."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

_RATE_ASSUMED = 25


@dataclass(frozen=True)
class Stamps:
    """Time stamps of one packet, in the stream's unit, dts from 0 on and rising; pts at or above dts."""

    pts: int
    dts: int
    duration: int


class JumpError(Exception):
    """The stream's time leaps by ``step_s`` seconds, so far that what follows is another stretch of time."""

    def __init__(self, step_s: float) -> None:
        super().__init__(f"the stream's time jumps by {step_s:+.1f} s")
        self.step_s = step_s


class TimestampRepair:
    """Stamps for one segment after another; ``restart`` begins each.

    A stamp that repeats moves to just after its predecessor. One that is missing, or that goes back further,
    follows at the step last seen, and so does all that comes after it.

    Args:
        time_base: unit of the stamps, seconds.
        longest_step_s: a step of dts beyond this, ahead or back, is a jump.
    """

    def __init__(self, *, time_base: Fraction, longest_step_s: float) -> None:
        self._time_base = time_base
        self._longest = int(longest_step_s / time_base)
        self._step = max(1, int(Fraction(1, _RATE_ASSUMED) / time_base))
        self.restart()

    def restart(self) -> None:
        """Let the next packet stand at 0."""
        self._origin: int | None = None
        self._last_source: int | None = None
        self._last_dts = -1

    def repair(self, *, pts: int | None, dts: int | None, duration: int | None) -> Stamps:
        """Stamps of the next packet in decoding order.

        Raises:
            JumpError: its time does not follow from the packet before; nothing has changed.
        """
        source = dts if dts is not None else pts
        next_dts = self._last_dts + (self._step if self._last_dts >= 0 else 1)
        if source is None:
            placed = next_dts
        else:
            placed = self._place(source, next_dts)
            self._last_source = source
        placed = max(placed, self._last_dts + 1)
        self._last_dts = placed
        delay = pts - source if pts is not None and source is not None else 0
        is_delay = 0 <= delay <= self._longest
        return Stamps(pts=placed + (delay if is_delay else 0), dts=placed, duration=duration or self._step)

    def _place(self, source: int, next_dts: int) -> int:
        if self._last_source is not None:
            step = source - self._last_source
            if abs(step) > self._longest:
                raise JumpError(float(step * self._time_base))
            if step > 0:
                self._step = step
            elif step < -2 * self._step:
                self._origin = None
        if self._origin is None:
            self._origin = source - next_dts
        return source - self._origin
