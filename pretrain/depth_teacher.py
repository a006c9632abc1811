"""Keeping depth while an encoder learns to detect: the pretrained network teaches its own successor."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catseye.pretrain.checkpoint import submodule_state
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.tasks.depth import DepthDecoder


class DepthTeacher(nn.Module):
    """A pretrained run's encoder and depth decoder, frozen, at the size they were trained at.

    Depth is canonical, in units that do not depend on the size of the picture, so that what is said of a
    small picture holds for a large one.

    Args:
        encoder: timm name.
        state: of the pretrained run.
        width, height: of its frames.
    """

    def __init__(self, encoder: str, state: Mapping[str, Tensor], *, width: int, height: int) -> None:
        super().__init__()
        self.size = (height, width)
        self.encoder = Encoder(encoder)
        self.encoder.load_state_dict(submodule_state(dict(state), "encoder"))
        self.decoder = DepthDecoder(self.encoder.channels)
        self.decoder.load_state_dict(decoder_state(state))
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, rgb: Tensor) -> Tensor:
        """Inverse canonical depth (B, 1, h, w) of pictures (B, 3, H, W) in [0, 1] of any size."""
        if rgb.shape[-2:] != self.size:
            rgb = F.interpolate(rgb, size=self.size, mode="area")
        finest: Tensor = self.decoder(self.encoder(rgb)).inverses[0]
        return finest.float()


def decoder_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the ``DepthDecoder`` in a pretrained run's state."""
    return submodule_state(dict(state), "depth.decoder")
