"""What stands beside the road: houses, walls, hedges, trees, rails, poles and signs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from catseye.capture.rendering.faces import Faces, make_faces
from catseye.capture.rendering.look import Layout, Palette
from catseye.capture.rendering.road import Road
from catseye.capture.rendering.textures import Texture, facade, hedge, post, rail, sign, tree, wall

Array = NDArray[np.float64]

_TEXELS_PER_M = 24.0
_STOREY_M = 3.0


@dataclass(frozen=True)
class Scenery:
    """Fixed faces and where each lies along the road: (N,) metres, ascending."""

    faces: Faces
    along: Array

    def between(self, first: float, last: float) -> NDArray[np.int64]:
        """Indices of the faces from ``first`` to ``last`` metres along the road."""
        low, high = np.searchsorted(self.along, [first, last])
        return np.arange(low, high)


@dataclass
class _Yard:
    """Collects faces given in road coordinates."""

    road: Road
    corners: list[Array] = field(default_factory=list)
    textures: list[Texture] = field(default_factory=list)
    two_sided: list[bool] = field(default_factory=list)
    along: list[float] = field(default_factory=list)

    def upright(
        self,
        texture: Texture,
        start: tuple[float, float],
        end: tuple[float, float],
        *,
        height: float,
        base: float = 0.0,
        two_sided: bool = False,
    ) -> None:
        """A vertical face from one (s, d) to another, its left end first as seen from its outside."""
        s, d = np.array([start, end]).T
        x, z, _ = self.road.place(s, d)
        low, high = -base, -base - height
        self.corners.append(
            np.array([[x[0], high, z[0]], [x[1], high, z[1]], [x[1], low, z[1]], [x[0], low, z[0]]])
        )
        self.textures.append(texture)
        self.two_sided.append(two_sided)
        self.along.append(float(s.mean()))

    def along_road(
        self, texture: Texture, s0: float, s1: float, d: float, *, height: float, two_sided: bool = False
    ) -> None:
        """A face beside the road that looks towards it."""
        ends = ((s0, d), (s1, d)) if d < 0 else ((s1, d), (s0, d))
        self.upright(texture, *ends, height=height, two_sided=two_sided)

    def crossed(
        self, texture: Texture, s: float, d: float, *, width: float, height: float, turn: float
    ) -> None:
        """Two upright faces through one axis, each seen from both sides."""
        for angle in (turn, turn + np.pi / 2):
            ahead, aside = width / 2 * np.cos(angle), width / 2 * np.sin(angle)
            self.upright(
                texture, (s - ahead, d - aside), (s + ahead, d + aside), height=height, two_sided=True
            )

    def done(self) -> Scenery:
        order = np.argsort(self.along, kind="stable")
        faces = make_faces(np.array(self.corners)[order], [self.textures[i] for i in order])
        faces.two_sided[:] = np.array(self.two_sided)[order]
        return Scenery(faces, np.array(self.along)[order])


def build_scenery(
    rng: np.random.Generator, road: Road, layout: Layout, palette: Palette, *, first: float, last: float
) -> Scenery:
    """Scenery of the stretch from ``first`` to ``last`` metres along the road."""
    yard = _Yard(road)
    stock = _Stock(rng, palette)
    for side in (-1, 1):
        edge = layout.edge_right if side > 0 else -layout.edge_left
        if layout.setting == "city":
            _street(rng, yard, stock, side, edge + layout.pavement, first, last)
        elif layout.setting == "country":
            _countryside(rng, yard, stock, side, edge, first, last)
        else:
            _motorway(rng, yard, stock, side, edge, first, last)
    if layout.median:
        for s in np.arange(first, last, 4.0):
            yard.along_road(stock.rail, s, s + 4, 0.0, height=0.85, two_sided=True)
    return yard.done()


class _Stock:
    """The textures that a clip's scenery is made of."""

    def __init__(self, rng: np.random.Generator, palette: Palette) -> None:
        self.fronts: list[tuple[float, float, list[Texture]]] = []
        for index in rng.permutation(len(palette.masonry))[:4]:
            colour, pattern = palette.masonry[int(index)]
            panel = float(rng.uniform(4.2, 5.6))
            height = _STOREY_M * int(rng.integers(2, 6)) + 0.4
            size = (round(panel * _TEXELS_PER_M), round(height * _TEXELS_PER_M))
            fronts = [
                facade(rng, colour, size, pattern=pattern, texels_per_m=_TEXELS_PER_M) for _ in range(3)
            ]
            self.fronts.append((panel, height, fronts))
        colour, pattern = palette.masonry[int(rng.integers(len(palette.masonry)))]
        self.walls = [Texture(wall(rng, colour, (128, 72), pattern=pattern)) for _ in range(4)]
        self.trees = [tree(rng, _one(rng, palette.foliage)) for _ in range(4)]
        self.hedges = [hedge(rng, _one(rng, palette.foliage)) for _ in range(3)]
        self.rail = rail(rng, _one(rng, palette.rails))
        self.posts = [post(rng, _one(rng, palette.rails)) for _ in range(2)]
        self.signs = [sign(rng, palette.signs) for _ in range(5)]


def _one(
    rng: np.random.Generator, colours: tuple[tuple[float, float, float], ...]
) -> tuple[float, float, float]:
    return colours[int(rng.integers(len(colours)))]


def _street(
    rng: np.random.Generator, yard: _Yard, stock: _Stock, side: int, edge: float, first: float, last: float
) -> None:
    s = first + rng.uniform(0, 4)
    while s < last:
        offset = side * (edge + rng.uniform(0.3, 2.5))
        if rng.random() < 0.8:
            s = _house(rng, yard, stock, s, offset)
        else:
            for _ in range(int(rng.integers(1, 4))):
                yard.along_road(_any(rng, stock.walls), s, s + 4, offset, height=2.2)
                s += 4
        if rng.random() < 0.4:
            s += rng.uniform(2, 8)
    for place in np.arange(first + rng.uniform(0, 9), last, rng.uniform(13, 22)):
        kerb = side * (edge - rng.uniform(1.0, 1.6))
        if rng.random() < 0.5:
            _lamp_post(rng, yard, stock, place, kerb)
        else:
            _plant(rng, yard, stock, place, kerb, tall=(3.5, 6.0))


def _house(rng: np.random.Generator, yard: _Yard, stock: _Stock, s: float, offset: float) -> float:
    """A house's front in panels and its two gables; gives where it ends."""
    panel, height, fronts = stock.fronts[int(rng.integers(len(stock.fronts)))]
    start, deep = s, float(np.sign(offset)) * 8.0
    for _ in range(int(rng.integers(2, 4))):
        yard.along_road(_any(rng, fronts), s, s + panel, offset, height=height)
        s += panel
    near, far = (start, offset), (start, offset + deep)
    left, right = (far, near) if deep < 0 else (near, far)
    yard.upright(_any(rng, fronts), left, right, height=height)
    return s


def _countryside(
    rng: np.random.Generator, yard: _Yard, stock: _Stock, side: int, edge: float, first: float, last: float
) -> None:
    s = first
    while s < last:
        kind = rng.random()
        offset = side * (edge + rng.uniform(1.5, 4.0))
        stretch = rng.uniform(12, 32)
        if kind < 0.35:
            for place in np.arange(s, s + stretch, 5.0):
                height = rng.uniform(1.1, 1.9)
                yard.along_road(
                    _any(rng, stock.hedges), place, place + 5.0, offset, height=height, two_sided=True
                )
        elif kind < 0.5:
            for place in np.arange(s, s + stretch, 4.0):
                yard.along_road(stock.rail, place, place + 4, side * (edge + 0.7), height=0.8, two_sided=True)
        elif kind < 0.6:
            stretch = _house(rng, yard, stock, s, side * (edge + rng.uniform(4, 8))) - s + 3
        for place in np.arange(s + 1, s + stretch, rng.uniform(4, 8)):
            if rng.random() < 0.75:
                deep = side * (edge + rng.uniform(3, 14))
                _plant(rng, yard, stock, place + rng.uniform(-1.5, 1.5), deep, tall=(4, 9))
        s += stretch
    for place in np.arange(first + rng.uniform(0, 20), last, rng.uniform(24, 40)):
        _lamp_post(rng, yard, stock, place, side * (edge + 1.0))


def _motorway(
    rng: np.random.Generator, yard: _Yard, stock: _Stock, side: int, edge: float, first: float, last: float
) -> None:
    for place in np.arange(first, last, 4.0):
        yard.along_road(stock.rail, place, place + 4, side * (edge + 0.4), height=0.8, two_sided=True)
    s = first
    while s < last:
        stretch = rng.uniform(24, 60)
        offset = side * (edge + rng.uniform(2.5, 4.5))
        if rng.random() < 0.45:
            tall = rng.uniform(2.5, 4.0)
            for place in np.arange(s, s + stretch, 5.0):
                yard.along_road(_any(rng, stock.walls), place, place + 5.0, offset, height=tall)
        else:
            for place in np.arange(s, s + stretch, 5.5):
                deep = offset + side * rng.uniform(0, 8)
                _plant(rng, yard, stock, place + rng.uniform(-2, 2), deep, tall=(4, 10))
        s += stretch
    for place in np.arange(first + rng.uniform(0, 30), last, rng.uniform(28, 50)):
        _lamp_post(rng, yard, stock, place, side * (edge + 1.3))


def _plant(
    rng: np.random.Generator, yard: _Yard, stock: _Stock, s: float, d: float, *, tall: tuple[float, float]
) -> None:
    height = rng.uniform(*tall)
    turn = rng.uniform(0, np.pi)
    yard.crossed(
        _any(rng, stock.trees), s, d, width=height * rng.uniform(0.6, 0.85), height=height, turn=turn
    )


def _lamp_post(rng: np.random.Generator, yard: _Yard, stock: _Stock, s: float, d: float) -> None:
    tall = rng.uniform(4.5, 7.5)
    yard.crossed(_any(rng, stock.posts), s, d, width=0.24, height=tall, turn=np.pi / 4)
    if rng.random() < 0.6:
        wide, high = (0.9, 0.8) if rng.random() < 0.7 else (2.4, 1.3)
        ends = (s - 0.15, d - wide / 2), (s - 0.15, d + wide / 2)
        yard.upright(_any(rng, stock.signs), *ends, height=high, base=rng.uniform(2.0, 2.6), two_sided=True)


def _any(rng: np.random.Generator, textures: list[Texture]) -> Texture:
    return textures[int(rng.integers(len(textures)))]
