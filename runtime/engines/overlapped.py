"""Two calls of an engine at a time on a processor, each with half of the cores.

A call that is shared out among cores waits at every layer for the slowest of them; two calls side by side
wait for nothing. Each by itself takes longer, so this is for files, whose newest frame nobody awaits.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from catseye.runtime.engines.base import Engine, EngineOutput, Inputs

CALLS = 2


class OverlappedEngine:
    """Implements ``OverlappingEngine``.

    Args:
        engine: whose ``infer`` may be called from two threads at the same time; closed with this.
    """

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self._engine = engine
        self._threads = ThreadPoolExecutor(CALLS, thread_name_prefix="infer")
        self._under_way: deque[tuple[int, Future[EngineOutput]]] = deque()
        self._started = 0

    def infer(self, inputs: Inputs) -> EngineOutput:
        return self._engine.infer(inputs)

    def start(self, inputs: Inputs) -> int:
        self._started += 1
        self._under_way.append((self._started, self._threads.submit(self._engine.infer, inputs)))
        return self._started

    def finish(self, number: int) -> EngineOutput:
        """
        Raises:
            ValueError: another call is to be finished first, or this one has been.
        """
        if not self._under_way or self._under_way[0][0] != number:
            raise ValueError(f"call {number} is not the next to be finished")
        return self._under_way.popleft()[1].result()

    def close(self) -> None:
        self._threads.shutdown()
        self._engine.close()
