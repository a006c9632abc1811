"""The ground's texture in road coordinates, and how it is sampled without aliasing.

Seen from a car the ground is foreshortened many times more along the road than across it, so the texture is
kept at sizes shrunk along each axis by itself (a ripmap), and each row of the picture takes the best one.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image
from catseye.capture.rendering.textures import Field, shrink

PERIOD_M = 192.0
"""The texture repeats after this many metres along the road; nothing is seen from further away."""

HALF_WIDTH_M = 24.0
"""Beyond this distance from the centre line the outermost ``_FOLD_M`` repeat, mirrored."""

_FOLD_M = 7.0
_LEVEL_STRIDE = 16


class Ground:
    """A texture (h, w, 3) over ``PERIOD_M`` along (rows) and ±``HALF_WIDTH_M`` across (columns)."""

    def __init__(self, picture: Image) -> None:
        self._sizes: dict[tuple[int, int], Image] = {(0, 0): picture}
        self._texel_along = PERIOD_M / picture.shape[0]
        self._texel_across = 2 * HALF_WIDTH_M / picture.shape[1]

    def sample(self, s: Field, d: Field) -> Image:
        """Colours (h, w, 3) at road coordinates (h, w), where both change smoothly over the picture."""
        out = np.empty((*s.shape, 3), np.uint8)
        few_s, few_d = s[:, ::_LEVEL_STRIDE], d[:, ::_LEVEL_STRIDE]
        along = self._levels(_steps(few_s), self._texel_along)
        across = self._levels(
            np.maximum(np.abs(np.diff(few_d, axis=1)).mean(axis=1) / _LEVEL_STRIDE, _steps(few_d)),
            self._texel_across,
        )
        changes = np.flatnonzero((np.diff(along) != 0) | (np.diff(across) != 0)) + 1
        folded = fold(d)
        for first, last in zip([0, *changes], [*changes, len(along)], strict=True):
            picture = self._size(int(along[first]), int(across[first]))
            rows, columns = picture.shape[:2]
            cv2.remap(
                picture,
                (folded[first:last] + HALF_WIDTH_M) * (columns / (2 * HALF_WIDTH_M)) - 0.5,
                s[first:last] * (rows / PERIOD_M) - 0.5,
                cv2.INTER_LINEAR,
                dst=out[first:last],
                borderMode=cv2.BORDER_WRAP,
            )
        return out

    def _levels(self, pixel: Field, texel: float) -> NDArray[np.int64]:
        """Which size fits rows (h,) whose pixels are that many metres: octaves above the full one."""
        levels = np.rint(np.log2(np.maximum(pixel, 1e-6) / texel))
        return np.asarray(np.clip(levels, 0, 8), np.int64)

    def _size(self, along: int, across: int) -> Image:
        key = (along, across)
        if key not in self._sizes:
            larger = self._size(along, across - 1) if across else self._size(along - 1, 0)
            rows, columns = larger.shape[:2]
            self._sizes[key] = shrink(larger, (columns // 2, rows) if across else (columns, rows // 2))
        return self._sizes[key]


def _steps(values: Field) -> Field:
    """How much a row differs from the one above it, on average: (h, w) to (h,)."""
    steps = np.abs(np.diff(values, axis=0)).mean(axis=1)
    return np.concatenate([steps[:1], steps])


def fold(d: Field) -> Field:
    """Bring offsets beyond the texture back into its outermost metres, mirroring."""
    distance = np.abs(d)
    turns = (distance - HALF_WIDTH_M) * np.float32(0.5 / _FOLD_M)
    turns -= np.floor(turns)
    wave = HALF_WIDTH_M - _FOLD_M + np.abs(turns * np.float32(2 * _FOLD_M) - np.float32(_FOLD_M))
    return np.copysign(np.where(distance > HALF_WIDTH_M, wave, distance), d)
