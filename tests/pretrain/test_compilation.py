"""Pretraining under torch.compile, by the compiler that users get."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from catseye.pretrain import encoder
from catseye.pretrain.checkpoint import load_checkpoint
from catseye.pretrain.compilation import compile_networks
from catseye.pretrain.layers import conv_bn_relu
from catseye.pretrain.model import PretextModel
from catseye.pretrain.pretraining import PretrainConfig, pretrain

MakeDataset = Callable[..., Any]

CONFIG = PretrainConfig(
    encoder="few",
    tasks=("order",),
    steps=4,
    batch=2,
    precision="32-true",
    workers=0,
    log_every=1,
    save_every=2,
)


class Few(nn.Module):
    """Four layers that pass for a timm network: every layer is some seconds of a C++ compiler's time."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_info = SimpleNamespace(reduction=lambda: [4, 8, 16, 32], channels=lambda: [8] * 4)
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.stages = nn.ModuleList(conv_bn_relu(8, 8, stride=2) for _ in range(3))

    def forward(self, rgb: Tensor) -> list[Tensor]:
        maps = [self.stem(rgb)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps


@pytest.fixture(autouse=True)
def few_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_features", lambda name, **_: Few())


def logged(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def require_alike(plain: Path, compiled: Path, *, within: float) -> None:
    """The same figures in every line, and the same names of weights.

    Gradients by task are among the figures: those at a map that came out of the same graph as later ones
    would lack what these add.
    """
    ours, theirs = logged(plain), logged(compiled)
    assert ours[0]["gradient/norm/order"] > 0
    for one, other in zip(ours, theirs, strict=True):
        assert other == pytest.approx(one, rel=within, abs=1e-4)
    assert load_checkpoint(plain)[1].keys() == load_checkpoint(compiled)[1].keys()


def test_what_is_compiled_is_the_encoders_blocks_and_the_tasks_networks() -> None:
    model = PretextModel("few", ["order", "future", "depth"])
    compile_networks(model)
    compiled = [name for name, module in model.named_modules() if module._compiled_call_impl is not None]
    blocks = [f"encoder.body.stages.{number}" for number in range(3)]
    assert compiled == [*blocks, "future.target", "depth.decoder", "depth.pose"]


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # the compiler's own looks
def test_all_tasks_together_learn_from_graphs_what_they_learn_without(
    memory_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graphs are taken down and run; what a compiler makes of them is the next test's matter."""
    original = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self, **_: original(self, backend="aot_eager"))
    dataset, config = memory_dataset(), replace(CONFIG, tasks=("order", "future", "depth"), steps=2)
    pretrain(dataset, tmp_path / "plain", config)
    torch._dynamo.utils.counters.clear()
    pretrain(dataset, tmp_path / "compiled", replace(config, compile=True))
    require_alike(tmp_path / "plain", tmp_path / "compiled", within=1e-3)
    assert not torch._dynamo.utils.counters["graph_break"]
    # One a network at most: none for single frames, of which pictures are made at the end.
    assert 0 < torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 6


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::UserWarning:torch.*")  # the compiler's own
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_a_compiled_run_learns_what_a_plain_one_does_and_resumes(
    memory_dataset: MakeDataset, tmp_path: Path
) -> None:
    def killed_at(label: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    dataset, config = memory_dataset(), replace(CONFIG, compile=True)
    pretrain(dataset, tmp_path / "plain", CONFIG)
    pretrain(dataset, tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        pretrain(dataset, tmp_path / "killed", config, progress=killed_at)
    pretrain(dataset, tmp_path / "killed", config)
    assert logged(tmp_path / "whole") == logged(tmp_path / "killed")
    require_alike(tmp_path / "plain", tmp_path / "whole", within=1e-2)
