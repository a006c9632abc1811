"""Times summed up as percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Latency:
    """Milliseconds that half, 90 % and 99 % of the times stay within, and the longest."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    count: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency | None:
        """Sum up times in seconds; None where there are none. Percentiles are times that did occur."""
        if not len(seconds):
            return None
        p50, p90, p99, longest = np.percentile(seconds, (50, 90, 99, 100), method="inverted_cdf") * 1e3
        return cls(float(p50), float(p90), float(p99), float(longest), len(seconds))

    def to_json(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}
