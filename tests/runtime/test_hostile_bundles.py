"""Some of the thousand bundles of scripts/bench/hostile_bundles.py, each refused or harmless."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_is_refused_or_harmless() -> None:
    script = ROOT / "scripts" / "bench" / "hostile_bundles.py"
    ran = subprocess.run(
        [sys.executable, str(script), "--count", "60", "--json"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.stdout, ran.stderr
    verdicts = json.loads(ran.stdout)
    faults = [
        (found["kind"], found["name"], found["told"]) for found in verdicts if found["outcome"] == "FAULT"
    ]
    assert faults == []
    assert ran.returncode == 0
    assert len(verdicts) == 60
    assert len({found["kind"] for found in verdicts}) >= 10
    assert sum(found["outcome"] == "refused" for found in verdicts) >= 48
