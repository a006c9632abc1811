"""Detecting in single pictures with torch, as a deployed bundle would, and measuring it against labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from catseye.capture.geometry import Image, Letterbox, letterbox, rgb_to_network
from catseye.pretrain.detection_metrics import Detections, Truth, average_precision
from catseye.pretrain.detector import DenseOutputs, Detector, decode
from catseye.pretrain.labels import Labels
from catseye.pretrain.stills import read_picture
from catseye.progress import Progress, silent


@torch.no_grad()
def dense_outputs(
    detector: Detector, rgb: Image, *, width: int, height: int
) -> tuple[Letterbox, DenseOutputs]:
    """What a detector says of every cell of a picture (H, W, 3) uint8, and how that lies in the network's."""
    box = letterbox(rgb.shape[1], rgb.shape[0], width, height)
    frame = torch.from_numpy(rgb_to_network(rgb, box)).to(next(detector.parameters()).device)
    dense: DenseOutputs = detector(frame.permute(2, 0, 1)[None].float() / 255)
    return box, dense


@torch.no_grad()
def predict(detector: Detector, rgb: Image, *, width: int, height: int, top_k: int = 100) -> Detections:
    """Detect in an RGB picture (H, W, 3) uint8 of any size.

    Args:
        detector: in evaluation mode.
        width, height: network size in pixels.
        top_k: most detections.

    Returns:
        Boxes in the picture's own pixels, best score first, not thresholded.
    """
    box, dense = dense_outputs(detector, rgb, width=width, height=height)
    decoded = decode(dense, top_k)
    return Detections(
        boxes=box.boxes_to_source(decoded.boxes[0].cpu().numpy()),
        scores=decoded.scores[0].cpu().numpy(),
        classes=decoded.classes[0].cpu().numpy(),
    )


def predict_labelled(
    detector: Detector, labels: Labels, folder: Path, *, width: int, height: int, progress: Progress = silent
) -> list[Detections]:
    """Detect in every labelled picture.

    Raises:
        InputError: a picture is absent or does not fit its labels.
    """
    found = []
    for label, path in zip(labels.images, labels.pictures(folder), strict=True):
        found.append(predict(detector, read_picture(path, label), width=width, height=height))
        progress("evaluate", len(found), len(labels.images))
    return found


def measure(found: list[Detections], labels: Labels) -> dict[str, float]:
    """Average precision at the labels' own scale, see ``average_precision``."""
    truths = [Truth(label.boxes, label.classes, np.asarray(label.crowd)) for label in labels.images]
    return average_precision(found, truths)
