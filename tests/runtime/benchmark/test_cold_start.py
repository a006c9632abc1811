from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from catseye.errors import CatseyeError
from catseye.runtime.benchmark.cold_start import cold_start, peak_memory_mib
from catseye.runtime.plan_options import PlanOptions


def test_each_step_of_a_process_follows_the_one_before(
    tiny_bundle: Path, lamps: Path, tmp_path: Path
) -> None:
    held = bytearray(300 << 20)  # as large as this process is, the other does not count it
    held[::4096] = b"x" * len(held[::4096])
    assert peak_memory_mib() > 300
    plans = asdict(PlanOptions(cache=tmp_path / "plans"))
    found = cold_start(tiny_bundle, lamps, frames=7, engine="onnxruntime", plans=plans)
    assert 0 < found.imported_s < found.opened_s < found.loaded_s < found.first_result_s
    assert found.frames == 7
    assert 30 < found.peak_memory_mib < 300
    assert found.gpu_memory_mib is None


def test_a_process_that_fails_says_why(
    tiny_bundle: Path, lamps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho Traceback >&2; echo it is broken >&2; exit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(CatseyeError, match="a process that starts cold fails: it is broken"):
        cold_start(tiny_bundle, lamps, frames=1)
