"""A little of scripts/bench/overload.py: what does not depend on how busy this machine is."""

from __future__ import annotations

import json
import subprocess
import sys

from conftest import ROOT


def test_cameras_at_twice_what_the_engine_can_do() -> None:
    script = ROOT / "scripts" / "bench" / "overload.py"
    done = subprocess.run(
        [sys.executable, str(script), "--minutes", "0.05", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    found = json.loads(done.stdout)
    assert set(found["missed"]) <= {"age p99", "longest age", "age does not grow", "memory"}, found
