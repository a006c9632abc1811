"""Cores are counted as a container, a quota and a board of two kinds leave them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catseye.runtime.cores import usable_cores
from catseye.runtime.system_files import SystemFiles


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def test_affinity_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores(SystemFiles(tmp_path)) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5})
    assert usable_cores(SystemFiles(tmp_path)) == 1


@pytest.mark.parametrize(
    ("limit", "cores"), [("250000 100000", 2), ("max 100000", 8), ("50000 100000", 1), ("", 8)]
)
def test_a_quota_counts_in_whole_cores(tmp_path: Path, limit: str, cores: int) -> None:
    group = {"proc/self/cgroup": "0::/fleet/camera", "sys/fs/cgroup/fleet/cpu.max": limit}
    assert usable_cores(SystemFiles(write(tmp_path, group))) == cores


def test_the_older_quota_counts(tmp_path: Path) -> None:
    cpu = "sys/fs/cgroup/cpu/cpu.cfs_"
    files = {"proc/self/cgroup": "4:cpu,cpuacct:/", f"{cpu}quota_us": "300000", f"{cpu}period_us": "100000"}
    assert usable_cores(SystemFiles(write(tmp_path, files))) == 3
    assert usable_cores(SystemFiles(write(tmp_path, {f"{cpu}quota_us": "-1"}))) == 8


def test_only_the_fast_kind_counts(tmp_path: Path) -> None:
    speeds = {
        f"sys/devices/system/cpu/cpu{core}/cpu_capacity": str(1024 if core > 4 else 430) for core in range(8)
    }
    assert usable_cores(SystemFiles(write(tmp_path, speeds))) == 3
