"""Pictures that a model is given, and what was found drawn onto them."""

from __future__ import annotations

import colorsys
from pathlib import Path

import cv2
import numpy as np

from catseye.capture.geometry import Image
from catseye.detections import Detections
from catseye.errors import InputError, UsageError
from catseye.picture_files import read_rgb

_GOLDEN = 0.61803398875
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def read_picture(path: Path) -> Image:
    """Decode a picture file as RGB (H, W, 3) uint8.

    Raises:
        InputError: it is absent, or no picture.
    """
    if not path.is_file():
        raise InputError(path, "no such file", "check the path")
    rgb = read_rgb(path)
    if rgb is None:
        raise InputError(path, "is neither a picture nor a video that can be read", "give a JPEG, PNG or MP4")
    return rgb


def check_rgb(rgb: Image) -> Image:
    """The picture with its pixels in a row, as OpenCV's turned from BGR does not have them.

    Raises:
        UsageError: it is no RGB picture (H, W, 3) uint8, or one without a pixel.
    """
    is_rgb = isinstance(rgb, np.ndarray) and rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3
    if not (is_rgb and rgb.size):
        given = f"{rgb.dtype} of shape {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
        raise UsageError(f"predict was given {given}: give a path, or RGB (H, W, 3) uint8")
    return np.ascontiguousarray(rgb)


def draw_detections(rgb: Image, found: Detections) -> Image:
    """A copy of a picture (H, W, 3) uint8 with boxes, class names and scores on it, a colour a class."""
    picture = rgb.copy()
    size = max(0.35, picture.shape[0] / 1400)
    for each, index in zip(found, found.classes.tolist(), strict=True):
        red, green, blue = colorsys.hsv_to_rgb((0.08 + index * _GOLDEN) % 1.0, 0.85, 1.0)
        colour = (round(255 * red), round(255 * green), round(255 * blue))
        left, top, right, bottom = (round(edge) for edge in each.box_xyxy)
        cv2.rectangle(picture, (left, top), (right, bottom), colour, max(1, picture.shape[0] // 500))
        corner = (left, max(round(24 * size), top - 3))
        text = f"{each.name} {each.score:.2f}"
        cv2.putText(picture, text, corner, _FONT, size, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(picture, text, corner, _FONT, size, colour, 1, cv2.LINE_AA)
    return picture
