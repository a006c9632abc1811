"""What a detector's embedding says of boxes that are given, as a deployed bundle would of those it finds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.pretrain.appearance import cells_at, read_cells
from catseye.pretrain.detector import Detector
from catseye.pretrain.prediction import dense_outputs


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
    box, dense = dense_outputs(detector, rgb, width=width, height=height)
    maps = dense.embeddings
    placed = box.boxes_to_network(np.asarray(boxes, np.float32).reshape(-1, 4))
    middles = torch.from_numpy((placed[:, :2] + placed[:, 2:]) / 2).to(maps.device)
    cells = cells_at(middles, height=maps.shape[2], width=maps.shape[3])
    return np.asarray(read_cells(maps, torch.zeros_like(cells), cells).cpu().numpy())
