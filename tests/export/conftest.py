"""One small detector, exported once for all tests of this stage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from catseye.capture.geometry import letterbox, rgb_to_network
from catseye.capture.ingestion import ingest
from catseye.export.bundling import export
from catseye.export.golden import golden_inputs
from catseye.export.graph import HEAD_NAMES
from catseye.export.held_out import HeldOut, HeldOutFrames, read_held_out
from catseye.picture_files import read_rgb, write_rgb
from catseye.pretrain.checkpoint import CheckpointInfo, DepthInfo, save_checkpoint
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import Encoder
from catseye.runtime.bundle import Bundle
from catseye.runtime.engines.base import INPUT_NAME
from catseye.runtime.engines.load import load_engine
from catseye.runtime.manifest import Colour, Network

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
        for module in made.encoder.modules():
            # Residual branches begin as nothing, and a fault in them would show nowhere.
            if isinstance(module, torch.nn.BatchNorm2d) and not module.weight.any():
                module.weight.fill_(0.5)
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
        metrics={"map": 0.5, "best_score": 0.29},
    )
    save_checkpoint(run, info, detector)
    return run


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures to calibrate on, like those that the detector's statistics come from."""
    folder = tmp_path_factory.mktemp("pictures")
    frames = golden_inputs([], NETWORK, count=12, seed=2)[INPUT_NAME]
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


@pytest.fixture(scope="session")
def exported_nv12(run_folder: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same for planes, two frames a call."""
    return export(
        run_folder,
        tmp_path_factory.mktemp("exported-nv12") / "small.catseye",
        precisions=("fp32", "fp16", "int8"),
        calibration=[pictures],
        top_k=20,
        input="nv12",
        batch=2,
    )


@pytest.fixture(scope="session")
def with_heads(exported: Bundle) -> bytes:
    """The exported float32 graph with its dense heads as outputs again."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(exported.graph()))
    values = {value.name: value for value in model.graph.value_info}
    model.graph.output.extend(values[name] for name in HEAD_NAMES)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture(scope="session")
def held_out(exported: Bundle, road_world: Path, tmp_path_factory: pytest.TempPathFactory) -> HeldOut:
    """A rendered world with its truth, and labels that say what the exported network finds in its stills, so
    that this untrained network has an AP of 1 to lose."""
    folder = tmp_path_factory.mktemp("held-out")
    videos = sorted(road_world.glob("*.mp4"))
    dataset = ingest(videos, folder / "dataset", holdout=videos, width=WIDTH, height=HEIGHT, jobs=1)
    engine = load_engine(exported, threads=1)
    found, boxes = [], []
    for path in sorted((road_world / "images").glob("*.jpg")):
        rgb = read_rgb(path)
        assert rgb is not None
        box = letterbox(rgb.shape[1], rgb.shape[0], WIDTH, HEIGHT)
        output = engine.infer({INPUT_NAME: rgb_to_network(rgb, box)[None]})
        found.append(
            {"id": len(found), "file_name": path.name, "width": box.source_width, "height": box.source_height}
        )
        boxes.append((box.boxes_to_source(output.boxes[0]), output.scores[0], output.classes[0]))
    least = np.quantile([scores for _, scores, _ in boxes], 0.7)
    annotations = [
        {"image_id": number, "category_id": int(kind), "bbox": [*corners[:2], *(corners[2:] - corners[:2])]}
        for number, each in enumerate(boxes)
        for corners, score, kind in zip(*each, strict=True)
        if score >= least and (corners[2:] - corners[:2]).min() >= 1
    ]
    document = {
        "images": found,
        "annotations": [{**each, "id": number, "iscrowd": 0} for number, each in enumerate(annotations)],
        "categories": [{"id": 0, "name": "car"}, {"id": 1, "name": "truck"}],
    }
    labels = folder / "labels.json"
    labels.write_text(json.dumps(document, default=float))
    return HeldOut(labels=labels, images=road_world / "images", dataset=dataset.url, most_frames=96)


@pytest.fixture(scope="session")
def held_out_frames(held_out: HeldOut, exported: Bundle) -> HeldOutFrames:
    return read_held_out(held_out, exported.manifest)
