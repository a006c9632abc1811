"""Which layers suffer most from a lower precision: each by itself, by what it does to the network's heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.export.graph import HEAD_NAMES
from catseye.progress import Progress, silent
from catseye.runtime.engines.onnxruntime import make_session, run_session

_HEADS = (*HEAD_NAMES, "depth")


def by_sensitivity(
    layers: Sequence[str],
    make: Callable[[Sequence[str]], bytes],
    graph: bytes,
    frames: Image,
    *,
    batch: int,
    threads: int = 0,
    progress: Progress = silent,
) -> tuple[str, ...]:
    """The layers, the most sensitive first.

    A layer's sensitivity is the noise that the heads have when it alone is of the lower precision: the sum of
    their mean squared errors, each in units of the head's variance, so that no head speaks louder for having
    larger numbers.

    Args:
        layers: their names.
        make: the graph in which the layers named are float, with its heads as outputs.
        graph: that in which all are.
        frames: (F, H, W, 3) uint8, F a multiple of ``batch``; few do.
    """
    golden = _heads(graph, frames, batch=batch, threads=threads)
    noise = {}
    for layer in layers:
        found = _heads(
            make([other for other in layers if other != layer]), frames, batch=batch, threads=threads
        )
        noise[layer] = sum(_noise(before, after) for before, after in zip(golden, found, strict=True))
        progress("sensitivity of layers", len(noise), len(layers))
    return tuple(sorted(layers, key=lambda layer: -noise[layer]))


def _heads(graph: bytes, frames: Image, *, batch: int, threads: int) -> list[NDArray[np.float32]]:
    session = make_session(graph, threads=threads)
    runs = [run_session(session, frames[start : start + batch]) for start in range(0, len(frames), batch)]
    return [np.concatenate([run[name] for run in runs]) for name in _HEADS if name in runs[0]]


def _noise(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Infinite where something is no number."""
    noise = float(np.mean((after - before) ** 2) / max(float(before.var()), float(np.finfo(np.float32).tiny)))
    return noise if np.isfinite(noise) else float("inf")
