"""Dense contrast, to compare with: tell what a place shows in the next frame from all other places.

Wang et al., "Dense Contrastive Learning for Self-Supervised Visual Pre-Training", CVPR 2021, with the next
frame of the clip for the other view: a place's counterpart is the most alike by the encoder's own features
among those near it. Counterparts in other clips, and farther off in the same, are what it is told from.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catseye.pretrain.encoder import Encoder
from catseye.pretrain.tasks.future import correlation
from catseye.pretrain.tasks.task import Encoded, Task, TaskOutput

LEVEL = 2
"""Which of the encoder's maps is contrasted: stride 16."""

_WIDTH = 128
_REACH = 2
_TEMPERATURE = 0.2
_PLACES = 1024


class Dense(Task):
    """Contrasts the places of a batch's frames with those of the frames after them."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        channels = encoder.channels[LEVEL]
        self.project = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True), nn.Conv2d(channels, _WIDTH, 1)
        )

    def forward(self, encoded: Encoded) -> TaskOutput:
        maps = encoded.features[LEVEL]
        before, after = maps[:, :-1].flatten(0, 1), maps[:, 1:].flatten(0, 1)
        counterparts = nearest(before.detach(), after.detach(), reach=_REACH).flatten()
        queries, keys = (
            F.normalize(self.project(side).float(), dim=1).permute(0, 2, 3, 1).flatten(0, 2)
            for side in (before, after)
        )
        picked = torch.randperm(len(queries), device=queries.device)[:_PLACES]
        counterparts = counterparts[picked]
        # Not by indexing: its backward pass adds up what threads bring in any order.
        logits = queries[picked] @ keys.index_select(0, counterparts).T / _TEMPERATURE
        targets = torch.arange(len(picked), device=queries.device)
        # Several places may have one counterpart, which is no rival of itself.
        twins = (counterparts[:, None] == counterparts) & (targets[:, None] != targets)
        loss = F.cross_entropy(logits.masked_fill(twins, -torch.inf), targets)
        accuracy = (logits.argmax(dim=1) == targets).float().mean()
        return TaskOutput(loss, {"accuracy": accuracy.detach()})


def nearest(maps: Tensor, others: Tensor, *, reach: int) -> Tensor:
    """For each place of (N, C, h, w) the most alike within ``reach`` of it in ``others``.

    Returns:
        (N, h, w) int64, places counted over all of ``others``.
    """
    count, _, height, width = maps.shape
    best = correlation(maps, others, reach=reach).argmax(dim=1)
    side = 2 * reach + 1
    rows, columns = torch.meshgrid(
        torch.arange(height, device=maps.device), torch.arange(width, device=maps.device), indexing="ij"
    )
    # Beyond the border the correlation is 0, which may be the greatest.
    row = (rows + best // side - reach).clamp(0, height - 1)
    column = (columns + best % side - reach).clamp(0, width - 1)
    first = torch.arange(count, device=maps.device)[:, None, None] * height * width
    return first + row * width + column
