"""Depth and ego-pose from photometric consistency between neighbouring frames.

Zhou et al., "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017; minimum over sources and
auto-masking from Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation", ICCV 2019; speed
supervision from Guizilini et al., "3D Packing for Self-Supervised Monocular Depth Estimation", CVPR 2020;
motion by direct alignment from Wang et al., "Learning Depth from Monocular Videos using Direct Methods", CVPR
2018; intrinsics from Gordon et al., "Depth from Videos in the Wild", ICCV 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catseye.pretrain.crops import intrinsics_within, picture_within
from catseye.pretrain.ego_motion import aligned_motion, speed_error
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.layers import conv_bn_relu
from catseye.pretrain.motion_mask import Compared, explained_share, motion_mask_loss, trust
from catseye.pretrain.photometric import Views, make_views, rigid_error, smoothness, synthesis_error
from catseye.pretrain.plane_sweep import hint_error, sweep
from catseye.pretrain.pose import (
    MotionAndLens,
    PoseNet,
    invert,
    lens_intrinsics,
)
from catseye.pretrain.standing import standing_error
from catseye.pretrain.tasks.task import Encoded, Task, TaskOutput

NEAREST = 1.0
"""Smallest canonical depth that can be expressed."""
FARTHEST = 200.0
"""Largest canonical depth that can be expressed."""

_WIDEST = (32, 64, 96, 128)
_STEEPEST = 3
_SMOOTHNESS = 1e-3
_SPEED = 0.1
_ALIGNMENT = 0.1
_MOVING = 0.05
_STANDING = 0.1
_HINT = 0.1
_NEAREST_PLANE = 3.0
_RARELY = -2.0
_HALVED = (1, 2, 3)
_SETTLED = 0.8
_RECENT = 0.02


def canonical_depth(inverse: Tensor) -> Tensor:
    """Canonical depth of an inverse canonical depth map, of the same shape; see ``DepthInfo``."""
    return inverse.reciprocal()


class DecodedDepth(NamedTuple):
    """What a ``DepthDecoder`` makes of maps at strides 4, 8, 16, 32.

    Args:
        inverses: inverse canonical depth (B, 1, h_i, w_i) at each stride, finest first, in [1/200, 1].
        finest: the features (B, W, h, w) at stride 4 that the finest was read from.
    """

    inverses: list[Tensor]
    finest: Tensor


class DepthDecoder(nn.Module):
    """Inverse canonical depth from an encoder's maps, coarse to fine with skip connections.

    Upsampling is nearest-neighbour and the blocks are Conv-BN-ReLU, so that the graph exports plainly. Each
    is half as wide as the map it reads, up to a bound, and up to three times the next finer block: above a
    small encoder it would cost more than that, and mobile ones end in maps of many channels.

    Args:
        channels: of the maps at strides 4, 8, 16, 32.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        widths: list[int] = []
        for most, count in zip(_WIDEST, channels, strict=True):
            widths.append(min(most, count // 2, *(_STEEPEST * finer for finer in widths[-1:])))
        self.width = widths[0]
        above = (*widths[1:], 0)
        self.blocks = nn.ModuleList(
            conv_bn_relu(skip + coarser, width)
            for skip, coarser, width in zip(channels, above, widths, strict=True)
        )
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 3, padding=1) for width in widths)

    def forward(self, features: list[Tensor]) -> DecodedDepth:
        """Decode maps (B, C_i, h_i, w_i).

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
        assert state is not None
        return DecodedDepth(inverses[::-1], state)


class Depth(Task):
    """Learns depth of a sequence's frames by synthesising each from two others.

    What moves by itself misleads that: a vehicle ahead at one's own speed looks infinitely far. A mask of
    what moves, foretold from the single frame, takes it out, and it gets the depth of the place it stands on;
    but only where the frame is understood, since before that much of the road seems to move.

    Comparing neighbouring pixels leads only to the nearest good depth; a sweep of planes tries them all, and
    hints at those that explain more.

    A network estimates the camera's motion, and aligning the pictures betters it: the network has only to
    come near enough, and to tell the distance where no speed does. That begins when most of what changes in
    the pictures is explained; until then the camera goes at a typical speed, since by depth that knows
    nothing it would soon stand still, and nothing would be learned any more. Where no calibration tells the
    intrinsics, NaN in the batch, they are learned too; driving straight on shows nothing of them, it takes
    turns.

    What follows the networks is float32: a pixel's position needs more digits than bfloat16 has.
    """

    explained: Tensor
    metred: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.decoder = DepthDecoder(encoder.channels)
        self.moving = nn.Conv2d(self.decoder.width, 1, 1)
        # Little moves: a mask of halves everywhere would have everything stand on the picture's border.
        self.moving.bias = nn.Parameter(torch.full((1,), _RARELY))
        self.pose = PoseNet()
        self.register_buffer("explained", torch.zeros(()))
        self.register_buffer("metred", torch.zeros((), dtype=torch.bool))

    def forward(self, encoded: Encoded) -> TaskOutput:
        batch, clean = encoded.batch, encoded.clean
        inverses, finest = self.decoder([maps.flatten(0, 1) for maps in encoded.features])
        moving = self.moving(finest).float()
        whole = encoded.whole
        # Not from a crop: what turns and what shifts a picture can be told apart by its margins.
        motion, lens = self._between(halved(whole, 1), batch.times_s)
        with torch.autocast(clean.device.type, enabled=False):
            learned = lens_intrinsics(lens.mean(dim=1), width=whole.shape[-1], height=whole.shape[-2])
            intrinsics = intrinsics_within(
                torch.where(batch.intrinsics.isnan(), learned, batch.intrinsics), encoded.clips.windows
            )
            picture = picture_within(batch.picture, encoded.clips.windows)
            small = halved(clean, 1)
            aligned = aligned_motion(
                motion,
                small,
                depth_of(inverses[0], small.shape[-2:], intrinsics.repeat_interleave(clean.shape[1], dim=0)),
                intrinsics,
                picture,
                times_s=batch.times_s,
                speed_mps=batch.speed_mps,
                settled=self.explained >= _SETTLED,
                metred=self.metred,
            )
            sizes = [views_of(halved(clean, n), aligned.transforms, intrinsics, picture) for n in _HALVED]
            # Each map at twice its own size: finer texture would tell it nothing but how to go astray.
            views = [sizes[min(level, len(sizes) - 1)] for level in range(len(inverses))]
            rigid = [
                rigid_error(depth_of(inverse, view.target.shape[-2:], view.intrinsics), view)
                for inverse, view in zip(inverses, views, strict=True)
            ]
            mask = motion_mask_loss(moving, rigid[0], views[0].unmoved)
            compared = Compared(moving.detach(), rigid[0].detach(), views[0].unmoved)
            explained = explained_share(compared)
            moves = compared.logits.sigmoid() * trust(explained)[:, None, None, None]
            errors = [
                synthesis_error(error, view, 1 - moves) for error, view in zip(rigid, views, strict=True)
            ]
            roughness = [
                smoothness(inverse, F.adaptive_avg_pool2d(view.target, inverse.shape[-2:]))
                for inverse, view in zip(inverses, views, strict=True)
            ]
            # In grey, which finds the same in a third of the time.
            grey = halved(clean, _HALVED[1]).mean(dim=2, keepdim=True)
            around = views_of(grey, aligned.transforms, intrinsics, picture, sources_of=others)
            hinted, hints = hinted_error(inverses[0], around)
            # A camera in a vehicle looks ahead: the horizon is near the height of its axis.
            horizon = (intrinsics[:, 3] * moving.shape[-2]).repeat_interleave(clean.shape[1])
            standing = standing_error(inverses[0], moves, horizon.detach())
            speed = speed_error(motion, batch.times_s, batch.speed_mps)
        encoded.compared.append(compared)
        photometric = torch.stack(errors).mean()
        loss = photometric + _SMOOTHNESS * torch.stack(roughness).mean()
        loss = loss + _SPEED * speed + _ALIGNMENT * aligned.shortfall + _MOVING * mask
        loss = loss + _STANDING * standing + _HINT * hinted
        metrics = {
            "photometric": photometric,
            "unmoved": torch.stack([view.unmoved.mean() for view in views]).mean(),
            "explained": explained.mean(),
            "speed_error": speed,
            "metred": batch.speed_mps.isfinite().float().mean(),
            "alignment": aligned.shortfall,
            "moving": mask,
            "standing": standing,
            "hinted": hinted,
            "hints": hints,
            "focal": intrinsics[:, 0].mean(),
        }
        return TaskOutput(loss, {name: figure.detach() for name, figure in metrics.items()})

    def after_step(self, encoder: Encoder, *, step: int, metrics: Mapping[str, float]) -> None:
        self.explained.lerp_(self.explained.new_tensor(metrics["explained"]), _RECENT)
        self.metred.fill_(bool(self.metred) or metrics["metred"] > 0)

    def steps(
        self,
        frames: Tensor,
        inverse: Tensor,
        intrinsics: Tensor,
        picture: Tensor | None = None,
        *,
        times_s: Tensor,
        speed_mps: Tensor,
    ) -> list[Tensor]:
        """T − 1 poses (B, 4, 4) of the camera at each later frame in that of the one before.

        Args:
            frames: (B, T, 3, h, w), clean, at half the size that the encoder saw.
            inverse: inverse canonical depth of the frames, (B · T, 1, h', w').
            intrinsics: (B, 4), normalised.
            picture: (B, 4), where frames have margins, see ``photometric.picture_bounds``.
            times_s, speed_mps: (B, T), the speed NaN where unknown.
        """
        aligned = aligned_motion(
            self._between(frames, times_s).motion,
            frames,
            depth_of(inverse, frames.shape[-2:], intrinsics.repeat_interleave(frames.shape[1], dim=0)),
            intrinsics,
            picture,
            times_s=times_s,
            speed_mps=speed_mps,
            settled=torch.ones_like(self.metred),
            metred=torch.ones_like(self.metred),
        )
        return aligned.transforms

    def _between(self, frames: Tensor, times_s: Tensor) -> MotionAndLens:
        """Motion (B, T − 1, 6) and lens (B, T − 1, 3) of each step."""
        pairs = (frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1), times_s.diff(dim=1).flatten())
        seen: MotionAndLens = self.pose(*pairs)
        return MotionAndLens(*(torch.unflatten(told, 0, (len(frames), -1)) for told in seen))


def halved(frames: Tensor, times: int) -> Tensor:
    """Frames (B, T, 3, H, W) at an area-averaged size of H / 2^times."""
    if times == 0:
        return frames
    return torch.unflatten(F.avg_pool2d(frames.flatten(0, 1), 2**times), 0, frames.shape[:2])


def depth_of(inverse: Tensor, size: Sequence[int], intrinsics: Tensor) -> Tensor:
    """Camera depth (N, 1, H, W) at another size, from inverse canonical depth (N, 1, h, w).

    The focal length takes no gradient from here: it would only say that depth has the wrong scale.
    """
    full = F.interpolate(inverse, size=tuple(size), mode="bilinear", align_corners=False)
    return canonical_depth(full) * intrinsics[:, :1, None, None].detach()


def hinted_error(inverse: Tensor, views: Views) -> tuple[Tensor, Tensor]:
    """How far depth is from what a sweep of planes hints at, and the part of the places that has a hint.

    Args:
        inverse: the finest inverse canonical depth (N, 1, h, w).
        views: at that size, which is all that the map can follow, from as many cameras as there are.
    """
    depth = depth_of(inverse, views.target.shape[-2:], views.intrinsics)
    focal = views.intrinsics[:, 0].detach()
    hint = sweep(views, depth.detach(), nearest=_NEAREST_PLANE * focal, farthest=FARTHEST * focal)
    return hint_error(depth, hint), hint.believed.float().mean()


def neighbours(count: int) -> list[tuple[int, ...]]:
    """Two frames to compare each of ``count`` ≥ 3 with.

    An inner frame has its neighbours. The first and the last have their one neighbour, in which what is near
    can still be recognised, and the frame farthest in time: by then what is far away has moved enough to tell
    its depth.
    """
    last = count - 1
    return [(1, last), *((k - 1, k + 1) for k in range(1, last)), (last - 1, 0)]


def others(count: int) -> list[tuple[int, ...]]:
    """All other frames of each of ``count``."""
    return [tuple(k for k in range(count) if k != frame) for frame in range(count)]


def views_of(
    frames: Tensor,
    steps: Sequence[Tensor],
    intrinsics: Tensor,
    picture: Tensor | None = None,
    *,
    sources_of: Callable[[int], list[tuple[int, ...]]] = neighbours,
) -> Views:
    """Every frame of (B, T, C, h, w) with others as sources, N = B · T.

    Args:
        frames: T ≥ 3.
        steps: T − 1 poses (B, 4, 4) of the camera at each later frame in that of the one before.
        picture: (B, 4), where frames have margins, see ``photometric.picture_bounds``.
        sources_of: which frames each of T is compared with, equally many for each.
    """
    cameras = [torch.eye(4, device=frames.device).expand(len(frames), 4, 4)]
    for step in steps:
        cameras.append(cameras[-1] @ step)
    back = [invert(camera) for camera in cameras]
    sources = list(zip(*sources_of(len(cameras)), strict=True))  # one after the other, each of all frames
    return make_views(
        frames.flatten(0, 1),
        torch.stack([frames[:, list(source)].flatten(0, 1) for source in sources]),
        torch.stack(
            [
                torch.stack([back[k] @ camera for k, camera in zip(source, cameras, strict=True)], 1).flatten(
                    0, 1
                )
                for source in sources
            ]
        ),
        intrinsics.repeat_interleave(frames.shape[1], dim=0),
        None if picture is None else picture.repeat_interleave(frames.shape[1], dim=0),
    )
