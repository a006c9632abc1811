"""Frame order: which of the 12 orders of four shuffled frames is the one they were taken in.

The task of Lee et al., "Unsupervised Representation Learning by Sorting Sequences", ICCV 2017: a sequence and
its reverse are one class. Here the classifier has the problem's symmetry built in: frames are compared in
pairs, each pair is given a distance, and an order's logit is minus the length of its path. A permutation of
the frames permutes the logits, so nothing has to be learned about positions.
"""

from __future__ import annotations

from itertools import combinations, pairwise, permutations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catseye.pretrain.encoder import Encoder
from catseye.pretrain.layers import conv_bn_relu
from catseye.pretrain.tasks.task import Encoded, Task, TaskOutput

FRAMES = 4
LEVELS = slice(1, 3)
"""Which of the encoder's maps are compared: strides 8 and 16."""

PAIRS: tuple[tuple[int, int], ...] = tuple(combinations(range(FRAMES), 2))
PATHS: tuple[tuple[int, ...], ...] = tuple(p for p in permutations(range(FRAMES)) if p[0] < p[-1])
"""The 12 orders, each standing for itself and its reverse."""

_WIDTH = 64


class Order(Task):
    """Compares frames by their maps at strides 8 and 16, where what moved is still apart from the rest."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.reduce = nn.ModuleList(nn.Conv2d(c, _WIDTH, 1, bias=False) for c in encoder.channels[LEVELS])
        self.fine = conv_bn_relu(2 * _WIDTH, _WIDTH, stride=2)
        self.coarse = nn.Sequential(conv_bn_relu(3 * _WIDTH, _WIDTH), conv_bn_relu(_WIDTH, _WIDTH))
        self.distance = nn.Sequential(
            nn.Linear(2 * _WIDTH, _WIDTH), nn.ReLU(inplace=True), nn.Linear(_WIDTH, 1)
        )
        uses = torch.zeros(len(PATHS), len(PAIRS))
        for row, path in enumerate(PATHS):
            for step in pairwise(path):
                uses[row, PAIRS.index((min(step), max(step)))] = 1
        self.register_buffer("uses", uses, persistent=False)

    uses: Tensor

    def logits(self, features: list[Tensor]) -> Tensor:
        """(B, 12) logits of ``PATHS`` for maps (B, 4, C, h, w) at ``LEVELS`` of frames in any order."""
        fine, coarse = (
            torch.unflatten(F.instance_norm(reduce(maps.flatten(0, 1)).float()), 0, maps.shape[:2])
            for reduce, maps in zip(self.reduce, features, strict=True)
        )
        first, second = (list(side) for side in zip(*PAIRS, strict=True))
        detail = self.fine(_compare(fine, first, second))
        state = self.coarse(torch.cat((_compare(coarse, first, second), detail), dim=1))
        pooled = torch.cat((state.mean(dim=(2, 3)), state.amax(dim=(2, 3))), dim=1)
        distances = F.softplus(self.distance(pooled).float()).view(len(PAIRS), -1)
        return -(self.uses @ distances).T

    def forward(self, encoded: Encoded) -> TaskOutput:
        count = len(encoded.clean)
        shuffle = torch.rand(count, FRAMES, device=encoded.clean.device).argsort(dim=1)
        rows = torch.arange(count, device=shuffle.device)[:, None]
        logits = self.logits([maps[rows, shuffle] for maps in encoded.features[LEVELS]])
        truth = path_of(shuffle)
        accuracy = (logits.argmax(dim=1) == truth).float().mean()
        return TaskOutput(F.cross_entropy(logits, truth), {"accuracy": accuracy.detach()})


def path_of(shuffle: Tensor) -> Tensor:
    """The class (B,) that puts frames shuffled by (B, 4) back: an index into ``PATHS``."""
    order = shuffle.argsort(dim=1)
    order = torch.where(order[:, :1] < order[:, -1:], order, order.flip(1))
    paths = torch.tensor(PATHS, device=shuffle.device)
    return (order[:, None] == paths).all(dim=2).int().argmax(dim=1)


def _compare(maps: Tensor, first: list[int], second: list[int]) -> Tensor:
    """Both frames of every pair (pairs · B, 2C, h, w), in a form that does not tell which is which."""
    # Not by a list of indices: the backward pass of that adds up what threads bring in any order.
    frames = maps.unbind(1)
    a, b = (torch.cat([frames[index] for index in side]) for side in (first, second))
    return torch.cat(((a - b).abs(), a + b), dim=1)
