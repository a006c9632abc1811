"""Cars, trucks and buses: shapes of a few slanted blocks, and their painted sides.

A vehicle's own frame stands on the road below its middle: x to the right, y down, z ahead, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from catseye.capture.rendering.faces import Faces, block, make_faces
from catseye.capture.rendering.look import Palette
from catseye.capture.rendering.textures import Colour, Texture, fractal, rgb, tint

CLASSES = ("car", "truck", "bus")

_GLASS: Colour = (42.0, 52.0, 62.0)
_TYRE: Colour = (26.0, 26.0, 28.0)


@dataclass(frozen=True)
class Vehicle:
    """What a vehicle is. Sizes in metres; ``category`` is an index into ``CLASSES``."""

    category: int
    length: float
    width: float
    height: float
    faces: Faces


@dataclass(frozen=True)
class _CarShape:
    """Heights of sill, waist and roof; the cabin's foot and roof as shares of the length from the rear."""

    length: float
    width: float
    sill: float
    waist: float
    roof: float
    cabin_foot: tuple[float, float]
    cabin_roof: tuple[float, float]


_CARS = {
    "sedan": _CarShape(4.5, 1.80, 0.24, 0.88, 1.44, (0.13, 0.74), (0.30, 0.58)),
    "hatchback": _CarShape(3.9, 1.72, 0.24, 0.90, 1.50, (0.02, 0.74), (0.10, 0.55)),
    "estate": _CarShape(4.7, 1.80, 0.25, 0.92, 1.48, (0.01, 0.74), (0.07, 0.56)),
    "suv": _CarShape(4.6, 1.90, 0.34, 1.08, 1.78, (0.01, 0.76), (0.05, 0.60)),
    "coupe": _CarShape(4.3, 1.82, 0.20, 0.80, 1.28, (0.06, 0.70), (0.34, 0.52)),
    "pickup": _CarShape(5.2, 1.92, 0.38, 1.04, 1.82, (0.40, 0.76), (0.44, 0.64)),
}


def draw_vehicle(rng: np.random.Generator, palette: Palette, category: int) -> Vehicle:
    paint = _pick_paint(rng, palette)
    names = (palette.cars, palette.trucks, palette.buses)[category]
    name = names[int(rng.integers(len(names)))]
    if category == 0:
        return _car(rng, _CARS[name], paint)
    if category == 1:
        return _truck(rng, paint, _pick_paint(rng, palette), tank=name == "tanker")
    return _bus(rng, paint, _pick_paint(rng, palette), coach=name == "coach")


def _pick_paint(rng: np.random.Generator, palette: Palette) -> Colour:
    paint = np.asarray(palette.paints[int(rng.integers(len(palette.paints)))])
    red, green, blue = np.clip(paint * rng.uniform(0.9, 1.1) + rng.uniform(-6, 6, 3), 8, 245).tolist()
    return red, green, blue


class _Panel:
    """One side of a vehicle to draw on, in metres from its lower left corner, the road at height 0."""

    def __init__(
        self, rng: np.random.Generator, paint: Colour, width: float, height: float, scale: float
    ) -> None:
        self.rng, self.scale, self.width, self.height = rng, scale, width, height
        shape = (max(8, round(height * scale)), max(8, round(width * scale)))
        sheen = np.linspace(0.10, -0.14, shape[0], dtype=np.float32)[:, None]
        self.rgb = tint(paint, sheen + 0.035 * fractal(rng, shape, cells=(1, 4, 16)))
        self.alpha = np.full(shape, 255, np.uint8)
        self.glow = np.zeros_like(self.rgb)

    def point(self, x: float, y: float) -> tuple[int, int]:
        return round(x * self.scale), round((self.height - y) * self.scale)

    def box(self, x: float, y: float, w: float, h: float, colour: Colour, *, outline: int = -1) -> None:
        cv2.rectangle(self.rgb, self.point(x, y + h), self.point(x + w, y), colour, outline)

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        cv2.line(self.rgb, self.point(x0, y0), self.point(x1, y1), colour, 1, cv2.LINE_AA)

    def open_below(self, height: float) -> None:
        cv2.rectangle(self.alpha, self.point(-1, height), self.point(self.width + 1, -1), 0, -1)

    def glass(self, x: float, y: float, w: float, h: float) -> None:
        """A pane that mirrors a bright sky above and something dark below."""
        left, top = self.point(x, y + h)
        right, bottom = self.point(x + w, y)
        pane = self.rgb[max(top, 0) : bottom + 1, max(left, 0) : right + 1]
        if not pane.size:
            return
        ramp = np.linspace(1.0, 0.0, pane.shape[0], dtype=np.float32)[:, None, None]
        slant = np.linspace(0.8, 1.2, pane.shape[1], dtype=np.float32)[None, :, None]
        sky = np.array((90, 105, 118), np.float32) * self.rng.uniform(0.5, 1.1)
        pane[:] = np.clip((np.asarray(_GLASS, np.float32) + ramp * sky) * slant, 0, 255)

    def wheel(self, x: float, radius: float, *, arch: bool = True) -> None:
        centre, size = self.point(x, radius), max(2, round(radius * self.scale))
        if arch:
            cv2.circle(self.rgb, centre, round(size * 1.2), (18, 18, 20), -1, cv2.LINE_AA)
        cv2.circle(self.rgb, centre, size, _TYRE, -1, cv2.LINE_AA)
        cv2.circle(self.rgb, centre, round(size * 0.62), (158, 160, 162), -1, cv2.LINE_AA)
        cv2.circle(self.rgb, centre, round(size * 0.2), (60, 60, 62), -1, cv2.LINE_AA)
        for angle in np.arange(5) * 2 * np.pi / 5:
            rim = (
                centre[0] + round(size * 0.55 * np.cos(angle)),
                centre[1] + round(size * 0.55 * np.sin(angle)),
            )
            cv2.line(self.rgb, centre, rim, (70, 70, 74), 1)
        cv2.circle(self.alpha, centre, size, 255, -1)

    def lamp(self, x: float, y: float, w: float, h: float, colour: Colour, shine: Colour) -> None:
        self.box(x, y, w, h, colour)
        cv2.rectangle(self.glow, self.point(x, y + h), self.point(x + w, y), shine, -1)

    def texture(self) -> Texture:
        return Texture(self.rgb, self.alpha, self.glow if self.glow.any() else None)


def _rear(rng: np.random.Generator, panel: _Panel, *, sill: float, lamp_y: float, lamp_h: float) -> None:
    width = panel.width
    panel.box(0, sill, width, 0.16, (44, 44, 48))
    lamp_w = width * rng.uniform(0.13, 0.22)
    for x in (0.06, width - 0.06 - lamp_w):
        panel.lamp(x, lamp_y, lamp_w, lamp_h, (150, 20, 22), (255, 40, 30))
    panel.box(width / 2 - 0.27, sill + 0.2, 0.54, 0.15, (236, 236, 222))
    for x in np.linspace(-0.2, 0.16, 5):
        panel.box(width / 2 + x, sill + 0.235, 0.05, 0.08, (30, 30, 50))
    _underside(panel, sill)


def _front(rng: np.random.Generator, panel: _Panel, *, sill: float, lamp_y: float, lamp_h: float) -> None:
    width = panel.width
    panel.box(0, sill, width, 0.14, (44, 44, 48))
    grille = width * rng.uniform(0.35, 0.55)
    panel.box((width - grille) / 2, sill + 0.2, grille, max(lamp_y + lamp_h - sill - 0.22, 0.1), (28, 28, 30))
    for y in np.arange(sill + 0.24, lamp_y + lamp_h, 0.07):
        panel.line((width - grille) / 2, y, (width + grille) / 2, y, (110, 110, 112))
    lamp_w = width * rng.uniform(0.14, 0.22)
    for x in (0.07, width - 0.07 - lamp_w):
        panel.lamp(x, lamp_y, lamp_w, lamp_h, (232, 234, 226), (255, 246, 215))
    panel.box(width / 2 - 0.27, sill + 0.05, 0.54, 0.14, (236, 236, 222))
    _underside(panel, sill)


def _underside(panel: _Panel, sill: float) -> None:
    panel.open_below(sill)
    for x in (0.04, panel.width - 0.28):
        corner, opposite = panel.point(x, sill + 0.02), panel.point(x + 0.24, 0)
        cv2.rectangle(panel.alpha, corner, opposite, 255, -1)
        cv2.rectangle(panel.rgb, panel.point(x, sill), opposite, _TYRE, -1)


def _car(rng: np.random.Generator, shape: _CarShape, paint: Colour) -> Vehicle:
    length, width, roof = (
        v * float(rng.uniform(0.94, 1.06)) for v in (shape.length, shape.width, shape.roof)
    )
    waist, sill, scale = shape.waist, shape.sill, 44.0
    foot = tuple(length * (share - 0.5) for share in shape.cabin_foot)
    top = tuple(length * (share - 0.5) for share in shape.cabin_roof)
    body = block(
        bottom=(-length / 2, length / 2),
        top=(-length / 2 + 0.05, length / 2 - 0.12),
        widths=(width, width * 0.97),
        heights=(0.0, waist),
    )
    cabin = block(
        bottom=(foot[0], foot[1]),
        top=(top[0], top[1]),
        widths=(width * 0.95, width * 0.78),
        heights=(waist, roof),
    )

    side = _Panel(rng, paint, length, waist, scale)
    radius = 0.31 if roof < 1.6 else 0.37
    side.open_below(sill)
    side.box(0, sill, length, 0.08, rgb(paint, 0.45))
    for x in length * np.array([shape.cabin_foot[0] + 0.22, shape.cabin_foot[1] - 0.06]):
        side.line(x, sill + 0.1, x, waist, rgb(paint, 0.5))
        side.box(x - 0.22, waist - 0.16, 0.15, 0.035, rgb(paint, 0.55))
    side.line(0, waist - 0.22, length, waist - 0.2, rgb(paint, 0.72))
    side.lamp(0.0, waist - 0.25, 0.12, 0.14, (150, 24, 24), (220, 34, 26))
    side.lamp(length - 0.16, waist - 0.3, 0.16, 0.13, (228, 228, 218), (235, 226, 195))
    for x in (length * 0.18, length * 0.81):
        side.wheel(x, radius)
    mirrored = Texture(
        np.ascontiguousarray(side.rgb[:, ::-1]),
        np.ascontiguousarray(side.alpha[:, ::-1]),
        np.ascontiguousarray(side.glow[:, ::-1]),
    )
    back, front = _Panel(rng, paint, width, waist, scale), _Panel(rng, paint, width, waist, scale)
    _rear(rng, back, sill=sill, lamp_y=waist - 0.27, lamp_h=rng.uniform(0.12, 0.2))
    _front(rng, front, sill=sill, lamp_y=waist - 0.33, lamp_h=rng.uniform(0.11, 0.17))
    bonnet = _Panel(rng, paint, width, length, 20.0)
    bonnet.line(0.2, length * 0.76, 0.3, length, rgb(paint, 0.7))
    bonnet.line(width - 0.2, length * 0.76, width - 0.3, length, rgb(paint, 0.7))

    tall = roof - waist
    pane = _Panel(rng, rgb(paint, 0.8), width, tall, scale)
    pane.glass(0.09, 0.05, width - 0.18, tall - 0.12)
    beside = _Panel(rng, rgb(paint, 0.85), foot[1] - foot[0], tall, scale)
    beside.glass(0.07, 0.05, beside.width - 0.14, tall - 0.13)
    for share in (0.36, 0.7):
        beside.box(beside.width * share, 0, 0.07, tall, rgb(paint, 0.6))
    lid = _Panel(rng, rgb(paint, 1.05), width * 0.8, max(top[1] - top[0], 0.3), 30.0)

    order = ("back", "front", "left", "right", "top")
    textures = [
        back.texture(), front.texture(), mirrored, side.texture(), bonnet.texture(),
        pane.texture(), pane.texture(), beside.texture(), beside.texture(), lid.texture(),
    ]  # fmt: skip
    corners = np.array([body[k] for k in order] + [cabin[k] for k in order])
    return Vehicle(0, length, width, roof, make_faces(corners, textures))


def _lorry_side(rng: np.random.Generator, paint: Colour, length: float, height: float, sill: float) -> _Panel:
    side = _Panel(rng, paint, length, height, 26.0)
    side.open_below(sill)
    return side


def _truck(rng: np.random.Generator, paint: Colour, load: Colour, *, tank: bool) -> Vehicle:
    length, width = float(rng.uniform(6.6, 9.0)), float(rng.uniform(2.3, 2.55))
    height, cab_height, sill = float(rng.uniform(3.0, 3.7)), float(rng.uniform(2.4, 2.8)), 0.55
    front, split = length / 2, length / 2 - float(rng.uniform(1.7, 2.1))
    lean = 0.35 if tank else 0.08
    cab = block(
        bottom=(split, front),
        top=(split, front - lean),
        widths=(width, width * 0.96),
        heights=(0.0, cab_height),
    )
    narrow = 0.62 if tank else 1.0
    cargo = block(
        bottom=(-front, split - 0.15),
        top=(-front, split - 0.15),
        widths=(width, width * narrow),
        heights=(0.0, height),
    )
    wide = front - split
    door = _lorry_side(rng, paint, wide, cab_height, sill)
    door.glass(0.35, cab_height * 0.55, wide - 0.5, cab_height * 0.3)
    door.box(0.3, sill, wide - 0.5, cab_height * 0.8 - sill, rgb(paint, 0.6), outline=1)
    door.wheel(wide * 0.5, 0.5)
    face = _Panel(rng, paint, width, cab_height, 30.0)
    _front(rng, face, sill=0.4, lamp_y=0.65, lamp_h=0.2)
    face.glass(0.12, cab_height * 0.52, width - 0.24, cab_height * 0.36)
    face.box(width * 0.2, cab_height * 0.43, width * 0.6, 0.12, rgb(paint, 0.5))
    roof = _Panel(rng, rgb(paint, 1.05), width, wide, 14.0)

    long = split - 0.15 + front
    panel = _lorry_side(rng, load, long, height, 0.75)
    _livery(rng, panel, load, tank=tank)
    for x in (long * 0.14, long * 0.14 + 1.15):
        panel.wheel(x, 0.5, arch=False)
    panel.box(long * 0.35, 0.45, long * 0.4, 0.3, (60, 60, 62))
    cv2.rectangle(panel.alpha, panel.point(long * 0.35, 0.75), panel.point(long * 0.75, 0.45), 255, -1)
    rear = _Panel(rng, load, width, height, 30.0)
    _rear(rng, rear, sill=0.6, lamp_y=0.66, lamp_h=0.16)
    if tank:
        cv2.ellipse(
            rear.rgb,
            rear.point(width / 2, height * 0.58),
            (30, 36),
            0,
            0,
            360,
            rgb(load, 0.7),
            2,
            cv2.LINE_AA,
        )
    else:
        rear.line(width / 2, 1.1, width / 2, height, rgb(load, 0.4))
        for x in (0.25, width / 2 - 0.2, width / 2 + 0.2, width - 0.25):
            rear.line(x, 1.15, x, height - 0.1, rgb(load, 0.65))
        rear.box(0.06, 1.02, width - 0.12, 0.07, (200, 60, 40))
    cover = _Panel(rng, rgb(load, 0.95), width, long, 12.0)
    wall = _Panel(rng, rgb(paint, 0.5), width, cab_height, 8.0)
    order = ("back", "front", "left", "right", "top")
    textures = [
        wall.texture(), face.texture(), door.texture(), door.texture(), roof.texture(),
        rear.texture(), cover.texture(), panel.texture(), panel.texture(), cover.texture(),
    ]  # fmt: skip
    corners = np.array([cab[k] for k in order] + [cargo[k] for k in order])
    return Vehicle(1, length, width, max(height, cab_height), make_faces(corners, textures))


def _livery(rng: np.random.Generator, panel: _Panel, load: Colour, *, tank: bool) -> None:
    length, height = panel.width, panel.height
    if tank:
        for x in np.arange(0.4, length, 0.9):
            panel.box(x, 0.8, 0.08, height, rgb(load, 0.62))
        panel.box(0, height * 0.52, length, 0.16, rgb(rng.uniform(30, 230, 3)))
        return
    for x in np.arange(0.0, length, 0.45):
        panel.line(x, 0.8, x, height, rgb(load, 0.82))
    ink = rgb(rng.uniform(20, 230, 3))
    panel.box(length * 0.12, height * 0.45, length * rng.uniform(0.3, 0.7), height * 0.28, ink)
    for x in np.arange(length * 0.15, length * 0.7, 0.4):
        if rng.random() < 0.7:
            panel.box(x, height * 0.52, 0.26, height * 0.13, rgb(load, 1.1))
    panel.box(0, 0.78, length, 0.1, (205, 70, 45))


def _bus(rng: np.random.Generator, paint: Colour, stripe: Colour, *, coach: bool) -> Vehicle:
    length, width = float(rng.uniform(9.5, 12.0)), float(rng.uniform(2.45, 2.55))
    height, sill = float(rng.uniform(3.4, 3.7) if coach else rng.uniform(2.9, 3.15)), 0.35
    front = length / 2
    hull = block(
        bottom=(-front, front),
        top=(-front + 0.1, front - (0.7 if coach else 0.08)),
        widths=(width, width * 0.97),
        heights=(0.0, height),
    )
    waist = height * (0.5 if coach else 0.4)
    side = _lorry_side(rng, paint, length, height, sill)
    side.box(0, sill, length, waist * 0.3, rgb(stripe, 0.9))
    side.glass(0.2, waist, length - (1.2 if coach else 0.4), height * 0.88 - waist)
    for x in np.arange(1.4, length - 0.5, 1.45):
        side.box(x, waist, 0.09, height * 0.88 - waist, rgb(paint, 0.7))
    doors = (length - 1.4,) if coach else (length - 1.4, length * 0.5)
    for x in doors:
        side.box(x, sill + 0.05, 1.0, height * 0.8 - sill, (50, 54, 58))
        side.glass(x + 0.08, sill + 0.2, 0.84, height * 0.72 - sill)
    for x in (length * 0.24, length * 0.78):
        side.wheel(x, 0.48)
    mirrored = Texture(np.ascontiguousarray(side.rgb[:, ::-1]), np.ascontiguousarray(side.alpha[:, ::-1]))
    face = _Panel(rng, paint, width, height, 30.0)
    _front(rng, face, sill=sill, lamp_y=0.6, lamp_h=0.2)
    face.glass(0.1, waist * 0.85, width - 0.2, height * 0.82 - waist * 0.85)
    face.lamp(width * 0.25, height * 0.86, width * 0.5, height * 0.09, (40, 36, 20), (240, 170, 40))
    rear = _Panel(rng, paint, width, height, 30.0)
    _rear(rng, rear, sill=sill, lamp_y=0.8, lamp_h=0.35)
    rear.glass(0.25, height * 0.58, width - 0.5, height * 0.26)
    for y in np.arange(0.7, 1.5, 0.1):
        rear.line(width * 0.3, y, width * 0.7, y, rgb(paint, 0.5))
    roof = _Panel(rng, rgb(paint, 1.05), width, length, 12.0)
    textures = [rear.texture(), face.texture(), mirrored, side.texture(), roof.texture()]
    corners = np.array([hull[k] for k in ("back", "front", "left", "right", "top")])
    return Vehicle(2, length, width, height, make_faces(corners, textures))
