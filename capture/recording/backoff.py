"""How long to wait before the next attempt."""

from __future__ import annotations

import random

_FIRST_S = 0.5


class Backoff:
    """Waits that double up to a longest one, each shortened by chance so that cameras spread."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._attempts = 0

    def next_s(self) -> float:
        full = min(self._longest_s, _FIRST_S * 2.0**self._attempts)
        self._attempts = min(self._attempts + 1, 32)
        return full * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._attempts = 0
