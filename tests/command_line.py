"""The command line, called as a user calls it, in this process."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from catseye.cli import main


@dataclass(frozen=True)
class Called:
    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line that tells of the fault."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("catseye: ")]
        assert "Traceback" not in self.err
        return line


class Command:
    """Calls the command line in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str | Path) -> Called:
        self._monkeypatch.setattr(sys, "argv", ["catseye", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = self._capsys.readouterr()
        return Called(int(stop.value.code or 0), out, err)
