"""A twentieth of the measurements by which kills and power cuts are survived."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from rtsp_camera import NEEDS, is_installed


def measured(script: str, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "bench" / script), *options, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def test_ten_kills(tmp_path: Path) -> None:
    summary = measured("recorder_kill.py", "--kills", "10", "--results", str(tmp_path / "kills.jsonl"))
    assert summary["kills"] == 10 and summary["open_segments"] >= 10 and summary["arrived"] > 0


def test_ten_power_cuts() -> None:
    summary = measured("recorder_power.py", "--points", "10", "--seconds", "6")
    assert summary["points"] == 10 and summary["frames_owed"] > 500


def test_memory_stays_flat_over_three_minutes_of_footage() -> None:
    summary = measured("recorder_memory.py", "--minutes", "3", "--speed", "10")
    # How many are dropped is for the disk to say; that most are not is among the script's bounds.
    assert summary["packets"] + summary["dropped"] > 4400 and summary["segments_deleted"] > 0
    assert summary["bytes_recorded"] > 10 * summary["bound_mib"] * 2**20


@pytest.mark.skipif(not is_installed(), reason=NEEDS)
def test_three_dropped_connections(tmp_path: Path) -> None:
    results = str(tmp_path / "drops.jsonl")
    (case,) = measured("rtsp_drops.py", "--drops", "3", "--results", results)["cases"]
    assert case["drops"] == 3 <= case["gaps"] and case["frames_recorded"] > 0
