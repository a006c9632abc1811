"""Bundle to tracks on the vehicle. Never imports torch, onnx, pretrain or export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.lazy import lazily

if TYPE_CHECKING:
    from catseye.runtime.benchmark import BenchReport, bench
    from catseye.runtime.bundle import Bundle, open_bundle
    from catseye.runtime.engines.load import load_engine
    from catseye.runtime.stream_summary import RunSummary
    from catseye.runtime.tracker import Tracker, Tracks
    from catseye.runtime.verification import VerifyReport, verify
    from catseye.runtime.video_run import run

__all__ = [
    "BenchReport",
    "Bundle",
    "RunSummary",
    "Tracker",
    "Tracks",
    "VerifyReport",
    "bench",
    "load_engine",
    "open_bundle",
    "run",
    "verify",
]

# A tracker alone needs no video library.
__getattr__ = lazily(
    __name__,
    {
        "BenchReport": "benchmark",
        "Bundle": "bundle",
        "RunSummary": "stream_summary",
        "Tracker": "tracker",
        "Tracks": "tracker",
        "VerifyReport": "verification",
        "bench": "benchmark",
        "load_engine": "engines.load",
        "open_bundle": "bundle",
        "run": "video_run",
        "verify": "verification",
    },
)
