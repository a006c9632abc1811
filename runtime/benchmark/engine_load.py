"""The engine alone as a system under test: whole batches of noise, copies in and out included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from catseye.runtime.benchmark.scenarios import Serve
from catseye.runtime.engines.base import Engine, Inputs, OverlappingEngine
from catseye.runtime.manifest import Manifest

_BATCHES = 8


class EngineLoad:
    """Puts one call after the other to an engine, on inputs that are ready in memory.

    Args:
        engine: of the bundle that ``manifest`` describes.
        manifest: says what the inputs are.
    """

    def __init__(self, engine: Engine, manifest: Manifest) -> None:
        self._engine = engine
        self.batch = manifest.network.batch
        self._inputs = noise(manifest)

    def serve(self, samples: int) -> Serve:
        """A query of so many samples: one call a batch, the last of them filled up."""
        calls = -(-samples // self.batch)
        infer, inputs = self._engine.infer, self._inputs
        if calls == 1:
            return lambda number: infer(inputs[number % _BATCHES])

        def serve(number: int) -> None:
            for call in range(calls):
                infer(inputs[(number + call) % _BATCHES])

        return serve

    def answers(self, numbers: Iterable[int]) -> Iterator[None]:
        """A call for each number, an item as each ends; two at a time where the engine can."""
        if not isinstance(self._engine, OverlappingEngine):
            for number in numbers:
                self._engine.infer(self._inputs[number % _BATCHES])
                yield
            return
        under_way = None
        for number in numbers:
            started = self._engine.start(self._inputs[number % _BATCHES])
            if under_way is not None:
                self._engine.finish(under_way)
                yield
            under_way = started
        if under_way is not None:
            self._engine.finish(under_way)
            yield


def noise(manifest: Manifest) -> list[Inputs]:
    """Batches that no cache or predictor can know, the same on every machine."""
    draw = np.random.default_rng(0)
    inputs = manifest.network.inputs()
    return [
        {value.name: draw.integers(0, 256, value.shape, dtype=np.uint8) for value in inputs}
        for _ in range(_BATCHES)
    ]
