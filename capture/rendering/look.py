"""How a clip looks: kind of road, colours and light, drawn from tables of which a part is held out.

``train`` and ``heldout`` share no paint, no masonry, no vehicle shape, no ground and no foliage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catseye.capture.rendering.textures import Colour

Appearance = Literal["train", "heldout"]
Setting = Literal["city", "country", "highway"]
Hour = Literal["day", "dusk", "night"]


@dataclass(frozen=True)
class Palette:
    """What one appearance draws from. Colours are RGB 0…255."""

    paints: tuple[Colour, ...]
    masonry: tuple[tuple[Colour, str], ...]
    asphalts: tuple[Colour, ...]
    grounds: tuple[Colour, ...]
    foliage: tuple[Colour, ...]
    pavements: tuple[Colour, ...]
    signs: tuple[Colour, ...]
    rails: tuple[Colour, ...]
    cars: tuple[str, ...]
    trucks: tuple[str, ...]
    buses: tuple[str, ...]


PALETTES: dict[Appearance, Palette] = {
    "train": Palette(
        paints=(
            (228, 228, 226), (176, 180, 184), (40, 42, 46), (168, 28, 30), (32, 70, 150), (24, 40, 78),
            (30, 82, 52), (198, 186, 150),
        ),
        masonry=(
            ((158, 84, 66), "brick"), ((206, 188, 152), "plaster"), ((150, 150, 148), "panel"),
            ((186, 120, 92), "brick"), ((120, 128, 140), "panel"), ((214, 206, 194), "plaster"),
        ),
        asphalts=((104, 104, 106), (122, 120, 116), (92, 94, 100)),
        grounds=((92, 122, 58), (118, 126, 68), (84, 108, 60)),
        foliage=((62, 98, 44), (84, 112, 50), (52, 84, 50)),
        pavements=((160, 156, 150), (148, 140, 132)),
        signs=((20, 70, 160), (170, 26, 30), (240, 240, 236), (20, 110, 60)),
        rails=((176, 180, 182), (158, 160, 158)),
        cars=("sedan", "hatchback", "estate"),
        trucks=("box",),
        buses=("city bus",),
    ),
    "heldout": Palette(
        paints=(
            (222, 176, 40), (206, 96, 34), (104, 70, 48), (112, 24, 58), (36, 122, 128), (120, 168, 208),
            (112, 114, 104), (78, 58, 110),
        ),
        masonry=(
            ((176, 168, 140), "stone"), ((118, 84, 62), "plank"), ((196, 146, 112), "stone"),
            ((96, 116, 108), "plank"), ((206, 170, 160), "stone"),
        ),
        asphalts=((112, 106, 98), (98, 102, 98)),
        grounds=((140, 128, 78), (104, 130, 82)),
        foliage=((104, 108, 44), (124, 92, 42), (44, 92, 72)),
        pavements=((168, 142, 122), (132, 138, 144)),
        signs=((230, 170, 20), (110, 60, 20), (30, 30, 34)),
        rails=((150, 134, 110), (190, 186, 170)),
        cars=("suv", "coupe", "pickup"),
        trucks=("tanker",),
        buses=("coach",),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """The road across: offsets in metres to the right of the centre line.

    Args:
        right, left: lane centres with the ego's direction and against it, from the middle outwards.
        lane_width: of every lane.
        edge_left, edge_right: where the asphalt ends, both beyond parking strips and shoulders.
        parking: width of a strip of parked cars on either side; 0 for none.
        pavement: width of the pavement beyond the edge; 0 for none.
        median: width between the directions; 0 for a painted line.
    """

    setting: Setting
    right: tuple[float, ...]
    left: tuple[float, ...]
    lane_width: float
    edge_left: float
    edge_right: float
    parking: float
    pavement: float
    median: float


def draw_layout(rng: np.random.Generator) -> Layout:
    setting: Setting = ("city", "country", "highway")[int(rng.choice(3, p=(0.45, 0.25, 0.3)))]
    width = float(rng.uniform(3.2, 3.7))
    rights, lefts = {"city": (1, 1), "country": (1, 1), "highway": (2, 2)}[setting]
    if setting != "country":
        rights += int(rng.random() < 0.5)
        lefts += int(rng.random() < 0.4)
    lefts = min(lefts, 2)
    median = float(rng.uniform(1.6, 3.0)) if setting == "highway" else 0.0
    parking = 2.3 if setting == "city" and rng.random() < 0.7 else 0.0
    shoulder = {"city": 0.4, "country": 0.9, "highway": 2.4}[setting]
    right = tuple(median / 2 + width * (i + 0.5) for i in range(rights))
    left = tuple(-median / 2 - width * (i + 0.5) for i in range(lefts))
    margin = width / 2 + parking + shoulder
    return Layout(
        setting=setting,
        right=right,
        left=left,
        lane_width=width,
        edge_left=left[-1] - margin,
        edge_right=right[-1] + margin,
        parking=parking,
        pavement=float(rng.uniform(2.0, 3.5)) if setting == "city" else 0.0,
        median=median,
    )


@dataclass(frozen=True)
class Light:
    """What lights the scene and how the sensor sees it.

    Args:
        sun: unit vector towards the sun, world frame.
        ambient, direct: share of light from the sky and from the sun on a surface that faces it.
        tint: RGB gains of the whole picture.
        haze: RGB of what lies far away; haze_m: distance at which two thirds of it has taken over.
        zenith: RGB of the sky above.
        lamps: whether lamps are on.
        beam: strength of the ego's own headlights.
        noise: deviation of the sensor noise in grey levels.
    """

    hour: Hour
    sun: NDArray[np.float64]
    ambient: float
    direct: float
    tint: Colour
    haze: Colour
    haze_m: float
    zenith: Colour
    lamps: bool
    beam: float
    noise: float

    def shade(self, normals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gain (N,) of surfaces with outward unit normals (N, 3)."""
        return self.ambient + self.direct * np.clip(normals @ self.sun, 0, None)


def draw_light(rng: np.random.Generator) -> Light:
    hour: Hour = ("day", "dusk", "night")[int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
    azimuth = rng.uniform(0, 2 * np.pi)
    elevation = rng.uniform(0.5, 1.1) if hour == "day" else rng.uniform(0.12, 0.35)
    sun = np.array(
        [np.cos(elevation) * np.sin(azimuth), -np.sin(elevation), np.cos(elevation) * np.cos(azimuth)]
    )
    gain = float(rng.uniform(0.9, 1.12))
    if hour == "day":
        overcast = rng.random() < 0.35
        direct = 0.15 if overcast else 0.5
        warm = rng.uniform(-0.04, 0.05)
        return Light(
            hour, sun, 1.02 - direct * np.sin(elevation), direct,
            ((1 + warm) * gain, gain, (1 - warm) * gain),
            (205.0, 214.0, 222.0), float(rng.uniform(350, 900)),
            (176.0, 186.0, 196.0) if overcast else (96.0, 148.0, 212.0),
            False, 0.0, float(rng.uniform(0.8, 2.0)),
        )  # fmt: skip
    if hour == "dusk":
        glow = float(rng.uniform(0, 1))
        haze = (158 + 50 * glow, 152.0, 166 - 40 * glow)
        return Light(
            hour, sun, 0.58, 0.38, (1.02 * gain, 0.93 * gain, 0.90 * gain),
            haze, float(rng.uniform(300, 700)), (92.0, 96.0, 140.0),
            True, 0.15, float(rng.uniform(1.5, 3.0)),
        )  # fmt: skip
    return Light(
        hour, sun, 0.40, 0.04, (0.92 * gain, 0.93 * gain, 1.06 * gain),
        (34.0, 38.0, 56.0), float(rng.uniform(200, 400)), (14.0, 18.0, 36.0),
        True, 0.95, float(rng.uniform(2.5, 4.5)),
    )  # fmt: skip
