"""Choosing what executes a bundle's graph."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from catseye.errors import CatseyeError, UsageError
from catseye.runtime.cores import usable_cores
from catseye.runtime.engines.base import Engine
from catseye.runtime.engines.overlapped import CALLS, OverlappedEngine
from catseye.runtime.plan_options import PlanOptions
from catseye.runtime.precision import PRECISIONS

if TYPE_CHECKING:
    from catseye.runtime.bundle import Bundle
    from catseye.runtime.engines.onnxruntime import Provider

_log = logging.getLogger(__name__)

_PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {"onnxruntime": "cpu", "onnxruntime-cuda": "cuda", "onnxruntime-tensorrt": "tensorrt"}
)
ENGINES = ("auto", *_PROVIDERS, "tensorrt")


def load_engine(
    bundle: Bundle,
    *,
    engine: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    plans: PlanOptions | None = None,
    overlap: bool = False,
) -> Engine:
    """Make a bundle's graph ready to run.

    Args:
        bundle: what ``open_bundle`` returned.
        engine: ``tensorrt``; ``onnxruntime`` for the CPU, ``onnxruntime-cuda`` and ``onnxruntime-tensorrt``
            for a GPU; or ``auto``, which takes TensorRT where it and a GPU are there and does the work, else
            ONNX Runtime on the CPU.
        precision: ``fp32``, ``fp16``, ``int8``, or ``auto``, which with ONNX Runtime is the manifest's
            ``cpu_precision`` and with TensorRT the fastest that the gate accepted.
        threads: cores one call may use on the CPU; 0 takes all that this process may use.
        plans: how TensorRT's plans are built and kept, see ``serve_plan``.
        overlap: whether on the CPU two calls may share the cores, see ``overlapped``: more frames a second,
            and each of them later. Other engines do as they do anyway.

    Raises:
        UsageError: there is no such engine or precision, or ``threads`` is negative.
        InputError: the bundle has no graph of that precision.
        CatseyeError: the engine is not installed, or does not load the graph.
    """
    if threads < 0:
        raise UsageError(f"threads is {threads}: give 0 for all cores, or how many")
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r}: choose {', '.join(ENGINES[:-1])} or {ENGINES[-1]}")
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
    plans = plans or PlanOptions()
    if plans.dla is not None and engine != "auto":
        raise UsageError(f"dla is {plans.dla}: ONNX Runtime uses no such core, the engine tensorrt does")
    provider = _PROVIDERS.get(engine, "cpu")
    cores = threads or usable_cores()
    overlap = overlap and provider == "cpu" and cores >= CALLS
    loaded = OnnxRuntimeEngine(
        bundle.graph(chosen),
        precision=chosen,
        threads=cores // CALLS if overlap else cores,
        calls=CALLS if overlap else 1,
        provider=provider,
        cache=plans.cache,
        workspace_mib=plans.workspace_mib,
    )
    return OverlappedEngine(loaded) if overlap else loaded


def _has_tensorrt() -> bool:
    from catseye.runtime.cuda import device_count
    from catseye.runtime.tensorrt_library import is_installed

    return is_installed("tensorrt") and device_count() > 0
