"""One small detector, exported once for all tests of this stage."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from catseye.export.bundling import export
from catseye.export.golden import golden_inputs
from catseye.pretrain.checkpoint import CheckpointInfo, DepthInfo, save_checkpoint
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import Encoder
from catseye.runtime.bundle import Bundle, Colour, Network

WIDTH, HEIGHT = 96, 64
NETWORK = Network(width=WIDTH, height=HEIGHT, batch=1)
NV12_COLOUR = Colour(matrix="bt709", full_range=False)


@pytest.fixture(scope="session")
def detector() -> Detector:
    """An untrained detector whose BatchNorm statistics and scores are spread, as training spreads them."""
    torch.manual_seed(0)
    made = Detector(Encoder("resnet10t"), classes=("car", "truck")).train()
    frames = golden_inputs([], NETWORK, count=4, seed=1)["frames"]
    with torch.no_grad():
        for module in made.head.modules():
            if isinstance(module, torch.nn.Conv2d) and module.out_channels == len(made.classes):
                module.weight.normal_(0, 0.2)
        for _ in range(20):
            made(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255)
    return made.eval()


@pytest.fixture(scope="session")
def run_folder(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    info = CheckpointInfo(
        kind="finetune",
        encoder="resnet10t",
        width=WIDTH,
        height=HEIGHT,
        classes=("car", "truck"),
        depth=DepthInfo(metric=True),
        metrics={"map": 0.5},
    )
    save_checkpoint(run, info, detector)
    return run


@pytest.fixture(scope="session")
def exported(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(run_folder, tmp_path_factory.mktemp("exported") / "small.catseye", top_k=20)


@pytest.fixture(scope="session")
def exported_nv12(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same detector for planes, two frames a call."""
    out = tmp_path_factory.mktemp("exported-nv12") / "small.catseye"
    return export(run_folder, out, top_k=20, input="nv12", batch=2)
