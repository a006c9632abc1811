"""The README's lines run a bundle's graph in ONNX Runtime alone, as they stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from catseye.runtime.bundle import open_bundle
from catseye.runtime.verification import golden_outputs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lines() -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "zipfile" in block)
    return str(block)


def test_the_readmes_lines_give_the_golden_detections(lines: str, tiny_bundle: Path, tmp_path: Path) -> None:
    assert "catseye import" not in lines and "import catseye" not in lines
    assert len(lines.splitlines()) == 10
    shutil.copy(tiny_bundle, tmp_path / "car.catseye")
    shown = subprocess.run(
        [sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    golden = golden_outputs(open_bundle(tiny_bundle))
    found = np.array([re.findall(r"[-\d.e+]+", line) for line in shown.splitlines()], dtype=np.float64)
    np.testing.assert_array_equal(found[:, 0], golden.classes[0])
    np.testing.assert_allclose(found[:, 1], golden.scores[0], rtol=1e-3)
    np.testing.assert_allclose(found[:, 2:], golden.boxes[0], rtol=1e-3, atol=1e-3)
