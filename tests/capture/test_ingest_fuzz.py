"""A twentieth of the fuzz measurement."""

from __future__ import annotations

import json
import subprocess
import sys

from conftest import ROOT


def test_mutated_files_neither_crash_nor_hang_an_ingest_and_each_has_its_row() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/bench/ingest_fuzz.py", "--files", "25", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["lost"] == 0 and sum(sum(kind.values()) for kind in found["kinds"].values()) == 25
    assert sum(kind.get("used", 0) for kind in found["kinds"].values()) >= 1
    assert all(not kind.get("used") for kind in (found["kinds"]["zero bytes"],))
