"""The image encoder: one timm network, frame by frame, shared by every task and by the deployed graph."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

from catseye.capture.geometry import Image
from catseye.errors import UsageError
from catseye.pretrain.depthwise import quicken_depthwise

STRIDES = (4, 8, 16, 32)
"""Strides of the feature maps that every decoder builds on."""

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class Encoder(nn.Module):
    """Feature maps of one frame at ``STRIDES``.

    Args:
        name: a timm model that ``features_only`` supports, with maps at strides 4, 8, 16 and 32.

    Raises:
        UsageError: timm knows no such model, or it lacks one of those strides.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str = "resnet18") -> None:
        super().__init__()
        self.name = name
        try:
            reductions = list(_features(name).feature_info.reduction())
            indices = [reductions.index(stride) for stride in STRIDES]
            self.body = _features(name, out_indices=indices)
        except (RuntimeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"encoder {name!r} cannot be used ({error}); "
                "name a timm network with maps at strides 4, 8, 16, 32"
            ) from None
        quicken_depthwise(self.body)
        self.channels: tuple[int, ...] = tuple(self.body.feature_info.channels())
        # Normalisation lives with the weights, so that no caller can give the network another one.
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, rgb: Tensor) -> list[Tensor]:
        """Encode (B, 3, H, W) float RGB in [0, 1] into maps (B, C_i, H / stride_i, W / stride_i).

        H and W are multiples of 32.
        """
        maps: list[Tensor] = self.body((rgb - self.mean) / self.std)
        return maps


def to_rgb(pictures: Image) -> Tensor:
    """Pictures (N, H, W, 3) uint8 as an encoder takes them: (N, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def _features(name: str, **options: Any) -> Any:
    return timm.create_model(name, features_only=True, pretrained=False, **options)
