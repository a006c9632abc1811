"""What does not stand still in the world, told from a single frame.

A vehicle ahead at about one's own speed stays where it is in the picture while the road beneath it streams
past. So where a frame's neighbours as they are explain it better than a rigid world seen from a moving camera
does, something moves along: most often a vehicle. That comparison needs several frames and says little where
there is no texture; a network that has to foretell it from one frame learns what such things look like. (The
comparison is the auto-mask of Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV
2019.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_MARGIN = 0.03
_SOFTNESS = 0.02
_LEAST_SEEN = 0.6
_MOST_GAIN = 0.2
_BLUR = 5
_MOST_LOGIT = 4.6
_PRIOR = 0.02
_VISIBLE = 0.1
_LEAST_CHANGED = 0.01
_BELIEVED = (0.8, 0.9)


def motion_mask_loss(logits: Tensor, rigid: Tensor, unmoved: Tensor) -> Tensor:
    """Weighted binary cross-entropy (scalar) between logits of moving along and what the frames say.

    Each place weighs as much as the two explanations differ beyond a margin. Where both hold, in the sky or
    on bare tarmac, a slight pull towards standing still is all there is.

    Args:
        logits: (N, 1, h, w), with a gradient.
        rigid: (N, 1, H, W) dissimilarity through depth and camera motion, infinite where no source sees the
            place; see ``photometric.rigid_error``. H and W are multiples of h and w.
        unmoved: (N, 1, H, W) dissimilarity of the sources as they are.
    """
    cell = rigid.shape[-1] // logits.shape[-1]
    seen = rigid.isfinite()
    share = F.avg_pool2d(seen.float(), cell)
    gain = torch.where(seen, rigid - unmoved, torch.zeros_like(rigid)).detach()
    gain = F.avg_pool2d(gain, cell) / share.clamp(min=_LEAST_SEEN)
    weight = (gain.abs() - _MARGIN).clamp(min=0) * (share >= _LEAST_SEEN)
    error = F.binary_cross_entropy_with_logits(logits, torch.sigmoid(gain / _SOFTNESS), reduction="none")
    told = (error * weight).sum() / weight.sum().clamp(min=1e-6)
    return told + _PRIOR * F.softplus(logits).mean()


class Compared(NamedTuple):
    """What was foretold of N frames and what their neighbours say, without gradients; see
    ``motion_mask_loss``."""

    logits: Tensor
    rigid: Tensor
    unmoved: Tensor


def explained_share(compared: Compared) -> Tensor:
    """Which part (N,) of what visibly changes in a frame a rigid world explains better than standing still.

    Near 1 depth and motion can be believed, and with them what the rest of the frame is taken for. A frame in
    which next to nothing changes has 0.
    """
    changes = (compared.unmoved > _VISIBLE) & compared.rigid.isfinite()
    explained = changes & (compared.rigid < compared.unmoved)
    enough = changes.flatten(1).float().mean(dim=1) >= _LEAST_CHANGED
    return explained.flatten(1).sum(dim=1) / changes.flatten(1).sum(dim=1).clamp(min=1) * enough


def trust(explained: Tensor) -> Tensor:
    """How far the masks of N frames can be believed, (N,) in [0, 1], by their ``explained_share`` (N,)."""
    least, full = _BELIEVED
    return ((explained - least) / (full - least)).clamp(0, 1)


def moving_probability(logits: Tensor, rigid: Tensor, unmoved: Tensor) -> Tensor:
    """Probability (N, 1, H, W) of moving along: the frame's own word and its neighbours', as if they
    were independent, so that their log-odds add up.

    Args:
        logits, rigid, unmoved: as for ``motion_mask_loss``.
    """
    gain = torch.where(rigid.isfinite(), rigid - unmoved, torch.zeros_like(rigid))
    gain = gain.clamp(-_MOST_GAIN, _MOST_GAIN)
    gain = F.avg_pool2d(gain, _BLUR, stride=1, padding=_BLUR // 2, count_include_pad=False)
    foretold = F.interpolate(logits, size=gain.shape[-2:], mode="bilinear", align_corners=False)
    return torch.sigmoid(foretold.clamp(-_MOST_LOGIT, _MOST_LOGIT) + gain / _SOFTNESS)
