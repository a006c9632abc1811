"""What users install: a built wheel, alone in an empty environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built through the sdist, as an index would get it."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel and what it declares, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    subprocess.run(
        [str(folder / "bin/pip"), "install", "--quiet", str(wheel)],
        check=True,
        capture_output=True,
        text=True,
    )
    return folder / "bin"


def test_wheel_holds_every_module(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "capture", "pretrain", "export", "runtime", "catseye"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    expected = {
        name if name.startswith("catseye/") else f"catseye/{name}"
        for name in tracked
        if Path(name).suffix in {".py", ".json", ".typed"}
    }
    assert len(expected) > 40
    assert expected <= set(zipfile.ZipFile(wheel).namelist())


def test_wheel_helps_and_runs_without_torch(installed: Path, tiny_bundle: Path, road_world: Path) -> None:
    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(argument) for argument in arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=installed.parent,
            env={**os.environ, "PYTHONPATH": ""},
        )

    assert call(installed / "python", "-c", "import torch").returncode != 0
    helped = call(installed / "catseye", "--help")
    assert helped.returncode == 0, helped.stderr
    assert "finetune" in helped.stdout
    assert "finetune" in call(installed / "python", "-m", "catseye", "--help").stdout

    video = sorted(road_world.glob("*.mp4"))[0]
    tracks = installed.parent / "tracks.jsonl"
    ran = call(installed / "catseye", "run", tiny_bundle, video, "--jsonl", tracks)
    assert ran.returncode == 0, ran.stderr
    assert len([json.loads(line) for line in tracks.read_text().splitlines()]) == 50

    trains = call(installed / "catseye", "pretrain", road_world, "--out", installed.parent / "run")
    assert trains.returncode == 1
    assert "pip install 'catseye[train]'" in trains.stderr
