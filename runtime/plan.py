"""ONNX to a TensorRT plan: the one builder, for boards, servers and, with no GPU at all, for checking.

TensorRT proper builds for the GPU it runs on. TensorRT for RTX has the same parser and builder and also
compiles ahead of time, for GPUs named by compute capability, on a machine that has none. The network is
strongly typed in both: precision is what the ONNX says and no builder flag changes it, from TensorRT 10.3 to
11.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from catseye.errors import CatseyeError, UsageError
from catseye.runtime.tensorrt_library import load_tensorrt

Backend = Literal["tensorrt", "tensorrt-rtx"]

AHEAD_OF_TIME = ("SM86", "SM89")
"""The compute capabilities nearest to Orin's 8.7, which TensorRT for RTX does not offer."""

_MIB = 1 << 20
_USAGE_ERROR = re.compile(r"Error \((?P<said>.+?)(?:\. In \w+ at .+)?\)$")


@dataclass(frozen=True)
class PlanReport:
    """How a plan was built.

    Args:
        backend, version: the compiler.
        compute_capabilities: GPUs it was built for; empty where that is the GPU at hand.
        seconds: what parsing and building took.
        layers: layers of the network as parsed.
        size: bytes of the plan.
    """

    backend: Backend
    version: str
    compute_capabilities: tuple[str, ...]
    seconds: float
    layers: int
    size: int


@dataclass(frozen=True)
class Plan:
    """A serialised engine. It is native code: it stays on the machine that built it.

    ``timing_cache`` makes the next build of a like network quicker; empty where the backend has none.
    """

    content: bytes
    report: PlanReport
    timing_cache: bytes


def build_plan(
    onnx: bytes,
    *,
    backend: Backend,
    compute_capabilities: Sequence[str] = (),
    workspace_mib: int = 1024,
    timing_cache: bytes = b"",
) -> Plan:
    """Compile a graph that ``onnx_reader`` has checked.

    Args:
        onnx: a serialised model without external data.
        backend: which TensorRT.
        compute_capabilities: such as ``SM86``, to compile ahead of time; only ``tensorrt-rtx`` can.
        workspace_mib: most scratch memory a layer may use, in MiB.
        timing_cache: of an earlier build on this machine.

    Raises:
        UsageError: an option cannot be.
        MissingExtraError: that TensorRT is not installed.
        CatseyeError: TensorRT refuses the graph, for the layer and reason named, or fails to build it.
    """
    if workspace_mib < 1:
        raise UsageError(f"workspace_mib is {workspace_mib}: give at least 1")
    if compute_capabilities and backend != "tensorrt-rtx":
        raise UsageError(f"{backend} compiles for the GPU at hand only; tensorrt-rtx compiles ahead of time")
    trt, logger = load_tensorrt(backend)
    capabilities = [_capability(trt, name) for name in compute_capabilities]
    logger.clear()
    started = time.perf_counter()
    try:
        builder = trt.Builder(logger)
    except TypeError:
        raise CatseyeError(f"{backend} {trt.__version__} does not start: {logger.reason()}") from None
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        raise CatseyeError(_refusal(parser, backend, trt.__version__))
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib * _MIB)
    if capabilities:
        config.num_compute_capabilities = len(capabilities)
        for index, capability in enumerate(capabilities):
            config.set_compute_capability(capability, index)
    # TensorRT for RTX times nothing when it compiles, and its calls for a cache are deprecated.
    cache = config.create_timing_cache(timing_cache) if backend == "tensorrt" else None
    if cache is not None:
        config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise CatseyeError(f"{backend} {trt.__version__} does not build the graph: {logger.reason()}")
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
        timing_cache=b"" if cache is None else bytes(cache.serialize()),
    )


def _capability(trt: Any, name: str) -> Any:
    known = {key: value for key, value in trt.ComputeCapability.__members__.items() if key.startswith("SM")}
    if name not in known:
        raise UsageError(f"compute capability {name!r}: tensorrt-rtx knows {', '.join(sorted(known))}")
    return known[name]


def _refusal(parser: Any, backend: str, version: str) -> str:
    """The parser's first error as one line: the layer, its operator, and the reason."""
    if not parser.num_errors:
        return f"{backend} {version} refuses the graph without a reason"
    error = parser.get_error(0)
    lines = [line.strip() for line in error.desc().splitlines() if line.strip()]
    # The first line only repeats the node's name; one about CUDA only says that there is no GPU.
    reason = next((line for line in lines[1:] if "cudaError" not in line), "".join(lines[:1]))
    if usage := _USAGE_ERROR.search(reason):
        reason = usage["said"]
    place = f"layer {error.node_name()!r} ({error.node_operator()})" if error.node_name() else "the graph"
    return f"{backend} {version} refuses {place}: {reason}; change it in the model and export again"
