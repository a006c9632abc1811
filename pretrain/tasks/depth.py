"""Depth and ego-pose from photometric consistency between neighbouring frames.

Zhou et al., "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017; minimum over sources and
auto-masking from Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019; speed
supervision from Guizilini et al., "3D Packing for Self-Supervised Monocular Depth Estimation", CVPR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catseye.pretrain.encoder import Encoder
from catseye.pretrain.layers import conv_bn_relu
from catseye.pretrain.photometric import Views, make_views, smoothness, synthesis_error
from catseye.pretrain.pose import PoseNet, invert, rigid_transform
from catseye.pretrain.tasks.task import Encoded, Task, TaskOutput

NEAREST = 1.0
"""Smallest canonical depth that can be expressed."""
FARTHEST = 200.0
"""Largest canonical depth that can be expressed."""

SHRINK = 2
"""How many times smaller the frames are that are synthesised, and that motion is estimated from."""

_WIDTHS = (32, 64, 96, 128)
_SMOOTHNESS = 1e-3
_SPEED = 0.1


def canonical_depth(inverse: Tensor) -> Tensor:
    """Canonical depth of an inverse canonical depth map, of the same shape; see ``DepthInfo``."""
    return inverse.reciprocal()


class DepthDecoder(nn.Module):
    """Inverse canonical depth from an encoder's maps, coarse to fine with skip connections.

    Upsampling is nearest-neighbour and the blocks are Conv-BN-ReLU, so that the graph exports plainly.

    Args:
        channels: of the maps at strides 4, 8, 16, 32.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        above = (*_WIDTHS[1:], 0)
        self.blocks = nn.ModuleList(
            conv_bn_relu(skip + coarser, width)
            for skip, coarser, width in zip(channels, above, _WIDTHS, strict=True)
        )
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 3, padding=1) for width in _WIDTHS)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Decode maps (B, C_i, h_i, w_i) into (B, 1, h_i, w_i) each, finest first, in [1/200, 1].

        The logarithm of the output is linear in a sigmoid: depth has a scale, not an origin, and an untrained
        decoder starts at the geometric mean of the range, 14, where the gradient is largest.
        """
        inverses: list[Tensor] = []
        state: Tensor | None = None
        for skip, block, head in zip(
            reversed(features), reversed(list(self.blocks)), reversed(list(self.heads)), strict=True
        ):
            if state is None:
                joined = skip
            else:
                joined = torch.cat((skip, F.interpolate(state, scale_factor=2.0, mode="nearest")), dim=1)
            state = block(joined)
            inverses.append(torch.exp(-math.log(FARTHEST) * torch.sigmoid(head(state).float())))
        return inverses[::-1]


class Depth(Task):
    """Learns depth of a sequence's inner frames by synthesising them from the frames beside them.

    What follows the networks is float32: a pixel's position needs more digits than bfloat16 has.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.decoder = DepthDecoder(encoder.channels)
        self.pose = PoseNet()

    def forward(self, encoded: Encoded) -> TaskOutput:
        inverses = self.decoder([maps[:, 1:-1].flatten(0, 1) for maps in encoded.features])
        frames = torch.unflatten(
            F.avg_pool2d(encoded.clean.flatten(0, 1), SHRINK), 0, encoded.clean.shape[:2]
        )
        motion = self.motion(frames, encoded.batch.times_s)
        with torch.autocast(frames.device.type, enabled=False):
            views = views_of_inner(frames, motion.float(), encoded.batch.intrinsics)
            focal = views.intrinsics[:, :1, None, None]
            errors, roughness = [], []
            for inverse in inverses:
                full = F.interpolate(inverse, size=frames.shape[-2:], mode="bilinear", align_corners=False)
                errors.append(synthesis_error(canonical_depth(full) * focal, views))
                small = F.adaptive_avg_pool2d(views.target, (inverse.shape[-2], inverse.shape[-1]))
                roughness.append(smoothness(inverse, small))
            speed = speed_error(motion.float(), encoded.batch.times_s, encoded.batch.speed_mps)
        photometric = torch.stack(errors).mean()
        loss = photometric + _SMOOTHNESS * torch.stack(roughness).mean() + _SPEED * speed
        metrics = {"photometric": photometric, "unmoved": views.unmoved.mean(), "speed_error": speed}
        return TaskOutput(loss, {name: figure.detach() for name, figure in metrics.items()})

    def motion(self, frames: Tensor, times_s: Tensor) -> Tensor:
        """Pose (B, T − 1, 6) of the camera at each later frame in that of the one before.

        Args:
            frames: (B, T, 3, h, w), clean.
        """
        pairs = (frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1), times_s.diff(dim=1).flatten())
        motion: Tensor = self.pose(*pairs)
        return torch.unflatten(motion, 0, (len(frames), -1))


def views_of_inner(frames: Tensor, motion: Tensor, intrinsics: Tensor) -> Views:
    """Every inner frame of (B, T, 3, h, w) with its two neighbours as sources, N = B · (T − 2)."""
    inner = frames.shape[1] - 2
    to_earlier = torch.unflatten(rigid_transform(motion.flatten(0, 1)), 0, motion.shape[:2])
    to_later = torch.unflatten(invert(to_earlier.flatten(0, 1)), 0, motion.shape[:2])
    return make_views(
        frames[:, 1:-1].flatten(0, 1),
        torch.stack((frames[:, :-2].flatten(0, 1), frames[:, 2:].flatten(0, 1))),
        torch.stack((to_earlier[:, :-1].flatten(0, 1), to_later[:, 1:].flatten(0, 1))),
        intrinsics.repeat_interleave(inner, dim=0),
    )


def speed_error(motion: Tensor, times_s: Tensor, speed_mps: Tensor) -> Tensor:
    """Mean |‖t‖ − v·Δt| in metres over the steps whose speed is known; 0 where none is.

    Args:
        motion: (B, T − 1, 6).
        times_s, speed_mps: (B, T).
    """
    travelled = (speed_mps[:, 1:] + speed_mps[:, :-1]) / 2 * times_s.diff(dim=1)
    known = travelled.isfinite()
    # The small constant keeps the gradient of the norm finite at zero.
    length = (motion[..., 3:].square().sum(dim=-1) + 1e-8).sqrt()
    error = torch.where(known, (length - travelled.nan_to_num()).abs(), torch.zeros_like(length))
    return error.sum() / known.sum().clamp(min=1)
