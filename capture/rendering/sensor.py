"""From colours of surfaces to a camera's frame: headlights, haze, lamps, exposure, vignetting, noise."""

from __future__ import annotations

import cv2
import numpy as np

from catseye.capture.geometry import Image
from catseye.capture.rendering.camera import Camera
from catseye.capture.rendering.look import Light
from catseye.capture.rendering.render import SUPERSAMPLE, Picture
from catseye.capture.rendering.textures import Field

_NOISE_STARTS = 1 << 18
"""Each frame takes its noise from one of so many places of a bank."""


class Sensor:
    """The light and the sensor of one clip."""

    def __init__(self, rng: np.random.Generator, light: Light, camera: Camera) -> None:
        self._light, self._camera = light, camera
        bank = rng.standard_normal(_NOISE_STARTS + camera.height * camera.width * 3, dtype=np.float32)
        self._noise = np.float32(light.noise) * bank
        x = (np.arange(camera.width) + 0.5 - camera.width / 2) / camera.width
        y = (np.arange(camera.height) + 0.5 - camera.height / 2) / camera.width
        radius = x[None] ** 2 + y[:, None] ** 2
        vignette = 1 - rng.uniform(0.0, 0.2) * radius
        self._gain = (vignette[..., None] * np.asarray(light.tint)).astype(np.float32)
        self._flicker = rng.uniform(0, 2 * np.pi, 2)

    def expose(self, picture: Picture, *, time_s: float, rng: np.random.Generator) -> Image:
        """The frame (H, W, 3) uint8 at ``time_s``."""
        size = (self._camera.width, self._camera.height)
        frame = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        nearness = picture.nearness[SUPERSAMPLE // 2 :: SUPERSAMPLE, SUPERSAMPLE // 2 :: SUPERSAMPLE]
        surface = nearness > 0
        if self._light.beam:
            frame *= np.where(surface, 1 + self._beam(nearness), 1.0)[..., None]
        distance = 1 / np.maximum(nearness, 1e-3)
        clear = np.where(surface, np.exp(-distance / np.float32(self._light.haze_m)), 1.0)[..., None]
        haze = np.asarray(self._light.haze, np.float32)
        frame = haze + (frame - haze) * clear
        if picture.glow is not None:
            glow = cv2.resize(picture.glow, size, interpolation=cv2.INTER_AREA).astype(np.float32)
            bloom = cv2.GaussianBlur(glow, (0, 0), 0.012 * size[0])
            frame = np.maximum(frame, glow) + 0.6 * bloom
        drift = (
            1
            + 0.02 * np.sin(0.9 * time_s + self._flicker[0])
            + 0.01 * np.sin(2.3 * time_s + self._flicker[1])
        )
        frame *= self._gain * np.float32(drift)
        start = int(rng.integers(_NOISE_STARTS))
        noise = self._noise[start : start + frame.size].reshape(frame.shape)
        return np.asarray(np.clip(frame + noise + 0.5, 0, 255), np.uint8)

    def _beam(self, nearness: Field) -> Field:
        """How much the ego's headlights add: a cone that fades with distance."""
        camera = self._camera
        x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.focal
        y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.focal
        cone = np.exp(-((x / 0.42) ** 2))[None] / (1 + np.exp(-(y + 0.06) / 0.03))[:, None]
        fade = np.exp(-np.minimum(1 / np.maximum(nearness, 1e-3), 1e3) / 38)
        return np.asarray(2.2 * self._light.beam * cone * fade, dtype=np.float32)
