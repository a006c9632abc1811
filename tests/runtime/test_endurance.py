"""The long measurements of scripts/bench that nothing leaks, at a small part of their size."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rtsp_camera import NEEDS, is_installed

from catseye.errors import CatseyeError
from catseye.runtime.sources.gstreamer_library import missing_elements

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench"


@pytest.fixture
def live_drops(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with shorter outages."""
    monkeypatch.syspath_prepend(str(BENCH))  # as where a script is run
    module = importlib.import_module("live_drops")
    for name, value in {"LONGEST_OUTAGE_S": 0.2, "SETTLING_S": 0.3, "WARM_DROPS": 1}.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_a_server_that_comes_back_is_connected_to_and_nothing_leaks(
    live_drops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_installed():
        pytest.skip(NEEDS)
    try:
        if missing := missing_elements("software"):
            pytest.skip(f"GStreamer has no {missing}")
    except CatseyeError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(live_drops, "_settled", lambda bound: live_drops.Held.now())
    case = live_drops.run_case(live_drops.SOURCES["gstreamer"], drops=4, seed=1)
    assert case["recovery_longest_s"] > 0
    # Libraries keep an idle thread or descriptor for seconds, for which only the whole measurement waits;
    # a leak would be one a connection.
    for what in ("threads", "descriptors"):
        assert case[f"{what}_last"] < case[f"{what}_warm"] + 3


def test_memory_is_flat_over_frames_by_the_thousand() -> None:
    ran = subprocess.run(
        [sys.executable, str(BENCH / "million_frames.py"), "--frames", "2000", "--json"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.stdout, ran.stderr
    figures = json.loads(ran.stdout)
    assert figures["processed"] == figures["frames"] == 2000
    assert figures["tracks"] > 20
    assert figures["growth_percent"] < 2  # the warm-up is not over yet
