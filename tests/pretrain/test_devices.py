"""Several processes are to a run what several batches a step are to one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from catseye.capture import ingest
from catseye.errors import UsageError
from catseye.pretrain.checkpoint import load_checkpoint
from catseye.pretrain.devices import launch

SCRIPT = """
import sys
from pathlib import Path

import torch
from torch import nn

from catseye.capture.dataset import open_dataset
from catseye.pretrain.model import PretextModel
from catseye.pretrain.pretraining import PretrainConfig, pretrain


def with_frozen_statistics(self, mode=True):
    nn.Module.train(self, mode)
    for layer in self.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    return self


if __name__ == "__main__":
    PretextModel.train = with_frozen_statistics
    torch.set_num_threads(1)
    dataset, run, accumulate, balance = sys.argv[1:]
    config = PretrainConfig(
        encoder="test_byobnet",
        steps=3,
        batch=2,
        lr=1e-2,
        accumulate=int(accumulate),
        balance=balance,
        precision="32-true",
        workers=0,
        log_every=1,
        save_every=1,
    )
    pretrain(open_dataset(dataset), Path(run), config)
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="module")
def dataset(road_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("devices") / "dataset"
    ingest([road_world], out, jobs=1, width=96, height=64, validation_fraction=0)
    return out


@pytest.mark.parametrize("balance", ["start", "gradnorm", "pcgrad"])
def test_two_processes_learn_what_one_learns_from_two_batches(
    dataset: Path, tmp_path: Path, balance: str
) -> None:
    """With gloo and frozen batch statistics, which are each process's own on a CPU."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    for name, launcher, accumulate in (("one", (), "2"), ("two", TORCHRUN, "1")):
        command = [sys.executable, *launcher, str(script), str(dataset), str(tmp_path / name)]
        ran = subprocess.run([*command, accumulate, balance], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr[-2000:]
    (_, one), (_, two) = (load_checkpoint(tmp_path / name) for name in ("one", "two"))
    logs = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    for ours, theirs in zip(*logs, strict=True):
        assert ours["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=1e-3)
    for name, value in one.items():
        if value.is_floating_point():
            assert torch.allclose(value, two[name], atol=1e-4), name


def test_another_number_than_torchrun_started_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="devices 3: torchrun has started 4 processes"):
        launch(3)
