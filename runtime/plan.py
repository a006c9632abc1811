"""ONNX to a TensorRT plan: the one builder, for boards, servers and, with no GPU at all, for checking.

TensorRT proper builds for the GPU it runs on. TensorRT for RTX has the same parser and builder and also
compiles ahead of time, for GPUs named by compute capability, on a machine that has none. The network is
strongly typed in both: precision is what the ONNX says and no builder flag changes it, from TensorRT 10.3 to
11.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from catseye.errors import CatseyeError, UsageError
from catseye.progress import Progress, silent
from catseye.runtime.build_progress import watch
from catseye.runtime.layer_report import network_layers
from catseye.runtime.refusal import builder_refusal, parser_refusal
from catseye.runtime.tensorrt_library import Backend, load_tensorrt

AHEAD_OF_TIME = ("SM86", "SM89")
"""The compute capabilities nearest to Orin's 8.7, which TensorRT for RTX does not offer."""

WORKSPACE_MIB = 1024

_MIB = 1 << 20


@dataclass(frozen=True)
class PlanReport:
    """How a plan was built.

    Args:
        backend, version: the compiler.
        compute_capabilities: GPUs it was built for; empty where that is the GPU at hand.
        seconds: what parsing and building took.
        layers: layers of the network as parsed.
        size: bytes of the plan.
        precision: of the bundle's graph, where it came from a bundle.
    """

    backend: Backend
    version: str
    compute_capabilities: tuple[str, ...]
    seconds: float
    layers: int
    size: int
    precision: str = ""


@dataclass(frozen=True)
class Plan:
    """A serialised engine. It is native code: it stays on the machine that built it.

    Args:
        content: what TensorRT loads.
        report: how it was built.
        layers: of the network as parsed, see ``network_layers``.
        timing_cache: makes the next build of a like network quicker; empty where the backend has none.
    """

    content: bytes
    report: PlanReport
    layers: tuple[Any, ...]
    timing_cache: bytes


def build_plan(
    onnx: bytes,
    *,
    backend: Backend,
    compute_capabilities: Sequence[str] = (),
    workspace_mib: int = WORKSPACE_MIB,
    dla: int | None = None,
    timing_cache: bytes = b"",
    progress: Progress = silent,
) -> Plan:
    """Compile a graph that ``onnx_reader`` has checked.

    Args:
        onnx: a serialised model without external data.
        backend: which TensorRT.
        compute_capabilities: such as ``SM86``, to compile ahead of time; only ``tensorrt-rtx`` can.
        workspace_mib: most scratch memory a layer may use, in MiB.
        dla: the deep-learning accelerator's core to build for; what it cannot do goes to the GPU.
        timing_cache: of an earlier build on this machine; one that does not fit is left aside.
        progress: told of TensorRT's phases.

    Raises:
        UsageError: an option cannot be.
        MissingExtraError: that TensorRT is not installed.
        CatseyeError: TensorRT refuses the graph, for the layer and reason named, or fails to build it.
    """
    check_build_options(workspace_mib=workspace_mib, dla=dla)
    if compute_capabilities and backend != "tensorrt-rtx":
        raise UsageError(f"{backend} compiles for the GPU at hand only; tensorrt-rtx compiles ahead of time")
    if compute_capabilities and dla is not None:
        raise UsageError(f"dla is {dla}: no DLA plan is compiled ahead of time; build on the board")
    trt, logger = load_tensorrt(backend)
    compiler = f"{backend} {trt.__version__}"
    capabilities = [_capability(trt, name) for name in compute_capabilities]
    logger.clear()
    started = time.perf_counter()
    try:
        builder = trt.Builder(logger)
    except TypeError:
        raise CatseyeError(f"{compiler} does not start: {logger.reason()}") from None
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        raise CatseyeError(parser_refusal(parser, compiler))
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # On by default, and it rounds what a float32 graph multiplies to 10 bits: the proof would not hold.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib * _MIB)
    if capabilities:
        config.num_compute_capabilities = len(capabilities)
        for index, capability in enumerate(capabilities):
            config.set_compute_capability(capability, index)
    if dla is not None:
        _use_dla(trt, builder, config, dla, compiler)
    # TensorRT for RTX times nothing when it compiles, and its calls for a cache are deprecated.
    cache = _timing_cache(config, timing_cache) if backend == "tensorrt" else None
    with watch(trt, config, progress):
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise CatseyeError(builder_refusal(logger.reason(), compiler))
    content = bytes(plan)
    return Plan(
        content=content,
        report=PlanReport(
            backend=backend,
            version=trt.__version__,
            compute_capabilities=tuple(compute_capabilities),
            seconds=time.perf_counter() - started,
            layers=network.num_layers,
            size=len(content),
        ),
        layers=tuple(network_layers(network)),
        timing_cache=b"" if cache is None else bytes(cache.serialize()),
    )


def check_build_options(*, workspace_mib: int, dla: int | None) -> None:
    """
    Raises:
        UsageError: an option cannot be.
    """
    if workspace_mib < 1:
        raise UsageError(f"workspace_mib is {workspace_mib}: give at least 1")
    if dla is not None and dla < 0:
        raise UsageError(f"dla is {dla}: give the number of a core, from 0")


def _use_dla(trt: Any, builder: Any, config: Any, core: int, compiler: str) -> None:
    if core >= builder.num_DLA_cores:
        raise CatseyeError(
            f"{compiler} finds {builder.num_DLA_cores} DLA cores here, none with the number {core}; "
            "build without DLA (TensorRT has it on Orin up to 10.7, and on AGX Orin again from 11.4.1)"
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _timing_cache(config: Any, content: bytes) -> Any:
    """A cache that the build fills; an earlier one's content where TensorRT takes it."""
    cache = config.create_timing_cache(content)
    if content and not (cache is not None and config.set_timing_cache(cache, False)):
        content, cache = b"", config.create_timing_cache(b"")
    if not content:
        config.set_timing_cache(cache, False)
    return cache


def _capability(trt: Any, name: str) -> Any:
    known = {key: value for key, value in trt.ComputeCapability.__members__.items() if key.startswith("SM")}
    if name not in known:
        raise UsageError(f"compute capability {name!r}: tensorrt-rtx knows {', '.join(sorted(known))}")
    return known[name]
