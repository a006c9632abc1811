"""Tracks drawn onto the planes of a 4:2:0 frame, so that no pixel is converted to RGB and back.

Everything is laid out in half pixels of luma, the grid of the chroma planes, where a line has the same place
in all three.
"""

from __future__ import annotations

import colorsys
from collections import deque
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image, Planes, rgb_from_yuv
from catseye.runtime.results import FrameResult

_TRAIL_S = 1.5
_SOON_S = 3.0
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN = 0.61803398875
_DARK, _LIGHT, _NEUTRAL = 24, 235, 128

Colour = tuple[int, int, int]
"""Levels of Y, Cb and Cr in limited range."""

Rectangle = tuple[int, int, int, int]
"""Left, top, right and bottom in half pixels."""


class Annotator:
    """Draws the tracks of one stream: a box, a label and a short trail each, in the id's own colour."""

    def __init__(self) -> None:
        self._trails: dict[int, deque[tuple[float, int, int]]] = {}

    def draw(self, planes: Planes, result: FrameResult) -> Planes:
        """A copy of the frame in limited range with the tracks on it, cut to even size."""
        canvas = _limited_range(planes)
        time_s = float(result.pts * result.time_base)
        self._extend_trails(result, time_s)
        colours = {id_: id_colour(id_, canvas) for id_ in result.tracks.ids.tolist()}
        for id_, colour in colours.items():
            _draw_trail(canvas, [(x, y) for _, x, y in self._trails[id_]], colour)
        boxes = [_half(box) for box in result.tracks.boxes_xyxy]
        for box, colour in zip(boxes, colours.values(), strict=True):
            _draw_box(canvas, box, colour)
        # The nearest vehicles, whose boxes end lowest, have first choice; far ones in a crowd go without.
        taken: list[Rectangle] = []
        for row in sorted(range(len(boxes)), key=lambda row: -boxes[row][3]):
            text = label(result, row)
            spots = _label_spots(canvas, text, boxes[row])
            spots = [spot for spot in spots if not any(_overlap(spot, other) for other in taken)]
            _draw_label(canvas, text, spots, list(colours.values())[row])
            taken += spots[:1]
        return canvas

    def _extend_trails(self, result: FrameResult, time_s: float) -> None:
        for id_, box in zip(result.tracks.ids.tolist(), result.tracks.boxes_xyxy, strict=True):
            left, _, right, bottom = _half(box)
            self._trails.setdefault(id_, deque()).append((time_s, (left + right) // 2, bottom))
        for id_ in list(self._trails):
            trail = self._trails[id_]
            while trail and trail[0][0] < time_s - _TRAIL_S:
                trail.popleft()
            if not trail:
                del self._trails[id_]


def label(result: FrameResult, row: int) -> str:
    """What is written above a box: class, id and, where known, metres; and seconds to contact where few."""
    tracks, distances = result.tracks, result.distances
    words = [f"{result.classes[tracks.classes[row]]} {tracks.ids[row]}"]
    if np.isfinite(distances.metres[row]):
        words.append(f"{distances.metres[row]:.0f} m")
    if distances.contact_s is not None and distances.contact_s[row] < _SOON_S:
        words.append(f"in {distances.contact_s[row]:.1f} s")
    return "  ".join(words)


def id_rgb(id_: int) -> tuple[float, float, float]:
    """A colour that an id always has, 0 to 1; hues of successive ids lie far apart on the circle."""
    return colorsys.hsv_to_rgb(id_ * _GOLDEN % 1.0, 0.85, 1.0)


def id_colour(id_: int, planes: Planes) -> Colour:
    """The same in the levels of a frame's planes."""
    rgb = 255 * np.array(id_rgb(id_))
    to_rgb = rgb_from_yuv(planes.matrix, full_range=False)
    y, u, v = np.clip(np.linalg.solve(to_rgb[:, :3], rgb - to_rgb[:, 3]).round(), 16, 240).astype(int)
    return int(y), int(u), int(v)


def _limited_range(planes: Planes) -> Planes:
    """A writable copy of even size. Players take video that states no range for limited, so it is that."""
    height, width = planes.height // 2 * 2, planes.width // 2 * 2
    y, u, v = (
        planes.y[:height, :width],
        planes.u[: height // 2, : width // 2],
        planes.v[: height // 2, : width // 2],
    )
    if not planes.full_range:
        return replace(planes, y=y.copy(), u=u.copy(), v=v.copy())
    level = np.arange(256)
    luma = (16 + level * (219 / 255)).round().astype(np.uint8)
    chroma = (128 + (level - 128) * (224 / 255)).round().astype(np.uint8)
    return replace(planes, y=luma[y], u=chroma[u], v=chroma[v], full_range=False)


def _half(box: NDArray[np.float32]) -> Rectangle:
    x1, y1, x2, y2 = (round(float(edge) / 2) for edge in box)
    return x1, y1, x2, y2


def _fill(canvas: Planes, area: Rectangle, colour: Colour) -> None:
    """Fill a rectangle; what lies outside the frame is cut off."""
    left, top, right, bottom = (max(edge, 0) for edge in area)
    canvas.y[2 * top : 2 * bottom, 2 * left : 2 * right] = colour[0]
    canvas.u[top:bottom, left:right] = colour[1]
    canvas.v[top:bottom, left:right] = colour[2]


def _draw_box(canvas: Planes, box: Rectangle, colour: Colour) -> None:
    left, top, right, bottom = box
    width = max(1, canvas.height // 720)
    _fill(canvas, (left, top, right, top + width), colour)
    _fill(canvas, (left, bottom - width, right, bottom), colour)
    _fill(canvas, (left, top, left + width, bottom), colour)
    _fill(canvas, (right - width, top, right, bottom), colour)


def _draw_label(canvas: Planes, text: str, spots: list[Rectangle], colour: Colour) -> None:
    """White on dark, underlined in its colour, at the first spot given; without one, not at all."""
    if not spots:
        return
    left, _, right, bottom = spots[0]
    _fill(canvas, spots[0], (_DARK, _NEUTRAL, _NEUTRAL))
    _fill(canvas, (left, bottom - 1, right, bottom), colour)
    origin = (2 * left + 4, 2 * bottom - _text_size(text, canvas)[2] - 1)
    cv2.putText(_writable(canvas.y), text, origin, _FONT, _font_scale(canvas), (_LIGHT,), 1, cv2.LINE_AA)


def _label_spots(canvas: Planes, text: str, box: Rectangle) -> list[Rectangle]:
    """Where a label may be, best first: above its box, below it, inside it."""
    wide, tall, below = _text_size(text, canvas)
    width, height = wide // 2 + 4, (tall + below) // 2 + 2
    left = min(max(box[0], 0), max(canvas.width // 2 - width, 0))
    tops = [top for top in (box[1] - height, box[3], box[1]) if 0 <= top <= canvas.height // 2 - height]
    return [(left, top, left + width, top + height) for top in tops]


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _font_scale(canvas: Planes) -> float:
    return max(0.4, canvas.height / 1400)


def _text_size(text: str, canvas: Planes) -> tuple[int, int, int]:
    """Width, height and depth below the line in pixels."""
    (wide, tall), below = cv2.getTextSize(text, _FONT, _font_scale(canvas), 1)
    return wide, tall, below


def _draw_trail(canvas: Planes, points: list[tuple[int, int]], colour: Colour) -> None:
    path = np.array(points, dtype=np.int32).reshape(-1, 1, 2)
    for plane, level, scale in ((canvas.y, colour[0], 2), (canvas.u, colour[1], 1), (canvas.v, colour[2], 1)):
        cv2.polylines(_writable(plane), [path * scale], False, (level,), scale, cv2.LINE_8)


def _writable(plane: Image) -> Image:
    assert plane.flags.c_contiguous and plane.flags.writeable, "draw on a copy"
    return plane
