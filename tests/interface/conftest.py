"""A pretrained run, a detector's run and labels, all as small as can be."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from catseye.pretrain.checkpoint import CheckpointInfo, DepthInfo, save_checkpoint
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.model import PretextModel

WIDTH, HEIGHT = 96, 64


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(3)
    depth = DepthInfo(metric=True)
    info = CheckpointInfo(kind="pretrain", encoder="resnet10t", width=64, height=32, depth=depth)
    save_checkpoint(run, info, PretextModel("resnet10t", ("depth",)))
    return run


@pytest.fixture(scope="session")
def finetuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finetuned")
    torch.manual_seed(4)
    detector = Detector(Encoder("resnet10t"), classes=("car", "truck"), neck_channels=16)
    config = {"embedding_dim": 32, "neck_channels": 16}
    info = CheckpointInfo(
        kind="finetune",
        encoder="resnet10t",
        width=WIDTH,
        height=HEIGHT,
        classes=("car", "truck"),
        config=config,
    )
    save_checkpoint(run, info, detector)
    return run


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of 96×64 with a bright car each."""
    folder = tmp_path_factory.mktemp("labels")
    (folder / "images").mkdir()
    images, boxes = [], []
    for number in range(2):
        rgb = np.full((HEIGHT, WIDTH, 3), 60, dtype=np.uint8)
        rgb[20:32, 8 + 30 * number : 26 + 30 * number] = 230
        cv2.imwrite(str(folder / "images" / f"{number}.png"), rgb)
        images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
        bbox = [8 + 30 * number, 20, 18, 12]
        boxes.append({"id": number, "image_id": number, "category_id": 1, "bbox": bbox})
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "car"}]}
    (folder / "labels.json").write_text(json.dumps(document))
    return folder / "labels.json"
