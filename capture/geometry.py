"""How a camera frame becomes network input, and the way back for boxes and intrinsics.

There is one definition, and shards, training and the runtime all use it:

1. the planes of a 4:2:0 frame are resized one by one, by area where they shrink, into a letterbox;
2. chroma is doubled bilinearly and the colour matrix of the stream gives RGB;
3. what the letterbox leaves free is filled with ``PAD_VALUE``.

Each of these is counted in whole numbers, so that x86 and ARM see the same bytes: areas and doubled chroma as
``resampling`` has them, the matrix in 1024ths, as OpenCV has it.

A network that takes NV12 planes does step 2 itself, for one matrix and range: it is given planes in those
(``convert_planes``), and what the letterbox leaves free is filled before and not after. That is the same
but for rounding, and for the two pixels at the border's edge, where doubling mixes chroma.

Planes are resized before colour conversion because that touches a fraction of the bytes. Scaled sizes and
offsets are even, so that the chroma planes land on whole pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.resampling import double_plane, resize_frame, resize_plane

Image = NDArray[np.uint8]
ColorMatrix = Literal["bt601", "bt709"]
Fit = Literal["centre", "top_left", "stretch"]
"""How a frame of another aspect fills a network frame: its border around it, or right and below, or none."""

PAD_VALUE = 114
"""Grey level of the letterbox border, in RGB."""

_FRACTIONS = 1 << 14
"""Of a level, in which gains and offsets are counted: levels times it are below 2²⁴."""


@dataclass(frozen=True)
class Letterbox:
    """A source frame scaled into a network frame, where its upper left corner lies. All sizes in pixels."""

    source_width: int
    source_height: int
    width: int
    height: int
    scaled_width: int
    scaled_height: int
    left: int
    top: int

    @property
    def scale_x(self) -> float:
        """Network pixels a source pixel, horizontally."""
        return self.scaled_width / self.source_width

    @property
    def scale_y(self) -> float:
        return self.scaled_height / self.source_height

    @cached_property
    def _scale(self) -> NDArray[np.float64]:
        """Of a corner box."""
        return np.array([self.scale_x, self.scale_y] * 2)

    @cached_property
    def _offset(self) -> NDArray[np.float64]:
        return np.array([self.left, self.top] * 2, dtype=np.float64)

    @cached_property
    def _limit(self) -> NDArray[np.float64]:
        return np.array([self.source_width, self.source_height] * 2, dtype=np.float64)

    def boxes_to_network(self, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map (..., 4) corner boxes from source to network pixels. Pixel (0, 0) spans [0, 1)."""
        return np.asarray(boxes_xyxy * self._scale + self._offset, dtype=np.float32)

    def scale_boxes(self, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map (..., 4) corner boxes from source pixels to those of the scaled picture without its border."""
        return np.asarray(boxes_xyxy * self._scale, dtype=np.float32)

    def boxes_to_source(self, boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map (..., 4) corner boxes from network to source pixels, clipped to the source frame."""
        boxes = (boxes_xyxy - self._offset) / self._scale
        return np.asarray(np.minimum(np.maximum(boxes, 0), self._limit), dtype=np.float32)

    def intrinsics_to_network(self, K: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map a 3×3 pinhole matrix from source to network pixels."""
        to_network = np.array([[self.scale_x, 0, self.left], [0, self.scale_y, self.top], [0, 0, 1.0]])
        return to_network @ np.asarray(K, dtype=np.float64)


@lru_cache(maxsize=64)
def letterbox(
    source_width: int, source_height: int, width: int, height: int, fit: Fit = "centre"
) -> Letterbox:
    """Fit a source frame into a network frame, with its aspect kept unless it is to be stretched.

    Raises:
        ValueError: a size is not positive, or the network size is odd.
    """
    if min(source_width, source_height, width, height) <= 0 or width % 2 or height % 2:
        raise ValueError(
            f"cannot fit {source_width}x{source_height} into {width}x{height}: "
            "sizes must be positive, the network's even"
        )
    if fit == "stretch":
        return Letterbox(source_width, source_height, width, height, width, height, 0, 0)
    scale = min(width / source_width, height / source_height)
    scaled_width = min(width, max(2, 2 * round(source_width * scale / 2)))
    scaled_height = min(height, max(2, 2 * round(source_height * scale / 2)))
    left = (width - scaled_width) // 4 * 2 if fit == "centre" else 0
    top = (height - scaled_height) // 4 * 2 if fit == "centre" else 0
    return Letterbox(source_width, source_height, width, height, scaled_width, scaled_height, left, top)


@dataclass(frozen=True)
class Planes:
    """A 4:2:0 frame.

    Args:
        y: luma (H, W) uint8.
        u, v: chroma (ceil(H/2), ceil(W/2)) uint8.
        matrix: the stream's colour matrix.
        full_range: luma over 0…255 rather than 16…235.
        uv: chroma (ceil(H/2), ceil(W/2), 2) where a decoder gave it interleaved, of which ``u`` and ``v`` are
            views: a network that takes NV12 is given it as it is.
    """

    y: Image
    u: Image
    v: Image
    matrix: ColorMatrix = "bt709"
    full_range: bool = False
    uv: Image | None = None

    @property
    def width(self) -> int:
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        return int(self.y.shape[0])


def nv12_planes(y: Image, uv: Image, *, matrix: ColorMatrix, full_range: bool) -> Planes:
    """Planes of a frame whose chroma is interleaved, see ``Planes.uv``; nothing is copied."""
    return Planes(y=y, u=uv[..., 0], v=uv[..., 1], matrix=matrix, full_range=full_range, uv=uv)


def resize_planes(planes: Planes, box: Letterbox) -> Planes:
    """Resize each plane into the letterbox's scaled size, without its border."""
    if (planes.width, planes.height) == (box.scaled_width, box.scaled_height):
        return planes
    half = (box.scaled_width // 2, box.scaled_height // 2)
    return Planes(
        y=resize_plane(planes.y, (box.scaled_width, box.scaled_height)),
        u=resize_plane(planes.u, half),
        v=resize_plane(planes.v, half),
        matrix=planes.matrix,
        full_range=planes.full_range,
    )


def planes_to_rgb(planes: Planes) -> Image:
    """Convert to RGB (H, W, 3) uint8 at the planes' own size."""
    chroma = (_at_luma(plane, planes) for plane in (planes.u, planes.v))
    matrix = rgb_from_yuv(planes.matrix, full_range=planes.full_range)
    return np.asarray(cv2.transform(cv2.merge((planes.y, *chroma)), matrix), dtype=np.uint8)


def _at_luma(chroma: Image, planes: Planes) -> Image:
    """Chroma, or what follows from it, at the size of the luma."""
    if planes.width % 2 == planes.height % 2 == 0:
        return double_plane(chroma)
    size = (planes.width, planes.height)
    return np.asarray(cv2.resize(chroma, size, interpolation=cv2.INTER_LINEAR_EXACT), dtype=np.uint8)


def planes_to_network(planes: Planes, box: Letterbox) -> Image:
    """A 4:2:0 frame as network input: RGB (H, W, 3) uint8."""
    frame = np.empty((box.height, box.width, 3), dtype=np.uint8)
    inside = _within_border(frame, box)
    resize_frame(planes.y, planes.u, planes.v, inside)
    cv2.transform(inside, rgb_from_yuv(planes.matrix, full_range=planes.full_range), dst=inside)
    return frame


def planes_to_nv12(
    planes: Planes, box: Letterbox, *, matrix: ColorMatrix, full_range: bool
) -> tuple[Image, Image]:
    """A 4:2:0 frame as network input: luma (H, W) and chroma (H/2, W/2, 2) uint8, Cb first."""
    scaled = resize_planes(planes, box)
    return _nv12(convert_planes(scaled, matrix=matrix, full_range=full_range), box)


def rgb_to_nv12(rgb: Image, box: Letterbox, *, matrix: ColorMatrix, full_range: bool) -> tuple[Image, Image]:
    """A still (H, W, 3) uint8 as network input: luma (H, W) and chroma (H/2, W/2, 2) uint8, Cb first."""
    scaled = resize_plane(rgb, (box.scaled_width, box.scaled_height))
    return _nv12(planes_from_rgb(scaled, matrix=matrix, full_range=full_range), box)


def rgb_to_network(rgb: Image, box: Letterbox) -> Image:
    """A still (H, W, 3) uint8 as network input: RGB (H, W, 3) uint8."""
    return pad_to_network(resize_plane(rgb, (box.scaled_width, box.scaled_height)), box)


def pad_to_network(scaled: Image, box: Letterbox) -> Image:
    """Put a scaled picture (h, w, 3) into a network frame of ``PAD_VALUE``."""
    if scaled.shape[:2] == (box.height, box.width):
        return scaled
    frame = np.empty((box.height, box.width, 3), dtype=np.uint8)
    _within_border(frame, box)[:] = scaled
    return frame


def _within_border(frame: Image, box: Letterbox) -> Image:
    """Where the scaled picture lies in a network frame (H, W, 3), of which the rest becomes ``PAD_VALUE``."""
    bottom, right = box.top + box.scaled_height, box.left + box.scaled_width
    frame[: box.top], frame[bottom:] = PAD_VALUE, PAD_VALUE
    frame[box.top : bottom, : box.left], frame[box.top : bottom, right:] = PAD_VALUE, PAD_VALUE
    return frame[box.top : bottom, box.left : right]


def convert_planes(planes: Planes, *, matrix: ColorMatrix, full_range: bool) -> Planes:
    """The same picture in another colour matrix and range.

    A grey is free of chroma by either matrix, so that chroma follows from chroma alone, at its own size, and
    so does what luma takes of it, which is doubled bilinearly. Nothing goes through RGB, whose bounds clip
    only later: levels beyond the range of the stream are kept as far as a byte holds them.
    """
    if (planes.matrix, planes.full_range) == (matrix, full_range):
        return planes
    back = yuv_from_rgb(matrix, full_range=full_range)
    both = back[:, :3] @ rgb_from_yuv(planes.matrix, full_range=planes.full_range)
    both[:, 3] += back[:, 3]
    gain, from_chroma = both[0, 0], both[:, 1:]
    # What luma takes is 0 where chroma is 128; as a byte it is 128 there.
    offset = 128 * from_chroma[0, :2].sum() + from_chroma[0, 2]
    from_chroma[0, 2] += 128 - offset
    # A third channel that counts for nothing: OpenCV takes 25 times as long for two as for three.
    three = cv2.merge((planes.u, planes.v, planes.v))
    taken, u, v = cv2.split(cv2.transform(three, np.insert(from_chroma, 2, 0, axis=1)))
    doubled = _at_luma(np.asarray(taken, dtype=np.uint8), planes)
    # In such fractions float32 adds up exactly, on every machine.
    gain, offset = (round(_FRACTIONS * number) / _FRACTIONS for number in (gain, offset - 128))
    y = cv2.addWeighted(planes.y, gain, doubled, 1, offset)
    return Planes(
        y=np.asarray(y, dtype=np.uint8),
        u=np.asarray(u, dtype=np.uint8),
        v=np.asarray(v, dtype=np.uint8),
        matrix=matrix,
        full_range=full_range,
    )


def planes_from_rgb(rgb: Image, *, matrix: ColorMatrix, full_range: bool) -> Planes:
    """Convert a picture (H, W, 3) uint8 of even size to 4:2:0; of four pixels chroma is the mean."""
    y, *chroma = cv2.split(cv2.transform(rgb, yuv_from_rgb(matrix, full_range=full_range)))
    half = (rgb.shape[1] // 2, rgb.shape[0] // 2)
    u, v = (resize_plane(np.asarray(plane, dtype=np.uint8), half) for plane in chroma)
    return Planes(y=np.asarray(y, dtype=np.uint8), u=u, v=v, matrix=matrix, full_range=full_range)


def pad_planes(scaled: Planes, box: Letterbox) -> Planes:
    """Put scaled planes into a network frame whose border is ``PAD_VALUE`` in RGB."""
    y = _pad(scaled.y, _grey(scaled), box, 1)
    u, v = (_pad(plane, 128, box, 2) for plane in (scaled.u, scaled.v))
    return Planes(y=y, u=u, v=v, matrix=scaled.matrix, full_range=scaled.full_range)


def _nv12(scaled: Planes, box: Letterbox) -> tuple[Image, Image]:
    """What ``pad_planes`` gives, interleaved before it is padded."""
    chroma = scaled.uv
    if chroma is None:
        chroma = np.asarray(cv2.merge((scaled.u, scaled.v)), dtype=np.uint8)
    return _pad(scaled.y, _grey(scaled), box, 1), _pad(chroma, 128, box, 2)


def _grey(planes: Planes) -> int:
    """The luma of ``PAD_VALUE``."""
    to_rgb = rgb_from_yuv(planes.matrix, full_range=planes.full_range)
    return round(float((PAD_VALUE - to_rgb[0, 3] - 128 * to_rgb[0, 1:3].sum()) / to_rgb[0, 0]))


def _pad(plane: Image, level: int, box: Letterbox, step: int) -> Image:
    size = (box.height // step, box.width // step)
    if plane.shape[:2] == size:
        return plane
    padded = np.full((*size, *plane.shape[2:]), level, dtype=np.uint8)
    top, left = box.top // step, box.left // step
    padded[top : top + plane.shape[0], left : left + plane.shape[1]] = plane
    return padded


@lru_cache(maxsize=4)
def yuv_from_rgb(matrix: ColorMatrix, *, full_range: bool) -> NDArray[np.float64]:
    """The inverse of ``rgb_from_yuv``."""
    to_rgb = rgb_from_yuv(matrix, full_range=full_range)
    linear = np.linalg.inv(to_rgb[:, :3])
    return np.hstack([linear, -linear @ to_rgb[:, 3:]])


@lru_cache(maxsize=4)
def rgb_from_yuv(matrix: ColorMatrix, *, full_range: bool) -> NDArray[np.float64]:
    """The 3×4 affine map from (Y, Cb, Cr) levels 0…255 to RGB levels 0…255 (ITU-R BT.601-7, BT.709-6)."""
    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    kg = 1 - kr - kb
    y_gain, c_gain, y_offset = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    chroma = np.array(
        [
            [0, 2 * (1 - kr)],
            [-2 * (1 - kb) * kb / kg, -2 * (1 - kr) * kr / kg],
            [2 * (1 - kb), 0],
        ]
    )
    linear = np.hstack([np.full((3, 1), y_gain), chroma * c_gain])
    offset = -linear @ np.array([y_offset, 128.0, 128.0])
    return np.hstack([linear, offset[:, None]])
