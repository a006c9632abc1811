"""What a training run tells while it runs: ``metrics.jsonl``, one object a logged step, and TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter
from typing_extensions import Self

from catseye.files import write_text

LOG_FILE = "metrics.jsonl"


class RunLog:
    """Appends figures to a run's folder; use as a context manager.

    Args:
        step: where the run continues. What an earlier, killed process logged after it is taken off.
    """

    def __init__(self, run: Path, *, step: int) -> None:
        self._run, self._path = run, run / LOG_FILE
        _cut_after(self._path, step)
        self._board = self._board_from(step)

    def _board_from(self, step: int) -> SummaryWriter:
        return SummaryWriter(str(self._run / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Log figures by slash-separated names. JSON has no word for what is not finite: null."""
        line = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        with self._path.open("a") as stream:
            stream.write(json.dumps({"step": step, **line}, allow_nan=False) + "\n")
        for name, value in figures.items():
            self._board.add_scalar(name, value, step)

    def rewind(self, step: int, *, why: str) -> None:
        """Take off what was logged after a step to which the run has returned, and note the reason."""
        self._board.close()
        _cut_after(self._path, step)
        self._board = self._board_from(step)
        with self._path.open("a") as stream:
            stream.write(json.dumps({"step": step, "note": why}) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._board.close()


def _cut_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            document = json.loads(line)
        except ValueError:  # the last line of a killed process may be half a line
            continue
        if document["step"] <= step:
            kept.append(line + "\n")
    write_text(path, "".join(kept))
