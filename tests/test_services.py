"""The systemd units: systemd itself reads them without a complaint."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

UNITS = ("catseye-record.service", "catseye-run.service", "catseye-upload.service", "catseye-upload.timer")


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    for unit in UNITS:
        text = (ROOT / "scripts" / unit).read_text()
        (tmp_path / unit).write_text(text.replace("/opt/catseye/bin/catseye", "/bin/true"))
    done = subprocess.run(
        [program, "verify", "--man=no", *(str(tmp_path / unit) for unit in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
