"""A clock that stands still until it is waited for, or moved."""

from __future__ import annotations


class FakeClock:
    """Implements ``Clock``."""

    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at

    def wait_until(self, when: float) -> None:
        self.at = max(self.at, when)
