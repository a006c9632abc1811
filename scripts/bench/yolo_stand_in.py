"""A YOLO11n that nobody has taught, as Ultralytics exports it: for speed, where its real weights are not.

    python scripts/bench/yolo_stand_in.py VIDEO OUT.onnx

Needs an environment with ``ultralytics``. Its weights are drawn at random, its batch normalisation has
measured frames of VIDEO, and its scores are spread so that it finds a few "cars" a frame from 0.25 on, and
nothing else: whoever runs it has as much to decode, to suppress and to track as in traffic.
"""

from __future__ import annotations

import shutil
import sys
from itertools import islice
from pathlib import Path

import av
import cv2
import torch
from ultralytics import YOLO

SIZE, FRAMES, CAR = 640, 16, 2
FOUND = 20
"""Of the candidates of a frame, how many lie above a score of 0.25, before overlapping ones are dropped."""
LOGIT, SPREAD = -1.1, 0.5
"""Of a score of 0.25, and of one standard deviation of the scores."""


def frames_of(video: str) -> torch.Tensor:
    """(F, 3, SIZE, SIZE) float32 in [0, 1]: every tenth frame, scaled without its aspect."""
    with av.open(video) as container:
        pictures = [
            f.to_ndarray(format="rgb24") for f in islice(container.decode(video=0), 0, 10 * FRAMES, 10)
        ]
    scaled = [cv2.resize(picture, (SIZE, SIZE)) for picture in pictures]
    return torch.stack([torch.from_numpy(picture) for picture in scaled]).permute(0, 3, 1, 2) / 255


def main(video: str, out: str) -> None:
    torch.manual_seed(0)
    model = YOLO("yolo11n.yaml")
    network, frames = model.model, frames_of(video)
    layers = [branch[-1] for branch in network.model[-1].cv3]
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        network.train()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the mean over all that it sees
        for frame in frames:
            network(frame[None])
        for layer in layers:
            layer.bias.zero_()
            layer.register_forward_hook(lambda _, __, output: seen.append(output[:, CAR].flatten()))
        network.eval()
        for frame in frames:
            network(frame[None])
        logits = torch.cat(seen).reshape(-1)
        gain = SPREAD / logits.std()
        highest = (logits * gain).topk(FOUND * FRAMES).values[-1]
        for layer in layers:
            layer.weight.mul_(gain)
            layer.bias.fill_(-20)
            layer.bias[CAR] = LOGIT - highest
            layer._forward_hooks.clear()
    shutil.move(model.export(format="onnx", imgsz=SIZE), out)


if __name__ == "__main__":
    main(str(Path(sys.argv[1])), sys.argv[2])
