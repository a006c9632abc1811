"""A camera's folder that footage is written to, under clocks that a test sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from recording_footage import FakeClock, Footage
from rtsp_camera import NEEDS, RtspCamera, is_installed


@pytest.fixture
def footage(tmp_path: Path, fake_clock: FakeClock) -> Callable[..., Footage]:
    """Make a writer, of the options given, for a folder below ``tmp_path``."""
    return lambda **given: Footage(given.pop("folder", tmp_path / "front"), **given)


@pytest.fixture
def fake_clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr("time.time_ns", lambda: clock.utc_ns)
    monkeypatch.setattr("time.monotonic_ns", lambda: clock.monotonic_ns)
    monkeypatch.setattr("time.monotonic", lambda: clock.monotonic_ns / 1e9)
    return clock


@pytest.fixture
def server() -> Iterator[RtspCamera]:
    if not is_installed():
        pytest.skip(NEEDS)
    camera = RtspCamera()
    yield camera
    camera.stop()
