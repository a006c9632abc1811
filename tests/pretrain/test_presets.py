"""Presets: what their names stand for, and what they cost."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Command
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from catseye.errors import UsageError
from catseye.pretrain import PRESETS, FinetuneConfig, PretrainConfig, finetuning, preset, pretraining
from catseye.pretrain.checkpoint import CheckpointInfo
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import STRIDES, Encoder
from catseye.pretrain.presets import neck_channels_of
from catseye.pretrain.tasks.objects import Objects

GIGAFLOPS = {"nano": (0.9, 1.2), "small": (4, 8), "base": (8, 16)}
"""At least and at most, of a whole detector; YOLOX-Nano at 416x416 takes 1.05 in its convolutions."""

PLAIN = (nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.Identity)


def whole_detector(name: str) -> Detector:
    options = preset(name).finetuning
    return Detector(Encoder(options["encoder"]), classes=("car",), neck_channels=options["neck_channels"])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_costs_what_its_name_promises(name: str) -> None:
    detector = whole_detector(name).eval()
    options = FinetuneConfig(**preset(name).finetuning)
    # Counted from shapes alone.
    detector = detector.to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        features = detector.encoder(torch.empty(1, 3, options.height, options.width, device="meta"))
        detector.head.tower(detector.neck(features))
        detector.head.choice(torch.empty(1, options.neck_channels, *features[0].shape[-2:], device="meta"))
        detector.depth(features)
    low, high = GIGAFLOPS[name]
    assert low < counter.get_total_flops() / 1e9 < high
    shapes = [(options.height // level.shape[-2], options.width // level.shape[-1]) for level in features]
    assert shapes == [(stride, stride) for stride in STRIDES]


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_encoder_is_convolution_normalisation_and_relu(name: str) -> None:
    leaves = [layer for layer in Encoder(preset(name).encoder).modules() if not list(layer.children())]
    odd = [layer for layer in leaves if not isinstance(layer, (*PLAIN, nn.BatchNorm2d))]
    assert not odd


def test_presets_grow() -> None:
    weights = [sum(p.numel() for p in whole_detector(name).parameters()) for name in PRESETS]
    assert weights == sorted(weights)


def test_a_preset_is_given_to_either_configuration_and_overridden() -> None:
    nano = preset("nano")
    assert PretrainConfig(**nano.pretraining).encoder == nano.encoder
    config = FinetuneConfig(**nano.finetuning | {"width": 320})
    assert (config.encoder, config.width) == (nano.encoder, 320)
    assert (config.height, config.neck_channels) == (nano.detector_size[1], nano.neck_channels)


def test_an_unknown_preset_is_one_line_that_lists_those_there_are(catseye: Command, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="preset 'huge': choose nano, small, base"):
        preset("huge")
    for verb in (["pretrain", tmp_path], ["finetune", "--labels", "x.json"], ["ingest", tmp_path]):
        called = catseye(*verb, "--out", tmp_path / "out", "--preset", "huge")
        assert (called.code, called.line) == (2, "catseye: preset 'huge': choose nano, small, base")


def test_presets_are_known_without_torch() -> None:
    """``ingest`` reads one where nothing but the base is installed."""
    code = (
        "import sys; from catseye.pretrain import preset; preset('nano'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class AskedError(Exception):
    """Holds the configuration that a verb came up with."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, catseye: Command, tmp_path: Path) -> Any:
    """What ``finetune`` or ``pretrain`` is told, by the options on the command line."""
    seen: list[dict[str, Any]] = []

    def take(*_: object, config: Any = None, **__: object) -> CheckpointInfo:
        seen.append(asdict(config or _[2]))
        return CheckpointInfo(kind="pretrain", encoder="x", width=32, height=32)

    monkeypatch.setattr(finetuning, "finetune", take)
    monkeypatch.setattr(pretraining, "pretrain", take)
    monkeypatch.setattr("catseye.capture.dataset.open_dataset", lambda url: url)

    def call(verb: str, *arguments: str | Path) -> dict[str, Any]:
        first = [tmp_path] if verb == "pretrain" else ["--labels", tmp_path / "labels.json"]
        called = catseye(verb, *first, "--out", tmp_path / "out", *arguments)
        assert called.code == 0, called.err
        return seen.pop()

    return call


def sizes(config: dict[str, Any]) -> tuple[object, ...]:
    return tuple(config[name] for name in ("encoder", "width", "height", "neck_channels"))


def test_the_command_line_takes_what_is_given_then_the_preset_then_the_default(asked: Any) -> None:
    nano = preset("nano")
    assert sizes(asked("finetune")) == ("resnet18", 448, 256, None)
    assert sizes(asked("finetune", "--preset", "nano")) == (
        nano.encoder,
        *nano.detector_size,
        nano.neck_channels,
    )
    given = ("--encoder", "resnet10t", "--width", "96", "--neck-channels", "8")
    assert sizes(asked("finetune", "--preset", "nano", *given)) == (
        "resnet10t",
        96,
        nano.detector_size[1],
        8,
    )
    assert asked("pretrain")["encoder"] == "resnet18"
    assert asked("pretrain", "--preset", "nano")["encoder"] == nano.encoder
    assert asked("pretrain", "--preset", "nano", "--encoder", "resnet10t")["encoder"] == "resnet10t"


def test_depth_can_be_given_up_from_the_command_line(asked: Any) -> None:
    assert asked("finetune")["depth_weight"] == 1
    assert asked("finetune", "--depth-weight", "0")["depth_weight"] == 0


def test_a_run_with_another_encoder_than_the_presets_is_refused(
    asked: Any, catseye: Command, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    info = CheckpointInfo(kind="pretrain", encoder=preset("small").encoder, width=64, height=32)
    info.save(run / "checkpoint.json")
    assert asked("finetune", run, "--preset", "small")["neck_channels"] == preset("small").neck_channels
    labels = tmp_path / "labels.json"
    called = catseye("finetune", run, "--labels", labels, "--out", tmp_path / "o", "--preset", "nano")
    assert called.code == 2
    assert re.search(r"--preset nano goes with the encoder \w+, but .*run has resnet10t: name", called.line)


@pytest.mark.parametrize("name", PRESETS)
def test_what_learns_objects_is_as_wide_as_what_is_fine_tuned(name: str) -> None:
    choice = preset(name)
    assert neck_channels_of(choice.encoder) == choice.neck_channels
    assert Objects(Encoder(choice.encoder)).head.one.in_channels == choice.neck_channels


def test_an_encoder_of_no_preset_has_the_neck_of_the_largest() -> None:
    assert neck_channels_of("regnetx_002") == PRESETS["base"].neck_channels
