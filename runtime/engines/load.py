"""Choosing what executes a bundle's graph."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from catseye.errors import CatseyeError, UsageError
from catseye.runtime.engines.base import Engine
from catseye.runtime.precision import PRECISIONS

if TYPE_CHECKING:
    from catseye.runtime.bundle import Bundle
    from catseye.runtime.plan_options import PlanOptions

_log = logging.getLogger(__name__)


def load_engine(
    bundle: Bundle,
    *,
    engine: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    plans: PlanOptions | None = None,
) -> Engine:
    """Make a bundle's graph ready to run.

    Args:
        bundle: what ``open_bundle`` returned.
        engine: ``tensorrt``, ``onnxruntime``, or ``auto``, which takes TensorRT where it and a GPU are there
            and does the work, else ONNX Runtime.
        precision: ``fp32``, ``fp16``, ``int8``, or ``auto``, which on the CPU is the manifest's
            ``cpu_precision`` and with TensorRT the fastest that the gate accepted.
        threads: cores one call may use on the CPU; 0 takes all.
        plans: how TensorRT's plans are built and kept, see ``serve_plan``.

    Raises:
        UsageError: there is no such engine or precision, or ``threads`` is negative.
        InputError: the bundle has no graph of that precision.
        CatseyeError: the engine is not installed, or does not load the graph.
    """
    if threads < 0:
        raise UsageError(f"threads is {threads}: give 0 for all cores, or how many")
    if engine not in {"auto", "onnxruntime", "tensorrt"}:
        raise UsageError(f"engine {engine!r}: choose auto, onnxruntime or tensorrt")
    if precision not in {"auto", *PRECISIONS}:
        raise UsageError(f"precision {precision!r}: choose auto, {', '.join(PRECISIONS)}")
    if engine == "tensorrt" or (engine == "auto" and _has_tensorrt()):
        from catseye.runtime.plan_serving import serve_plan

        try:
            return serve_plan(bundle, precision=precision, options=plans)
        except CatseyeError as error:
            if engine == "tensorrt":
                raise
            _log.warning("ONNX Runtime takes over from TensorRT: %s", error)
    from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine

    chosen = bundle.manifest.cpu_precision if precision == "auto" else precision
    return OnnxRuntimeEngine(bundle.graph(chosen), threads=threads)


def _has_tensorrt() -> bool:
    from catseye.runtime.cuda import device_count
    from catseye.runtime.tensorrt_library import is_installed

    return is_installed("tensorrt") and device_count() > 0
