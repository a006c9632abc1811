"""One small detector, exported once for all tests of this stage."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from catseye.export.bundling import export
from catseye.export.golden import golden_frames
from catseye.picture_files import write_rgb
from catseye.pretrain.checkpoint import CheckpointInfo, DepthInfo, save_checkpoint
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import Encoder
from catseye.runtime.bundle import Bundle

WIDTH, HEIGHT = 96, 64


@pytest.fixture(scope="session")
def detector() -> Detector:
    """An untrained detector whose BatchNorm statistics and scores are spread, as training spreads them."""
    torch.manual_seed(0)
    made = Detector(Encoder("resnet10t"), classes=("car", "truck")).train()
    frames = golden_frames([], count=4, width=WIDTH, height=HEIGHT, seed=1)
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
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures to calibrate on, like those that the detector's statistics come from."""
    folder = tmp_path_factory.mktemp("pictures")
    frames = golden_frames([], count=12, width=WIDTH, height=HEIGHT, seed=2)
    for index, frame in enumerate(frames):
        write_rgb(folder / f"{index:02}.png", frame)
    return folder


@pytest.fixture(scope="session")
def exported(run_folder: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """In all three precisions."""
    return export(
        run_folder,
        tmp_path_factory.mktemp("exported") / "small.catseye",
        precisions=("fp32", "fp16", "int8"),
        calibration=[pictures],
        top_k=20,
    )
