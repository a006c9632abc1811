"""Depth that a pretraining run predicts, at the places of the true depth."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from catseye.capture.geometry import Image, Letterbox, letterbox
from catseye.capture.manifest import Clip
from catseye.pretrain.clip_sampler import network_intrinsics
from catseye.pretrain.depth_metrics import DepthPair
from catseye.pretrain.encoder import to_rgb
from catseye.pretrain.model import PretextModel
from catseye.pretrain.tasks.depth import Depth, canonical_depth
from catseye.pretrain.training import autocast_type


class FrameTruth(Protocol):
    """What is true of T frames of a source.

    Its ``pts`` (T,) rise; ``depth`` (T, h, w) is in metres, each map a whole picture; ``poses`` (T, 4, 4) are
    camera-to-world in metres with the camera's axes as OpenCV's.
    """

    @property
    def pts(self) -> NDArray[np.int64]: ...

    @property
    def depth(self) -> NDArray[Any]: ...

    @property
    def poses(self) -> NDArray[np.float64]: ...


def rows_of(truth: FrameTruth, pts: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Where the truth has the frames with these pts; None unless it has all."""
    rows = np.searchsorted(truth.pts, pts).astype(np.int64)
    known = rows < len(truth.pts)
    return rows if known.all() and (truth.pts[rows] == pts).all() else None


@torch.no_grad()
def depth_pairs(
    network: PretextModel, picture: Image, clip: Clip, index: int, truth: FrameTruth
) -> list[DepthPair]:
    """Predicted camera depth at the places of the true map; nothing where the truth has not that frame.

    Args:
        network: in evaluation mode, with the depth task.
        picture: (H, W, 3), frame ``index`` of the clip at the network's size.
    """
    rows = rows_of(truth, clip.pts[index : index + 1])
    if rows is None:
        return []
    task = network.task("depth")
    assert isinstance(task, Depth)
    with fast():
        inverse = task.decoder(network.encode(to_rgb(picture[None]))).inverses[0][0, 0]
    height, width = picture.shape[:2]
    focal = network_intrinsics(clip, width=width, height=height)[0]
    depth = (canonical_depth(inverse) * focal).float().numpy()
    true = np.asarray(truth.depth[rows[0]], dtype=np.float32)
    box = letterbox(clip.width, clip.height, width, height)
    return [at_true_places(depth, true, box)]


def at_true_places(depth: NDArray[np.float32], true: NDArray[np.float32], box: Letterbox) -> DepthPair:
    """A map of depth (h, w) of a network frame, read where a map of a whole picture has its truth.

    Between two places the inverse is what a network learns: halfway to what is endlessly far it is twice as
    far away, and not half of endless.
    """
    x = ((np.arange(true.shape[1]) + 0.5) / true.shape[1] * box.scaled_width + box.left) / box.width
    y = ((np.arange(true.shape[0]) + 0.5) / true.shape[0] * box.scaled_height + box.top) / box.height
    columns, lines = np.meshgrid(x * depth.shape[1] - 0.5, y * depth.shape[0] - 0.5)
    at_truth = cv2.remap(
        1 / depth,
        columns.astype(np.float32),
        lines.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return DepthPair(np.asarray(1 / at_truth, dtype=np.float32), true)


def fast() -> torch.autocast:
    """bfloat16 where the processor multiplies it."""
    kind = autocast_type("auto", torch.device("cpu"))
    return torch.autocast("cpu", dtype=kind or torch.bfloat16, enabled=kind is not None)
