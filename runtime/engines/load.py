"""Choosing what executes a bundle's graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catseye.errors import CatseyeError, UsageError
from catseye.runtime.engines.base import Engine
from catseye.runtime.precision import PRECISIONS

if TYPE_CHECKING:
    from catseye.runtime.bundle import Bundle


def load_engine(bundle: Bundle, *, engine: str = "auto", precision: str = "auto", threads: int = 0) -> Engine:
    """Make a bundle's graph ready to run.

    Args:
        bundle: what ``open_bundle`` returned.
        engine: ``onnxruntime``, or ``auto``, which takes the best of this version: ONNX Runtime.
        precision: ``fp32``, ``fp16``, ``int8``, or ``auto``, which on the CPU is the manifest's
            ``cpu_precision``.
        threads: cores one call may use on the CPU; 0 takes all.

    Raises:
        UsageError: there is no such engine or precision, or ``threads`` is negative.
        InputError: the bundle has no graph of that precision.
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
    if precision not in {"auto", *PRECISIONS}:
        raise UsageError(f"precision {precision!r}: choose auto, {', '.join(PRECISIONS)}")
    from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine

    chosen = bundle.manifest.cpu_precision if precision == "auto" else precision
    return OnnxRuntimeEngine(bundle.graph(chosen), threads=threads)
