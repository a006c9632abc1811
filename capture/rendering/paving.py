"""Painting the ground's texture: asphalt with its wear and markings, kerbs, pavements, verges, shadows."""

from __future__ import annotations

import cv2
import numpy as np

from catseye.capture.geometry import Image
from catseye.capture.rendering.ground import HALF_WIDTH_M, PERIOD_M
from catseye.capture.rendering.look import Layout, Light, Palette
from catseye.capture.rendering.textures import Colour, fractal, leaves, rgb, tint

_COARSE = (1536, 768)
_WHITE: Colour = (222.0, 222.0, 216.0)


class _Canvas:
    """A picture addressed in metres (s, d)."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.picture = np.zeros((*shape, 3), np.uint8)
        self.per_s, self.per_d = shape[0] / PERIOD_M, shape[1] / (2 * HALF_WIDTH_M)

    def at(self, s: float, d: float) -> tuple[int, int]:
        """Column and row."""
        return round((d + HALF_WIDTH_M) * self.per_d), round(s * self.per_s)

    def region(self, d0: float, d1: float, s0: float = 0.0, s1: float = PERIOD_M) -> Image:
        (left, top), (right, bottom) = self.at(s0, d0), self.at(s1, d1)
        return self.picture[max(top, 0) : bottom, max(left, 0) : max(right, left + 1)]

    def paint(
        self, rng: np.random.Generator, colour: Colour, d0: float, d1: float, s0: float, s1: float
    ) -> None:
        """Paint that has worn: the ground shows through."""
        region = self.region(d0, d1, s0, s1)
        if region.size:
            cover = np.clip(0.85 + 0.16 * fractal(rng, region.shape[:2], cells=(1, 4)), 0.35, 1)[..., None]
            region[:] = region * (1 - cover) + np.asarray(colour, np.float32) * cover


def pave(rng: np.random.Generator, layout: Layout, palette: Palette, light: Light, *, fine: bool) -> Image:
    """The texture that ``Ground`` takes; ``fine`` doubles its resolution each way."""
    canvas = _Canvas((_COARSE[0] * 2, _COARSE[1] * 2) if fine else _COARSE)
    asphalt = _pick(rng, palette.asphalts)
    _verges(rng, canvas, layout, palette)
    _asphalt(rng, canvas, layout, asphalt)
    _wear(rng, canvas, layout, asphalt)
    _markings(rng, canvas, layout)
    if layout.pavement:
        _pavements(rng, canvas, layout, _pick(rng, palette.pavements))
    if layout.median:
        _median(rng, canvas, layout, _pick(rng, palette.grounds))
    _shadows(rng, canvas, layout, light)
    return canvas.picture


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    colour = np.asarray(colours[int(rng.integers(len(colours)))])
    red, green, blue = (colour * rng.uniform(0.92, 1.08) + rng.uniform(-4, 4, 3)).tolist()
    return red, green, blue


def _verges(rng: np.random.Generator, canvas: _Canvas, layout: Layout, palette: Palette) -> None:
    for d0, d1 in ((-HALF_WIDTH_M, layout.edge_left), (layout.edge_right, HALF_WIDTH_M)):
        region = canvas.region(d0, d1)
        shape = (_COARSE[0], round(region.shape[1] * _COARSE[0] / region.shape[0]))
        verge = leaves(rng, shape, _pick(rng, palette.grounds))
        bare = fractal(rng, shape, cells=(4, 16, 64), fall=1.4)
        distance = np.linspace(0, d1 - d0, shape[1], dtype=np.float32)
        if d1 < 0:
            distance = distance[::-1]
        soil = bare + np.maximum(0, 2.5 - 1.6 * distance) > 1.25
        earth = tint((134, 116, 90), 0.2 * fractal(rng, shape, cells=(1, 2, 8)))
        cv2.copyTo(earth, soil.view(np.uint8), verge)
        region[:] = cv2.resize(verge, region.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _asphalt(rng: np.random.Generator, canvas: _Canvas, layout: Layout, colour: Colour) -> None:
    region = canvas.region(layout.edge_left, layout.edge_right)
    shape = region.shape[:2]
    grain = 0.11 * fractal(rng, shape, cells=(1, 2, 4), fall=1.0)
    clouds = 0.085 * fractal(rng, shape, cells=(8, 32, 64, 128), fall=1.1)
    offsets = np.linspace(layout.edge_left, layout.edge_right, shape[1])
    tracks = np.zeros(shape[1])
    for lane in (*layout.left, *layout.right):
        for wheel in (-0.8, 0.8):
            tracks -= 0.11 * np.exp(-(((offsets - lane - wheel) / 0.35) ** 2))
        tracks -= 0.06 * np.exp(-(((offsets - lane) / 0.3) ** 2))
    region[:] = tint(colour, grain + clouds + tracks[None].astype(np.float32))


def _wear(rng: np.random.Generator, canvas: _Canvas, layout: Layout, colour: Colour) -> None:
    """Patches, cracks sealed with tar, stains, manhole covers and joints."""
    d0, d1 = layout.edge_left, layout.edge_right
    for _ in range(int(rng.integers(22, 40))):
        s, d = rng.uniform(0, PERIOD_M), rng.uniform(d0, d1 - 1)
        patch = canvas.region(d, min(d + rng.uniform(0.6, 3.2), d1), s, s + rng.uniform(1, 12))
        if patch.size:
            grain = 0.10 * fractal(rng, patch.shape[:2], cells=(1, 2, 8))
            patch[:] = tint(colour, np.float32(rng.uniform(-0.3, 0.22)) + grain)
    for _ in range(int(rng.integers(60, 110))):
        start = np.array([rng.uniform(0, PERIOD_M), rng.uniform(d0 + 0.3, d1 - 0.3)])
        lean = (1.0, 0.12) if rng.random() < 0.6 else (0.15, 0.5)
        steps = rng.normal(size=(int(rng.integers(4, 14)), 2)) * lean
        track = np.clip(start + np.cumsum(steps, axis=0), (0, d0 + 0.1), (PERIOD_M, d1 - 0.1))
        points = np.array([canvas.at(*point) for point in track], np.int32)
        dark = rgb(colour, rng.uniform(0.35, 0.7))
        cv2.polylines(canvas.picture, [points], False, dark, int(rng.integers(1, 3)), cv2.LINE_AA)
    for _ in range(int(rng.integers(40, 80))):
        s, d = rng.uniform(0, PERIOD_M), rng.uniform(d0 + 0.4, d1 - 0.4)
        radius = rng.uniform(0.1, 0.45)
        axes = (
            max(1, round(radius * canvas.per_d)),
            max(1, round(radius * canvas.per_s * rng.uniform(0.8, 4))),
        )
        gain = rng.uniform(0.45, 0.8) if rng.random() < 0.75 else rng.uniform(1.15, 1.4)
        cv2.ellipse(canvas.picture, canvas.at(s, d), axes, 0, 0, 360, rgb(colour, gain), -1, cv2.LINE_AA)
    if layout.setting == "city":
        for _ in range(int(rng.integers(8, 16))):
            place = canvas.at(rng.uniform(0, PERIOD_M), rng.uniform(d0 + 1, d1 - 1))
            axes = (round(0.33 * canvas.per_d), round(0.33 * canvas.per_s))
            cv2.ellipse(canvas.picture, place, axes, 0, 0, 360, (62, 58, 54), -1, cv2.LINE_AA)
            cv2.ellipse(canvas.picture, place, axes, 0, 0, 360, (150, 146, 140), 1, cv2.LINE_AA)


def _markings(rng: np.random.Generator, canvas: _Canvas, layout: Layout) -> None:
    half = layout.lane_width / 2
    broad = rng.uniform(0.12, 0.18)
    colour: Colour = (225.0, 190.0, 90.0) if rng.random() < 0.25 else _WHITE
    outer_right, outer_left = layout.right[-1] + half, layout.left[-1] - half
    if layout.setting != "city" or rng.random() < 0.5:
        for edge in (outer_right, outer_left):
            canvas.paint(rng, _WHITE, edge - broad / 2, edge + broad / 2, 0, PERIOD_M)
    if layout.median:
        for edge in (layout.right[0] - half, layout.left[0] + half):
            canvas.paint(rng, colour, edge - broad / 2, edge + broad / 2, 0, PERIOD_M)
    elif rng.random() < 0.5:
        _dashes(rng, canvas, colour, 0.0, broad, 3.0, 12.0)
    else:
        for edge in (-0.14, 0.14):
            canvas.paint(rng, colour, edge - broad / 2, edge + broad / 2, 0, PERIOD_M)
    period = float(rng.choice([6.0, 8.0, 12.0]))
    for lanes in (layout.right, layout.left):
        for lane in lanes[1:]:
            between = lane - np.sign(lane) * half
            _dashes(rng, canvas, _WHITE, float(between), broad, period / 3, period)
    _crossings(rng, canvas, layout)
    for lane in layout.right:
        for s in rng.uniform(5, PERIOD_M - 8, 2):
            _arrow(canvas, s, lane)


def _crossings(rng: np.random.Generator, canvas: _Canvas, layout: Layout) -> None:
    """What is painted across the road: parking bays and zebra crossings."""
    outer_right, outer_left = (
        layout.right[-1] + layout.lane_width / 2,
        layout.left[-1] - layout.lane_width / 2,
    )
    if layout.parking:
        edges = (outer_right, outer_right + layout.parking), (outer_left - layout.parking, outer_left)
        for d0, d1 in edges:
            for s in np.arange(3, PERIOD_M - 1, 6.0):
                canvas.paint(rng, _WHITE, d0, d1, s, s + 0.13)
    if layout.setting == "city":
        for s in rng.uniform(10, PERIOD_M - 10, 2):
            for d in np.arange(outer_left + 0.3, outer_right - 0.5, 1.0):
                canvas.paint(rng, _WHITE, d, d + 0.5, s, s + 3.0)


def _dashes(
    rng: np.random.Generator,
    canvas: _Canvas,
    colour: Colour,
    d: float,
    broad: float,
    long: float,
    period: float,
) -> None:
    for s in np.arange(1.0, PERIOD_M - long, period):
        canvas.paint(rng, colour, d - broad / 2, d + broad / 2, s, s + long)


def _arrow(canvas: _Canvas, s: float, d: float) -> None:
    shaft = [(0, -0.08), (2.4, -0.08), (2.4, -0.35), (4.2, 0), (2.4, 0.35), (2.4, 0.08), (0, 0.08)]
    points = np.array([canvas.at(s + along, d + across) for along, across in shaft], np.int32)
    cv2.fillPoly(canvas.picture, [points], (205, 205, 200), cv2.LINE_AA)


def _pavements(rng: np.random.Generator, canvas: _Canvas, layout: Layout, colour: Colour) -> None:
    joint = rgb(colour, 0.66)
    wide = layout.pavement
    strips = ((layout.edge_right, layout.edge_right + wide), (layout.edge_left - wide, layout.edge_left))
    for d0, d1 in strips:
        region = canvas.region(d0, d1)
        shape = region.shape[:2]
        region[:] = tint(colour, 0.09 * fractal(rng, shape, cells=(1, 2, 8, 32, 128)))
        slab = float(rng.choice([0.5, 0.75, 1.0]))
        for d in np.arange(d0, d1, slab):
            cv2.line(canvas.picture, canvas.at(0, d), canvas.at(PERIOD_M, d), joint)
        for s in np.arange(0, PERIOD_M, slab):
            cv2.line(canvas.picture, canvas.at(s, d0), canvas.at(s, d1), joint)
        for _ in range(160):
            s, d = rng.uniform(0, PERIOD_M), rng.uniform(d0, d1)
            stone = canvas.region(d, min(d + slab, d1), s, s + slab)
            stone[:] = np.clip(stone * rng.uniform(0.7, 1.2), 0, 255)
        kerb = (d0, d0 + 0.18) if d0 > 0 else (d1 - 0.18, d1)
        canvas.region(*kerb)[:] = tint(
            (178, 176, 172), 0.08 * fractal(rng, canvas.region(*kerb).shape[:2], cells=(1, 4, 16))
        )
        for s in np.arange(0, PERIOD_M, 1.0):
            cv2.line(canvas.picture, canvas.at(s, kerb[0]), canvas.at(s, kerb[1]), (90, 88, 86))


def _median(rng: np.random.Generator, canvas: _Canvas, layout: Layout, colour: Colour) -> None:
    inner = layout.median / 2 - 0.35
    region = canvas.region(-inner, inner)
    region[:] = leaves(rng, region.shape[:2], colour)


def _shadows(rng: np.random.Generator, canvas: _Canvas, layout: Layout, light: Light) -> None:
    """Dappled shade of trees and houses that stand by the road; on sunny days it has hard edges."""
    if light.hour == "night":
        return
    depth = 0.16 + 0.5 * light.direct
    small = np.zeros((384, 192), np.float32)
    reach = 192 / (2 * HALF_WIDTH_M)
    for _ in range(int(rng.integers(6, 22))):
        side = layout.edge_right if rng.random() < 0.5 else layout.edge_left
        centre = (round((side + rng.uniform(-5, 5) + HALF_WIDTH_M) * reach), int(rng.integers(10, 374)))
        axes = (int(rng.integers(6, 24)), int(rng.integers(2, 9)))
        cv2.ellipse(small, centre, axes, 0, 0, 360, 1.0, -1)
    shade = cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.2), _COARSE[::-1], interpolation=cv2.INTER_LINEAR)
    ragged = 0.5 + 0.28 * fractal(rng, _COARSE, cells=(4, 8))
    gain = cv2.convertScaleAbs(1 - depth * np.clip((shade - ragged) * 5, 0, 1), alpha=255)
    rows, columns = canvas.picture.shape[:2]
    step = rows // 16
    for top in range(0, rows, step):
        part = gain[top * _COARSE[0] // rows : (top + step) * _COARSE[0] // rows]
        full = cv2.resize(part, (columns, step), interpolation=cv2.INTER_LINEAR)
        band = canvas.picture[top : top + step]
        band[:] = cv2.multiply(band, cv2.merge([full] * 3), scale=1 / 255)
