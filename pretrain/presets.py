"""Encoder and detector sized together, under names that stand for what a vehicle's computer can afford.

Neck, head and depth work at stride 4, where a small encoder has done little: at one width for all, they would
cost several times what the small encoder does. So a preset names their width as well as the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from catseye.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What is chosen together.

    Args:
        encoder: timm name; convolutions, batch normalisation and ReLU only.
        dataset_size, detector_size: (width, height) in pixels, multiples of 32.
        neck_channels: width of neck and head.
    """

    encoder: str
    dataset_size: tuple[int, int]
    detector_size: tuple[int, int]
    neck_channels: int

    @property
    def ingesting(self) -> dict[str, Any]:
        """Options of ``ingest``."""
        width, height = self.dataset_size
        return {"width": width, "height": height}

    @property
    def pretraining(self) -> dict[str, Any]:
        """Options of ``PretrainConfig``."""
        return {"encoder": self.encoder}

    @property
    def finetuning(self) -> dict[str, Any]:
        """Options of ``FinetuneConfig``."""
        width, height = self.detector_size
        return {
            "encoder": self.encoder,
            "width": width,
            "height": height,
            "neck_channels": self.neck_channels,
        }


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "nano": Preset(
            encoder="mobilenetv4_conv_small_050",
            dataset_size=(320, 192),
            detector_size=(448, 256),
            neck_channels=32,
        ),
        "small": Preset(
            encoder="resnet10t",
            dataset_size=(320, 192),
            detector_size=(448, 256),
            neck_channels=48,
        ),
        "base": Preset(
            encoder="resnet18",
            dataset_size=(448, 256),
            detector_size=(448, 256),
            neck_channels=64,
        ),
    }
)


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in PRESETS:
        raise UsageError(f"preset {name!r}: choose {', '.join(PRESETS)}")
    return PRESETS[name]


def neck_channels_of(encoder: str) -> int:
    """Width of neck and head that goes with an encoder: that of its preset, or of ``base`` where it has none.

    A detector that is pretrained must be as wide as the one that is fine-tuned.
    """
    widths = {choice.encoder: choice.neck_channels for choice in PRESETS.values()}
    return widths.get(encoder, PRESETS["base"].neck_channels)
