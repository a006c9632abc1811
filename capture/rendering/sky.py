"""What is infinitely far: sky, clouds and the hills on the horizon, on a cylinder around the camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.capture.rendering.look import Light
from catseye.capture.rendering.textures import Field, fractal

_WIDTH, _HEIGHT = 2048, 512
_LOWEST, _HIGHEST = -0.08, 1.2
_HIGHEST_HILL = 0.2


@dataclass(frozen=True)
class Sky:
    """Columns are azimuth from z towards x over a full turn, rows the tangent of the elevation, top down."""

    picture: Image

    def coordinates(self, rays: NDArray[np.floating[Any]]) -> tuple[Field, Field]:
        """Where to sample the picture, in its pixels, for world directions (..., 3)."""
        azimuth = np.arctan2(rays[..., 0], rays[..., 2])
        rise = -rays[..., 1] / np.hypot(rays[..., 0], rays[..., 2])
        x = (azimuth / (2 * np.pi) + 0.5) * _WIDTH - 0.5
        y = (_HIGHEST - rise) / (_HIGHEST - _LOWEST) * _HEIGHT - 0.5
        return x.astype(np.float32), y.astype(np.float32)


def draw_sky(rng: np.random.Generator, light: Light) -> Sky:
    rise = np.linspace(_HIGHEST, _LOWEST, _HEIGHT, dtype=np.float32)[:, None]
    share = np.clip(rise / 0.9, 0, 1)[..., None] ** 0.6
    picture = np.asarray(light.haze, np.float32) * (1 - share) + np.asarray(light.zenith, np.float32) * share
    picture = np.broadcast_to(picture, (_HEIGHT, _WIDTH, 3)).copy()
    clouds = fractal(rng, (_HEIGHT, _WIDTH), cells=(4, 8, 16, 32, 64, 128), fall=1.5)
    cover = np.clip(0.55 * (clouds + rng.uniform(-1.0, 0.5)), 0, 0.85)[..., None]
    cloud = np.clip(np.asarray(light.haze, np.float32) * 1.16 + 6, 0, 252) * (1 + 0.05 * clouds[..., None])
    picture += (cloud - picture) * cover
    low = int(np.argmax(rise[:, 0] < _HIGHEST_HILL))
    for layer in range(3):
        height = (
            0.05 + 0.03 * fractal(rng, (1, _WIDTH), cells=(32, 64, 128, 256), fall=1.3)[0] - 0.012 * layer
        )
        hill = rise[low:] < height[None]
        colour = np.array((86, 100, 84), np.float32) * (0.35 + 0.65 * np.mean(light.haze) / 215)
        distant = np.asarray(light.haze, np.float32) * (0.55 - 0.15 * layer) + colour * (0.45 + 0.15 * layer)
        grain = 1 + 0.08 * fractal(rng, hill.shape, cells=(2, 4, 16))[..., None]
        picture[low:] = np.where(hill[..., None], distant * grain, picture[low:])
    return Sky(np.clip(picture, 0, 255).astype(np.uint8))
