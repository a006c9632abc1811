"""Pictures of what a depth network sees."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.picture_files import write_rgb
from catseye.pretrain.clip_sampler import ClipSamples
from catseye.pretrain.model import PretextModel
from catseye.pretrain.tasks.depth import Depth, canonical_depth

_PICTURES = 4


def depth_picture(frame: Image, depth: NDArray[np.float32]) -> Image:
    """A frame (H, W, 3) beside its depth (h, w), near bright and far dark, (H, 2W, 3)."""
    nearness = -np.log(np.clip(depth, 1e-3, None))
    low, high = np.percentile(nearness, (1, 99))
    levels = np.clip((nearness - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
    levels = cv2.resize(levels, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_LINEAR)
    coloured = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return np.asarray(np.hstack((frame, coloured)), dtype=np.uint8)


@torch.no_grad()
def save_depth_pictures(network: PretextModel, samples: ClipSamples, folder: Path) -> None:
    """Write ``depth-0.png`` … of frames spread over the clips. Leaves the network in evaluation mode."""
    network.eval()
    device = next(network.parameters()).device
    task = network.task("depth")
    assert isinstance(task, Depth)
    for number in range(_PICTURES):
        frame = samples[number].frames[:1].to(device)
        maps = network.encode(frame.permute(0, 3, 1, 2).float() / 255)
        depth = canonical_depth(task.decoder(maps).inverses[0])[0, 0].cpu().numpy()
        write_rgb(folder / f"depth-{number}.png", depth_picture(frame[0].cpu().numpy(), depth))
