"""Surface textures drawn from a generator: rich at every scale, so that parallax shows wherever one looks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image

Field = NDArray[np.float32]
Colour = tuple[float, float, float]


class Texture:
    """A picture for a planar face, with copies shrunk along each axis by itself.

    Args:
        rgb: (h, w, 3) uint8.
        alpha: (h, w) uint8, 255 where the face is there; None for all of it.
        glow: (h, w, 3) uint8, the light it gives off when lamps are on; None for none.
    """

    def __init__(self, rgb: Image, alpha: Image | None = None, glow: Image | None = None) -> None:
        self.rgb, self.glow = rgb, glow
        self.alpha = np.full(rgb.shape[:2], 255, np.uint8) if alpha is None else alpha
        self._levels: dict[tuple[int, int], tuple[Image, Image]] = {(0, 0): (self.rgb, self.alpha)}

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in texels."""
        return int(self.rgb.shape[1]), int(self.rgb.shape[0])

    def level(self, across: int, down: int) -> tuple[Image, Image]:
        """Colour and alpha, shrunk by area ``2**across`` times in width and ``2**down`` times in height."""
        key = (across, down)
        if key not in self._levels:
            size = (max(1, self.size[0] >> across), max(1, self.size[1] >> down))
            self._levels[key] = (shrink(self.rgb, size), shrink(self.alpha, size))
        return self._levels[key]


def shrink(picture: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], *, cells: Sequence[int], fall: float = 1.0
) -> Field:
    """Noise (h, w) of about unit deviation: an octave a cell size, in texels, of weight ``cell**(fall − 1)``.

    It repeats seamlessly in height when every cell divides the height.
    """
    height, width = shape
    total: Field = np.zeros(shape, np.float32)
    power = 0.0
    for cell in cells:
        grid = rng.standard_normal((max(1, height // cell), -(-width // cell)), dtype=np.float32)
        weight = float(cell) ** (fall - 1)
        power += (weight * (0.66 if cell > 1 else 1.0)) ** 2
        total += weight * (_enlarge(grid, cell, shape) if cell > 1 else grid[:height, :width])
    return total / np.float32(power**0.5)


def _enlarge(grid: Field, cell: int, shape: tuple[int, int]) -> Field:
    """Bilinear enlargement that wraps around in height."""
    padded = np.pad(grid, ((1, 1), (1, 1)), mode="wrap")
    size = (padded.shape[1] * cell, padded.shape[0] * cell)
    big = cv2.resize(padded, size, interpolation=cv2.INTER_LINEAR)[cell:, cell:]
    if big.shape[0] < shape[0]:
        big = np.vstack([big, big[: shape[0] - big.shape[0]]])
    return np.asarray(big[: shape[0], : shape[1]])


def tint(colour: Colour, brightness: Field) -> Image:
    """A colour times (1 + brightness), as (h, w, 3) uint8."""
    gain = np.maximum(1 + brightness, 0)
    return np.asarray(cv2.merge([cv2.convertScaleAbs(gain, alpha=level) for level in colour]), dtype=np.uint8)


def rgb(colour: Sequence[float] | NDArray[np.float64], gain: float = 1.0) -> Colour:
    """A colour for OpenCV's drawing calls, clipped to 0…255."""
    red, green, blue = (float(min(255.0, max(0.0, c * gain))) for c in colour)
    return red, green, blue


def leaves(rng: np.random.Generator, shape: tuple[int, int], colour: Colour) -> Image:
    """Foliage or grass: clumps, light and dark."""
    brightness = 0.2 * fractal(rng, shape, cells=(1, 2, 4, 8, 16, 32), fall=1.2)
    warm = 0.08 * fractal(rng, shape, cells=(8, 32))
    channels = [(1 + brightness) * (1 + share * warm) for share in (1.0, 0.3, -0.5)]
    levels = [
        cv2.convertScaleAbs(np.maximum(channel, 0), alpha=level)
        for channel, level in zip(channels, colour, strict=True)
    ]
    return np.asarray(cv2.merge(levels), dtype=np.uint8)


def tree(rng: np.random.Generator, colour: Colour) -> Texture:
    """Crown and trunk on a transparent ground, 2:3."""
    width, height = 128, 192
    picture = leaves(rng, (height, width), colour)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    crown = np.full((height, width), -1.0, np.float32)
    for _ in range(9):
        centre = rng.uniform((30, 25), (98, 115))
        radius = rng.uniform(18, 34)
        crown = np.maximum(crown, 1 - np.hypot(columns - centre[0], rows - centre[1]) / radius)
    crown += 0.16 * fractal(rng, (height, width), cells=(4, 8, 16))
    alpha = np.where(crown > 0, 255, 0).astype(np.uint8)
    shade = np.clip(1.12 - 0.5 * (rows / 130) + 0.25 * np.clip(crown, 0, 1), 0.4, 1.3)
    picture = np.clip(picture * shade[..., None], 0, 255).astype(np.uint8)
    trunk = np.zeros_like(alpha)
    cv2.rectangle(trunk, (59, 90), (69, height), 255, -1)
    bark = tint((88, 70, 55), 0.3 * fractal(rng, (height, width), cells=(1, 2, 8)))
    bare = (trunk > 0) & (alpha == 0)
    picture[bare] = bark[bare]
    alpha[bare] = 255
    return Texture(picture, alpha)


def hedge(rng: np.random.Generator, colour: Colour) -> Texture:
    """A wall of leaves with a ragged top."""
    shape = (64, 192)
    picture = leaves(rng, shape, colour)
    ragged = 7 + 4 * fractal(rng, (1, shape[1]), cells=(4, 16))[0]
    alpha = np.where(np.arange(shape[0])[:, None] > ragged[None], 255, 0).astype(np.uint8)
    return Texture(picture, alpha)


def wall(rng: np.random.Generator, colour: Colour, size: tuple[int, int], *, pattern: str) -> Image:
    """Masonry (h, w, 3): ``brick``, ``plaster``, ``panel``, ``stone`` or ``plank``, stained and uneven."""
    width, height = size
    brightness = 0.09 * fractal(rng, (height, width), cells=(1, 2, 4, 16, 64), fall=1.15)
    picture = tint(colour, brightness)
    joint = rgb(colour, 0.62)
    if pattern in ("brick", "stone"):
        tall, long = (5, 12) if pattern == "brick" else (14, 26)
        row = np.arange(height) // tall
        column = (np.arange(width)[None] + (row % 2 * long // 2)[:, None]) // long
        gains = 1 + 0.13 * rng.standard_normal((row[-1] + 1, column.max() + 1), dtype=np.float32)
        picture = _gained(picture, gains[row[:, None], column])
        edges = (np.diff(column, axis=1, prepend=0) != 0) | (np.arange(height) % tall == 0)[:, None]
        picture[edges] = joint
    elif pattern == "panel":
        for left in range(0, width, 40):
            for top in range(0, height, 40):
                block = picture[top : top + 40, left : left + 40]
                block[:] = np.clip(block * rng.uniform(0.85, 1.12), 0, 255)
                cv2.rectangle(picture, (left, top), (left + 40, top + 40), joint)
    elif pattern == "plank":
        for left in range(0, width, 7):
            plank = picture[:, left : left + 7]
            plank[:] = np.clip(plank * rng.uniform(0.75, 1.15), 0, 255)
            cv2.line(picture, (left, 0), (left, height), joint)
    for _ in range(max(2, width * height // 6000)):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        length, broad = int(rng.integers(6, 60)), int(rng.integers(2, 14))
        stain = picture[y : y + length, x : x + broad]
        stain[:] = np.clip(stain * rng.uniform(0.72, 1.18), 0, 255)
    return picture


def _gained(picture: Image, gain: Field) -> Image:
    """A picture times a gain a pixel."""
    return np.asarray(cv2.multiply(picture, cv2.merge([gain] * 3), dtype=cv2.CV_8U), dtype=np.uint8)


def facade(
    rng: np.random.Generator, colour: Colour, size: tuple[int, int], *, pattern: str, texels_per_m: float
) -> Texture:
    """A house front: masonry, rows of windows, a door or shop below; some windows are lit at night."""
    width, height = size
    picture = wall(rng, colour, size, pattern=pattern)
    glow = np.zeros_like(picture)
    storey = round(3.0 * texels_per_m)
    bay = round(rng.uniform(1.6, 2.6) * texels_per_m)
    frame = rgb(rng.choice([(235, 232, 225), (70, 60, 55), (150, 140, 125)]))
    share, tall = rng.uniform(0.45, 0.7), rng.uniform(0.42, 0.62)
    for top in range(height - 2 * storey, -storey, -storey):
        for left in range(int((width % bay) / 2), width - bay // 2, bay):
            x, y = left + round(bay * (1 - share) / 2), top + round(storey * 0.22)
            w, h = round(bay * share), round(storey * tall)
            if y < 2 or x + w >= width:
                continue
            _window(rng, picture, glow, (x, y, w, h), frame)
    _ground_floor(rng, picture, glow, storey, frame)
    return Texture(picture, glow=glow)


def _window(
    rng: np.random.Generator, picture: Image, glow: Image, box: tuple[int, int, int, int], frame: Colour
) -> None:
    x, y, w, h = box
    cv2.rectangle(picture, (x - 2, y - 2), (x + w + 1, y + h + 1), frame, -1)
    glass = np.asarray(rng.uniform((25, 35, 45), (95, 115, 135)), np.float32)
    sheen = np.linspace(rng.uniform(0.7, 1.6), rng.uniform(0.6, 1.1), h, dtype=np.float32)[:, None, None]
    picture[y : y + h, x : x + w] = np.clip(glass * sheen, 0, 255)
    if rng.random() < 0.4:
        drop = round(h * rng.uniform(0.2, 0.9))
        curtain = rng.uniform(100, 225) + rng.uniform(-28, 28, 3)
        cv2.rectangle(picture, (x, y), (x + w - 1, y + drop), rgb(curtain), -1)
    cv2.line(picture, (x + w // 2, y), (x + w // 2, y + h), frame)
    if rng.random() < 0.3:
        cv2.rectangle(
            glow, (x, y), (x + w - 1, y + h - 1), rgb(rng.uniform((130, 95, 45), (210, 170, 110))), -1
        )


def _ground_floor(rng: np.random.Generator, picture: Image, glow: Image, storey: int, frame: Colour) -> None:
    height, width = picture.shape[:2]
    top = height - storey
    if rng.random() < 0.5:
        signs = rgb(rng.uniform(40, 240, 3))
        cv2.rectangle(picture, (0, top), (width, top + storey // 5), signs, -1)
        for left in range(6, width - 10, 11):
            if rng.random() < 0.7:
                ink = rgb(rng.uniform(0, 255, 3))
                cv2.rectangle(picture, (left, top + 3), (left + 6, top + storey // 5 - 3), ink, -1)
        box = (4, top + storey // 4, width - 8, round(storey * 0.6))
        _window(rng, picture, glow, box, frame)
        for _ in range(5):
            x, y = rng.integers((6, box[1] + 4), (width - 18, height - 16))
            cv2.rectangle(
                picture, (int(x), int(y)), (int(x) + 9, int(y) + 9), rgb(rng.uniform(30, 230, 3)), -1
            )
    else:
        left = int(rng.integers(6, max(7, width - 34)))
        cv2.rectangle(picture, (left, top + storey // 4), (left + 24, height), frame, -1)
        door = rgb(rng.uniform(30, 160, 3))
        cv2.rectangle(picture, (left + 2, top + storey // 4 + 2), (left + 22, height), door, -1)
        other = (left + width // 2) % max(1, width - 40)
        _window(rng, picture, glow, (other + 4, top + storey // 3, 30, storey // 3), frame)


def rail(rng: np.random.Generator, colour: Colour) -> Texture:
    """Four metres of crash barrier: two beams on posts, or a solid low wall of blocks."""
    height, width = 44, 192
    picture = tint(colour, 0.12 * fractal(rng, (height, width), cells=(1, 4, 16, 64)))
    alpha = np.zeros((height, width), np.uint8)
    for left in range(4, width, 48):
        cv2.rectangle(alpha, (left, 4), (left + 5, height), 255, -1)
        cv2.rectangle(picture, (left, 4), (left + 5, height), rgb(colour, 0.6), -1)
    cv2.rectangle(alpha, (0, 2), (width, 16), 255, -1)
    cv2.line(picture, (0, 9), (width, 9), rgb(colour, 0.55), 2)
    for left in range(0, width, 24):
        cv2.circle(picture, (left, 5), 1, rgb(colour, 0.4), -1)
    return Texture(picture, alpha)


def sign(rng: np.random.Generator, colours: Sequence[Colour]) -> Texture:
    """A board with blocks and bars on a plain ground."""
    height, width = 48, 64
    ground = colours[int(rng.integers(len(colours)))]
    picture = tint(ground, 0.05 * fractal(rng, (height, width), cells=(1, 8)))
    ink = (245.0, 245.0, 240.0) if sum(ground) < 380 else (25.0, 25.0, 30.0)
    cv2.rectangle(picture, (2, 2), (width - 3, height - 3), ink, 1)
    for top in range(8, height - 8, 9):
        left = int(rng.integers(5, 14))
        while left < width - 12:
            long = int(rng.integers(3, 14))
            cv2.rectangle(picture, (left, top), (min(left + long, width - 6), top + 4), ink, -1)
            left += long + int(rng.integers(2, 6))
    return Texture(picture)


def post(rng: np.random.Generator, colour: Colour) -> Texture:
    """A pole, with bands and bills stuck on it."""
    height, width = 160, 8
    picture = tint(colour, 0.18 * fractal(rng, (height, width), cells=(1, 4, 16)))
    for _ in range(5):
        top = int(rng.integers(height))
        picture[top : top + int(rng.integers(2, 10))] = rng.uniform(40, 230, 3)
    return Texture(picture)


@lru_cache(maxsize=4)
def soft_shadow() -> Image:
    """Darkness (64, 64) uint8 of what stands on the road: deep in the middle, soft at the rim."""
    darkness = np.zeros((64, 64), np.uint8)
    cv2.rectangle(darkness, (10, 10), (53, 53), 165, -1)
    return np.asarray(cv2.GaussianBlur(darkness, (0, 0), 4.5), dtype=np.uint8)
