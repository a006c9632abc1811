"""Bundle to tracks on the vehicle. Never imports torch, onnx, pretrain or export."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catseye.runtime.benchmark import BenchReport, bench
    from catseye.runtime.bundle import Bundle, open_bundle
    from catseye.runtime.engines.load import load_engine
    from catseye.runtime.pipeline import RunSummary
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

_HOME = {
    "BenchReport": "benchmark",
    "Bundle": "bundle",
    "RunSummary": "pipeline",
    "Tracker": "tracker",
    "Tracks": "tracker",
    "VerifyReport": "verify",
    "bench": "benchmark",
    "load_engine": "engines.load",
    "open_bundle": "bundle",
    "run": "video_run",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is asked for: a tracker alone needs no video library."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOME[name]}")
    # All its names at once: the import itself may have bound the module to one of them.
    globals().update({other: getattr(module, other) for other, home in _HOME.items() if home == _HOME[name]})
    return globals()[name]
