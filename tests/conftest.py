"""What several stages' tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tests run beside each other and on small machines; results do not depend on it.
os.environ.setdefault("OMP_NUM_THREADS", "2")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real footage beside the project; a clone without it skips what needs it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real footage is not at {folder}")
    return folder


@pytest.fixture(scope="session")
def road_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small rendered world: three clips of 4 s at 160x96 with truth, telemetry, calibration and labels."""
    from catseye.capture.synth import synth

    return synth(
        tmp_path_factory.mktemp("world"), seed=1, clips=3, duration_s=4.0, width=160, height=96, jobs=1
    )
