"""What each layer's int8 costs the network's outputs, so that a search knows where to begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catseye.export.quantise import quantisable_layers, quantise
from catseye.progress import Progress, silent
from catseye.runtime.engines.base import Inputs
from catseye.runtime.engines.onnxruntime import make_session, run_session
from catseye.runtime.network_input import in_batches

_TINY = float(np.finfo(np.float32).tiny)


def layer_sensitivity(
    graph: bytes,
    ranges: Mapping[str, float],
    frames: Inputs,
    *,
    heads: Sequence[str],
    layers: Sequence[str] | None = None,
    batch: int,
    threads: int = 0,
    progress: Progress = silent,
) -> dict[str, float]:
    """How far the heads move when one layer alone is int8, the worst layer first.

    A head's figure is the root mean square of its change, as a share of its own spread, and a layer's figure
    the largest of its heads'.

    Args:
        graph: serialised float32 ONNX with the heads among its outputs.
        ranges: of activations, see ``quantise``.
        frames: a few tell the order.
        heads: names of dense outputs, before TopK, where nothing changes places.
        layers: which to measure; None measures all that int8 can be had for.
    """
    every = frozenset(quantisable_layers(graph))
    layers = sorted(every) if layers is None else layers
    golden = _run(graph, frames, heads, batch=batch, threads=threads)
    spreads = {name: max(float(array.std()), _TINY) for name, array in golden.items()}
    figures: dict[str, float] = {}
    for done, layer in enumerate(layers):
        progress("measuring layers", done, len(layers))
        only = quantise(graph, ranges, float_nodes=every - {layer})
        found = _run(only, frames, heads, batch=batch, threads=threads)
        figures[layer] = max(
            float(np.sqrt(np.mean((golden[name] - found[name]) ** 2))) / spreads[name] for name in heads
        )
    progress("measuring layers", len(layers), len(layers))
    return dict(sorted(figures.items(), key=lambda item: -item[1]))


def _run(
    graph: bytes, frames: Inputs, heads: Sequence[str], *, batch: int, threads: int
) -> dict[str, NDArray[Any]]:
    session = make_session(graph, threads=threads, as_written=True)
    runs = [run_session(session, part) for part, _ in in_batches(frames, batch)]
    return {name: np.concatenate([run[name] for run in runs]) for name in heads}
