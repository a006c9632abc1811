"""The graph that runs on the vehicle: camera bytes in, detections and depth out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catseye.capture.geometry import rgb_from_yuv
from catseye.pretrain.detector import Decoded, DenseOutputs, Detector, decode
from catseye.runtime.engines.base import OUTPUT_NAMES
from catseye.runtime.manifest import Colour

HEAD_NAMES = ("score_logits", "dense_boxes", "dense_embeddings")
"""Names of the outputs before TopK; depth, the fourth head, leaves the graph as it is."""


class GraphOutputs(NamedTuple):
    """What ``DeployedGraph`` returns: the engine's outputs as in ``OUTPUT_NAMES``, then ``HEAD_NAMES``."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    embeddings: Tensor
    depth: Tensor
    score_logits: Tensor
    dense_boxes: Tensor
    dense_embeddings: Tensor


assert GraphOutputs._fields == OUTPUT_NAMES + HEAD_NAMES


class DeployedGraph(nn.Module):
    """Uint8 frames to ``GraphOutputs``: RGB (N, H, W, 3), or NV12 planes where they have a ``colour``.

    The heads before TopK are there to be held to the trained network's; the exported file leaves them out.
    """

    def __init__(self, detector: Detector, *, top_k: int, colour: Colour | None = None) -> None:
        super().__init__()
        self.prologue = RgbPrologue() if colour is None else Nv12Prologue(colour)
        self.network = detector
        self.decode = Decode(top_k)

    def forward(self, *inputs: Tensor) -> GraphOutputs:
        dense: DenseOutputs = self.network(self.prologue(*inputs))
        decoded: Decoded = self.decode(dense)
        return GraphOutputs(*decoded, dense.score_logits, dense.boxes, dense.embeddings)


class RgbPrologue(nn.Module):
    """Uint8 (N, H, W, 3) to float (N, 3, H, W) in [0, 1]; cast first, since TensorRT transposes no bytes."""

    def forward(self, frames: Tensor) -> Tensor:
        return frames.to(torch.float32).permute(0, 3, 1, 2) / 255


class Nv12Prologue(nn.Module):
    """Uint8 luma (N, H, W) and chroma (N, H/2, W/2, 2) to float RGB (N, 3, H, W) in [0, 1].

    As ``geometry.planes_to_rgb`` does it, without rounding: chroma is doubled bilinearly, then one matrix.
    """

    def __init__(self, colour: Colour) -> None:
        super().__init__()
        matrix = torch.from_numpy(rgb_from_yuv(colour.matrix, full_range=colour.full_range)).float() / 255
        self.register_buffer("weight", matrix[:, :3, None, None])
        self.register_buffer("bias", matrix[:, 3])

    def forward(self, luma: Tensor, chroma: Tensor) -> Tensor:
        halves = chroma.to(torch.float32).permute(0, 3, 1, 2)
        doubled = F.interpolate(halves, scale_factor=2, mode="bilinear", align_corners=False)
        yuv = torch.cat([luma.to(torch.float32).unsqueeze(1), doubled], dim=1)
        return F.conv2d(yuv, self.get_buffer("weight"), self.get_buffer("bias")).clamp(0, 1)


class Decode(nn.Module):
    """Dense outputs to the ``top_k`` best cells, as a module so that its nodes carry its name."""

    def __init__(self, top_k: int) -> None:
        super().__init__()
        self.top_k = top_k

    def forward(self, dense: DenseOutputs) -> Decoded:
        return decode(dense, self.top_k)
