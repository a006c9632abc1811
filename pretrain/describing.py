"""What a detector's embedding says of boxes that are given, as a deployed bundle would of those it finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catseye.capture.geometry import Image, letterbox, rgb_to_network
from catseye.pretrain.appearance import cells_at, map_of_boxes, read_cells
from catseye.pretrain.detector import Detector
from catseye.pretrain.encoder import to_rgb


@torch.no_grad()
def describe(
    detector: Detector, rgb: Image, boxes: NDArray[np.floating], *, width: int, height: int
) -> NDArray[np.float32]:
    """Descriptors (N, E) of unit length of boxes (N, 4), each read in the middle of its box.

    Args:
        detector: in evaluation mode.
        rgb: picture (H, W, 3) uint8 of any size, in whose pixels the boxes are.
        width, height: network size in pixels.
    """
    box = letterbox(rgb.shape[1], rgb.shape[0], width, height)
    device = next(detector.parameters()).device
    frame = to_rgb(rgb_to_network(rgb, box)[None]).to(device)
    placed = torch.from_numpy(box.boxes_to_network(np.asarray(boxes, np.float32).reshape(-1, 4))).to(device)
    features = detector.encoder(frame)
    told = describe_in(detector, frame, features, placed)
    return np.asarray(told.cpu().numpy())


def describe_in(detector: Detector, frame: Tensor, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """The same (N, E) of boxes (N, 4) in pixels of a frame (1, 3, H, W) that the encoder has seen."""
    height, width = features[0].shape[-2:]
    cells = cells_at((boxes[:, :2] + boxes[:, 2:]) / 2, height=height, width=width)
    first = torch.zeros_like(cells)
    placed = map_of_boxes(boxes, first, cells, like=features[0])
    return read_cells(detector.embeddings_of(frame, features, placed), first, cells)
