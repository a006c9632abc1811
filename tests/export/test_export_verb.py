"""``catseye export`` hands on what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import Command

from catseye.runtime.bundle import Bundle


def test_input_colour_and_batch_are_handed_on(
    catseye: Command, tmp_path: Path, exported: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}

    def export(run: Path, out: Path, **options: Any) -> Bundle:
        told.update(options)
        return exported

    monkeypatch.setattr("catseye.export.bundling.export", export)
    out = tmp_path / "x.catseye"
    options = ("--input", "nv12", "--matrix", "bt601", "--full-range", "--batch", "4")
    assert catseye("export", "run", "--out", out, *options).code == 0
    assert {name: told[name] for name in ("input", "matrix", "full_range", "batch")} == {
        "input": "nv12",
        "matrix": "bt601",
        "full_range": True,
        "batch": 4,
    }
    assert catseye("export", "run", "--out", out, "--input", "yuyv").code == 2
    assert catseye("export", "run", "--out", out, "--batch", "0").code == 2
    assert catseye("export", "run", "--out", out).code == 0
    assert (told["input"], told["batch"]) == ("rgb8", 1)
