"""How long to wait before the next attempt at what a network, a camera or a disk has refused."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_S = 0.5


class Backoff:
    """Waits drawn by chance from all that lies below a bound, which doubles from 0.5 s up to a longest one.

    Drawing from the whole range ("full jitter", https://aws.amazon.com/blogs/architecture/
    exponential-backoff-and-jitter/) keeps a fleet that lost its network together from coming back together.

    Args:
        longest_s: the bound that no wait goes beyond.
        chance: a random number in [0, 1).

    Attributes:
        failures: attempts that failed since the last success.
    """

    def __init__(self, longest_s: float, *, chance: Callable[[], float] = random.random) -> None:
        self._longest_s, self._chance = longest_s, chance
        self.failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        bound_s = min(self._longest_s, FIRST_S * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return bound_s * self._chance()

    def reset(self) -> None:
        """Start afresh, after a success."""
        self.failures = 0
