"""How large a network's activations become on footage, and where int8 had better cut them off."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from catseye.export.onnx_files import inferred
from catseye.runtime.engines.base import Inputs
from catseye.runtime.engines.onnxruntime import make_session, run_session
from catseye.runtime.network_input import in_batches

Method = Literal["max", "percentile", "mse", "entropy"]

BINS = 2048
STEPS = 127
"""Levels of a magnitude in symmetric int8."""

_PERCENTILE = 99.99
_CANDIDATES = 64


@dataclass(frozen=True)
class Magnitudes:
    """Absolute values of one tensor's elements over all frames.

    Args:
        largest: of them.
        counts: (``BINS``,) how many lie in each of equal bins from 0 to ``largest``.
    """

    largest: float
    counts: NDArray[np.int64]


def largest_magnitudes(graph: bytes, frames: Inputs, *, batch: int, threads: int = 0) -> dict[str, float]:
    """The largest magnitude of every float32 activation over frames."""
    model = inferred(onnx.load_model_from_string(graph))
    names = [
        value.name
        for value in (*model.graph.value_info, *model.graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    ]
    largest = dict.fromkeys(names, 0.0)

    def look(name: str, magnitudes: NDArray[np.float32]) -> None:
        largest[name] = float(np.maximum(largest[name], magnitudes.max(initial=0)))

    _watch(model, names, frames, look, batch=batch, threads=threads)
    return largest


def observe(
    graph: bytes,
    largest: Mapping[str, float],
    names: Collection[str],
    frames: Inputs,
    *,
    batch: int,
    threads: int = 0,
) -> dict[str, Magnitudes]:
    """Histograms of the named activations over the frames of which ``largest`` was taken."""
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in names}

    def look(name: str, magnitudes: NDArray[np.float32]) -> None:
        scale = BINS / max(largest[name], float(np.finfo(np.float32).tiny))
        places = np.minimum((magnitudes * np.float32(scale)).astype(np.int32), BINS - 1)
        counts[name] += np.bincount(places.ravel(), minlength=BINS)

    model = inferred(onnx.load_model_from_string(graph))
    _watch(model, list(names), frames, look, batch=batch, threads=threads)
    return {name: Magnitudes(largest[name], counts[name]) for name in names}


def cut_off(magnitudes: Magnitudes, method: Method) -> float:
    """The magnitude that the largest int8 level stands for; what is beyond is cut off.

    ``max`` cuts nothing off, ``percentile`` the largest of ten thousand, ``mse`` where the squared error of
    rounding and cutting is least, and ``entropy`` where the distribution after it is nearest to the one
    before (Kullback-Leibler; S. Migacz, "8-bit Inference with TensorRT", GTC 2017).
    """
    return METHODS[method](magnitudes)


def _whole(magnitudes: Magnitudes) -> float:
    return magnitudes.largest


def _percentile(magnitudes: Magnitudes) -> float:
    shares = np.cumsum(magnitudes.counts) / max(1, magnitudes.counts.sum())
    last = int(np.searchsorted(shares, _PERCENTILE / 100))
    return magnitudes.largest * min(BINS, last + 1) / BINS


def _least_error(magnitudes: Magnitudes) -> float:
    """Squared error by bins: rounding within the range, the distance to its end beyond it."""
    centres = (np.arange(BINS) + 0.5) / BINS
    errors = []
    for end in _ends():
        step = end / STEPS
        rounded = np.minimum(np.round(centres / step), STEPS) * step
        errors.append(float((magnitudes.counts * (centres - rounded) ** 2).sum()))
    return magnitudes.largest * float(_ends()[int(np.argmin(errors))])


def _least_divergence(magnitudes: Magnitudes) -> float:
    counts = magnitudes.counts.astype(np.float64)
    # Exact zeros take one level whatever the range, and would drown the rest.
    counts[0] = min(counts[0], counts[1])
    divergences = []
    for end in _ends():
        kept = max(STEPS + 1, round(end * BINS))
        reference = counts[:kept].copy()
        reference[-1] += counts[kept:].sum()
        levels = np.minimum(np.arange(kept) * (STEPS + 1) // kept, STEPS)
        filled = counts[:kept] > 0
        sums = np.bincount(levels, counts[:kept], STEPS + 1)
        members = np.bincount(levels, filled, STEPS + 1)
        spread = np.where(filled, (sums / np.maximum(members, 1))[levels], 0)
        p, q = reference / max(reference.sum(), 1), spread / max(spread.sum(), 1)
        both = (p > 0) & (q > 0)
        lost = p[(p > 0) & (q == 0)].sum()
        divergences.append(float((p[both] * np.log(p[both] / q[both])).sum() + 10 * lost))
    return magnitudes.largest * float(_ends()[int(np.argmin(divergences))])


def _ends() -> NDArray[np.float64]:
    """Shares of the largest magnitude that are tried as ends of the range."""
    return np.geomspace((STEPS + 1) / BINS, 1, _CANDIDATES)


METHODS: Mapping[Method, Callable[[Magnitudes], float]] = MappingProxyType(
    {"max": _whole, "percentile": _percentile, "mse": _least_error, "entropy": _least_divergence}
)


def _watch(
    model: onnx.ModelProto,
    names: list[str],
    frames: Inputs,
    look: Callable[[str, NDArray[np.float32]], None],
    *,
    batch: int,
    threads: int,
) -> None:
    """Run the model and show the magnitudes of each named tensor, call by call."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    if not names:
        return
    session = make_session(watched.SerializeToString(), threads=threads)
    for part, _ in in_batches(frames, batch):
        for name, array in run_session(session, part).items():
            look(name, np.abs(array))
