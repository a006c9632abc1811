"""Telling how far TensorRT's builder is; it works for minutes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from catseye.progress import Progress, silent


@contextmanager
def watch(trt: Any, config: Any, progress: Progress) -> Iterator[None]:
    """Report the phases of a build while the context lasts.

    The builder calls from native code, which no exception may cross. One that ``progress`` raises, such as
    KeyboardInterrupt, stops the build and is raised when the context ends.
    """
    if progress is silent:
        yield
        return
    raised: list[BaseException] = []

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # its base is known only now
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                self.steps[phase_name] = num_steps
                self._tell(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return self._tell(phase_name, step + 1)

        def phase_finish(self, phase_name: str) -> None:
            self._tell(phase_name, self.steps.get(phase_name, 0))

        def _tell(self, phase_name: str, done: int) -> bool:
            try:
                if phase_name in self.steps:
                    progress(phase_name, min(done, self.steps[phase_name]), self.steps[phase_name])
            except BaseException as error:
                raised.append(error)
            return not raised

    monitor = Monitor()
    config.progress_monitor = monitor
    try:
        yield
    finally:
        config.progress_monitor = None
    if raised:
        raise raised[0]
