"""Future pixels: the picture that foreseen features stand for, beside the task ``future``.

One decoder paints what changes: it is shown the features that ``future`` foresees and those of the last frame
seen, and the difference of its two answers is added to the last frame. So features that say what the last
frame's said are copy-last-frame, the rival that ``skill`` is measured against. Pictures are clean frames at
a quarter of the size; the loss, of SSIM and L1, is that of depth's photometric error.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catseye.pretrain.encoder import Encoder
from catseye.pretrain.layers import conv_bn_relu
from catseye.pretrain.photometric import dissimilarity
from catseye.pretrain.tasks.future import CONTEXT, LEVELS
from catseye.pretrain.tasks.task import Encoded, Task, TaskOutput

SHRINK = 4
"""Pixels of a frame, both ways, to one of the pictures painted."""

_WIDTH = 64


class Painter(nn.Module):
    """Pictures of features, up to what two pictures have in common.

    Args:
        fine, coarse: channels of the maps at strides 8 and 16.
    """

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList((nn.Conv2d(fine, _WIDTH, 1), nn.Conv2d(coarse, _WIDTH, 1)))
        self.join = nn.Sequential(conv_bn_relu(2 * _WIDTH, _WIDTH), conv_bn_relu(_WIDTH, _WIDTH))
        self.paint = nn.Conv2d(_WIDTH, 3 * 4, 1, bias=False)
        nn.init.zeros_(self.paint.weight)  # an untrained painter adds nothing, rather than noise

    def forward(self, maps: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """Picture (N, 3, 2h, 2w) of maps (N, C, h, w) and (N, C', h / 2, w / 2) minus that of others."""
        # Both at once, so that batch normalisation treats them alike and like maps differ by nothing.
        both = [torch.cat(pair) for pair in zip(maps, others, strict=True)]
        detail, context = (reduce(pair) for reduce, pair in zip(self.reduce, both, strict=True))
        context = F.interpolate(context, size=detail.shape[-2:], mode="nearest")
        one, other = self.join(torch.cat((detail, context), dim=1)).chunk(2)
        return F.pixel_shuffle(self.paint(one - other).float(), 2)


class Pixels(Task):
    """Paints every frame that ``future`` foresees, from what that foresees of it."""

    builds_on = "future"

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.painter = Painter(*encoder.channels[LEVELS])

    def pictures(self, last: list[Tensor], coming: list[Tensor], shown: Tensor) -> Tensor:
        """Pictures (B, n, 3, h, w) of n frames to come.

        Args:
            last, coming: see ``Foreseen``.
            shown: the last frame seen, (B, 3, h, w) in [0, 1].
        """
        count = coming[0].shape[1]
        before = [maps.repeat_interleave(count, dim=0) for maps in last]
        change = self.painter([maps.flatten(0, 1) for maps in coming], before)
        return shown[:, None] + torch.unflatten(change, 0, (-1, count))

    def forward(self, encoded: Encoded) -> TaskOutput:
        ((last, coming),) = encoded.foreseen
        frames = shrunk(encoded.clean[:, CONTEXT - 1 :])
        shown, truth = frames[:, 0], frames[:, 1:].flatten(0, 1)
        painted = self.pictures(last, coming, shown).flatten(0, 1)
        with torch.autocast(painted.device.type, enabled=False):
            loss = dissimilarity(painted, truth).mean()
        copied = (frames[:, :1] - frames[:, 1:]).abs().mean()
        skill = 1 - (painted - truth).abs().mean() / copied.clamp(min=1e-6)
        return TaskOutput(loss, {"skill": skill.detach()})


def shrunk(frames: Tensor) -> Tensor:
    """Frames (B, T, 3, H, W) as they are painted, (B, T, 3, H / 4, W / 4)."""
    return torch.unflatten(F.avg_pool2d(frames.flatten(0, 1), SHRINK), 0, frames.shape[:2])
