"""A float32 graph in the lower precisions that are asked for, each with how far it then is from the trained
network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from types import MappingProxyType

from catseye.errors import UsageError
from catseye.export.activation_ranges import Method, cut_off, largest_magnitudes, observe
from catseye.export.half import to_half
from catseye.export.quantise import quantise, quantised_tensors
from catseye.runtime.agreement import Disagreement, compare_coarsely
from catseye.runtime.engines.base import EngineOutput, Inputs
from catseye.runtime.engines.onnxruntime import OnnxRuntimeEngine
from catseye.runtime.manifest import Agreement, Verdict
from catseye.runtime.precision import PRECISIONS, Precision
from catseye.runtime.proof import replay

CUT: Method = "entropy"
"""How ranges of activations are cut off where nothing else is said."""

MARGIN = 2.0
"""Times what ONNX Runtime differs in, a replay may: other engines round otherwise."""

_FLOORS: Mapping[Precision, Mapping[str, float]] = MappingProxyType(
    {
        "fp16": {"detections": 0.1, "boxes": 0.015, "scores": 0.01, "embeddings": 2e-3, "depth": 5e-3},
        "int8": {"detections": 0.1, "boxes": 0.02, "scores": 0.02, "embeddings": 0.01, "depth": 0.01},
    }
)
"""What it may differ in beyond that. ONNX Runtime on ARM, which adds up in half precision where x86 does in
single, differs in fp16 boxes by 0.007 and in scores by 0.0035."""


@dataclass(frozen=True)
class Replayed:
    """What came of the proof of a lower precision.

    Args:
        apart: how far ONNX Runtime's replay of the proof is from the golden outputs.
        limits: what a replay may differ in.
    """

    apart: Disagreement
    limits: Agreement

    def verdict(self) -> Verdict:
        """Accepted where a proof within the limits still tells a broken engine."""
        most = Agreement().model_dump()
        beyond = [name for name, limit in self.limits.model_dump().items() if not limit <= most[name]]
        figures = {name: value for name, value in asdict(self.apart).items() if value is not None}
        if not beyond:
            return Verdict(accepted=True, reason="sees what the trained network sees", figures=figures)
        worst = ", ".join(f"{name} by {figures[name]:.3g}" for name in beyond)
        return Verdict(accepted=False, reason=f"differs from the trained network in {worst}", figures=figures)


def require_precisions(precisions: Collection[str], *, calibrated: bool) -> tuple[Precision, ...]:
    """The precisions in their order, float32 always among them.

    Raises:
        UsageError: one is not known, or int8 is to be made without calibration footage.
    """
    for name in precisions:
        if name not in PRECISIONS:
            raise UsageError(f"precision {name!r}: choose from {', '.join(PRECISIONS)}")
    if "int8" in precisions and not calibrated:
        raise UsageError(
            "precision int8 needs footage to measure its ranges on: give --calibration VIDEO or FOLDER"
        )
    return tuple(name for name in PRECISIONS if name in precisions or name == "fp32")


class Ranges:
    """What the activations of a float32 graph reach on some frames, measured once, and only where it is asked
    for, for all graphs that are made of it.

    Args:
        graph: serialised ONNX.
        frames: to run it on, and ``batch`` how many a call.
        method: where ranges of int8 are cut off.
        threads: cores that one call may use; 0 takes all.
    """

    def __init__(
        self, graph: bytes, frames: Inputs, *, batch: int, method: Method = CUT, threads: int = 0
    ) -> None:
        self.frames = frames
        self._graph, self._batch, self._method, self._threads = graph, batch, method, threads

    @cached_property
    def largest(self) -> Mapping[str, float]:
        """The largest magnitude of every activation."""
        return largest_magnitudes(self._graph, self.frames, batch=self._batch, threads=self._threads)

    @cached_property
    def cut(self) -> Mapping[str, float]:
        """Where int8 cuts off, of every activation that it may quantise; fewer layers need no others."""
        names = quantised_tensors(self._graph)
        seen = observe(
            self._graph, self.largest, names, self.frames, batch=self._batch, threads=self._threads
        )
        return {name: cut_off(magnitudes, self._method) for name, magnitudes in seen.items()}


def convert(
    graph: bytes, precision: Precision, ranges: Ranges, *, float_nodes: frozenset[str] = frozenset()
) -> bytes:
    """A serialised float32 graph in another precision.

    Args:
        ranges: of its activations.
        float_nodes: names of nodes to leave in float32.

    Raises:
        UsageError: a name in ``float_nodes`` is no node's.
    """
    if precision == "fp32":
        return graph
    if precision == "fp16":
        return to_half(graph, largest=ranges.largest, float_nodes=float_nodes)
    return quantise(graph, ranges.cut, float_nodes=float_nodes)


def measured(
    graph: bytes,
    frames: Inputs,
    golden: EngineOutput,
    *,
    precision: Precision,
    batch: int,
    threshold: float,
    threads: int = 0,
) -> Replayed:
    """Replay the proof of a lower precision on ONNX Runtime, and allow ``MARGIN`` times what differs and a
    little more."""
    found = replay(OnnxRuntimeEngine(graph, precision=precision, threads=threads), frames, batch=batch)
    apart = compare_coarsely(golden, found, threshold=threshold)
    figures = asdict(apart)
    limits = {name: MARGIN * (figures[name] or 0.0) + floor for name, floor in _FLOORS[precision].items()}
    return Replayed(apart, Agreement(**limits))
