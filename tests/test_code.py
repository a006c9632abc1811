"""The linters pass: style, format, types, the arrows between the stages, and the commit hooks themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
        ["pre-commit", "validate-config"],
    ],
    ids=" ".join,
)
def test_linter_passes(command: list[str]) -> None:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_stages_are_links_so_that_no_copy_can_drift() -> None:
    for stage in ("capture", "pretrain", "export", "runtime"):
        link = ROOT / "catseye" / stage
        assert link.is_symlink() and link.resolve() == ROOT / stage
