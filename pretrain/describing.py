"""What a detector's embedding says of boxes that are given, as a deployed bundle would of those it finds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from catseye.capture.geometry import Image, letterbox, rgb_to_network
from catseye.pretrain.appearance import cells_at, read_cells
from catseye.pretrain.detector import Detector


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
    device = next(detector.parameters()).device
    box = letterbox(rgb.shape[1], rgb.shape[0], width, height)
    frame = torch.from_numpy(rgb_to_network(rgb, box)).to(device)
    maps = detector(frame.permute(2, 0, 1)[None].float() / 255).embeddings
    placed = box.boxes_to_network(np.asarray(boxes, np.float32).reshape(-1, 4))
    middles = torch.from_numpy((placed[:, :2] + placed[:, 2:]) / 2).to(device)
    cells = cells_at(middles, height=maps.shape[2], width=maps.shape[3])
    return np.asarray(read_cells(maps, torch.zeros_like(cells), cells).cpu().numpy())
