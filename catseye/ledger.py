"""What a chain of stages did, so that a second call continues from what exists."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from catseye.contract import Contract
from catseye.errors import InputError
from catseye.version import __version__


class Stage(BaseModel):
    """One finished stage.

    Args:
        name: its verb.
        key: hash over its inputs and those of every stage before it.
        did: one line for people.
        seconds: wall time it took.
        figures: what it measured.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    key: str
    did: str
    seconds: float
    figures: dict[str, float] = {}


class Summary(Contract):
    """The contract ``summary.json``."""

    VERSION: ClassVar[str] = "1.0"
    REMEDY: ClassVar[str] = "remove it to start anew"

    code_version: str = __version__
    stages: tuple[Stage, ...] = ()


class Ledger:
    """Runs stages in order and writes ``summary.json`` after each.

    A stage is kept when it is recorded with the same key and its outputs exist. A key covers the keys before
    it, so that a change upstream makes everything after it anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages: list[Stage] = []
        self._recorded = self._read()

    def run(
        self,
        name: str,
        inputs: object,
        outputs: Sequence[Path],
        work: Callable[[], tuple[str, dict[str, float]]],
    ) -> Stage:
        """Do ``work``, which returns a line and figures, unless it was done for the same inputs."""
        before = self.stages[-1].key if self.stages else __version__
        key = hashlib.sha256(json.dumps([before, name, inputs], default=str).encode()).hexdigest()
        stage = self._recorded.get(name)
        if stage is None or stage.key != key or not all(path.exists() for path in outputs):
            started = time.monotonic()
            did, figures = work()
            stage = Stage(
                name=name, key=key, did=did, seconds=round(time.monotonic() - started, 2), figures=figures
            )
        self.stages.append(stage)
        self._write()
        return stage

    def _read(self) -> dict[str, Stage]:
        if not self.path.exists():
            return {}
        try:
            return {stage.name: stage for stage in Summary.load(self.path).stages}
        except InputError as error:
            raise InputError(self.path, error.fault, "remove it, or name another --out") from None

    def _write(self) -> None:
        done = {stage.name for stage in self.stages}
        later = [stage for name, stage in self._recorded.items() if name not in done]
        Summary(stages=(*self.stages, *later)).save(self.path)
