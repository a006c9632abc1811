"""The graph that runs on the vehicle: camera bytes in, detections and depth out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from catseye.pretrain.detector import Decoded, DenseOutputs, Detector, decode
from catseye.runtime.engines.base import OUTPUT_NAMES

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
    """Uint8 frames (N, H, W, 3) RGB to ``GraphOutputs``.

    The heads before TopK are there to be held to the trained network's; the exported file leaves them out.
    """

    def __init__(self, detector: Detector, *, top_k: int) -> None:
        super().__init__()
        self.prologue = Prologue()
        self.network = detector
        self.decode = Decode(top_k)

    def forward(self, frames: Tensor) -> GraphOutputs:
        dense: DenseOutputs = self.network(self.prologue(frames))
        decoded: Decoded = self.decode(dense)
        return GraphOutputs(*decoded, dense.score_logits, dense.boxes, dense.embeddings)


class Prologue(nn.Module):
    """Uint8 (N, H, W, 3) to float (N, 3, H, W) in [0, 1]; cast first, since TensorRT transposes no bytes."""

    def forward(self, frames: Tensor) -> Tensor:
        return frames.to(torch.float32).permute(0, 3, 1, 2) / 255


class Decode(nn.Module):
    """Dense outputs to the ``top_k`` best cells, as a module so that its nodes carry its name."""

    def __init__(self, top_k: int) -> None:
        super().__init__()
        self.top_k = top_k

    def forward(self, dense: DenseOutputs) -> Decoded:
        return decode(dense, self.top_k)
