"""Choosing what executes a bundle's graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.errors import CatseyeError, UsageError
from catseye.runtime.engines.base import Engine

if TYPE_CHECKING:
    from catseye.runtime.bundle import Bundle


def load_engine(bundle: Bundle, *, engine: str = "auto", threads: int = 0) -> Engine:
    """Make a bundle's graph ready to run.

    Args:
        bundle: what ``open_bundle`` returned.
        engine: ``onnxruntime``, or ``auto``, which takes the best of this version: ONNX Runtime.
        threads: cores one call may use on the CPU; 0 takes all.

    Raises:
        UsageError: there is no such engine, or ``threads`` is negative.
        CatseyeError: the engine is not in this version, or does not load the graph.
    """
    if threads < 0:
        raise UsageError(f"threads is {threads}: give 0 for all cores, or how many")
    if engine == "tensorrt":
        raise CatseyeError(
            "engine tensorrt: this version compiles plans but does not execute them; use onnxruntime"
        )
    if engine not in {"auto", "onnxruntime"}:
        raise UsageError(f"engine {engine!r}: choose auto, onnxruntime or tensorrt")
    from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(bundle.graph("fp32"), threads=threads)
