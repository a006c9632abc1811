"""A frame's result as messages that Foxglove shows: https://docs.foxglove.dev/docs/sdk/schemas.

Pixels are those of the picture that is written beside them, which may be smaller than the source's; the
first one's upper left corner is the origin. Metres are in the camera's frame: x right, y down, z forward.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from catseye.capture.calibration import Calibration
from catseye.capture.geometry import Planes, letterbox, planes_to_rgb, resize_planes
from catseye.runtime.draw import id_rgb, label
from catseye.runtime.results import FrameResult

Message = dict[str, Any]
Size = tuple[int, int]
"""Width and height in pixels."""

_JPEG_QUALITY = 80
_LINE_LOOP = 2
_DELETE_ALL = 1
_PLATE_M = 0.1
_TEXT_M = 0.5
_DARK = {"r": 0.0, "g": 0.0, "b": 0.0, "a": 0.6}
_WHITE = {"r": 1.0, "g": 1.0, "b": 1.0, "a": 1.0}
_CLEAR = {"r": 0.0, "g": 0.0, "b": 0.0, "a": 0.0}
_NO_TURN = {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}
_NOT_DRAWN: dict[str, list[Message]] = {
    name: [] for name in ("arrows", "spheres", "cylinders", "lines", "triangles", "models")
}


def time_ns(result: FrameResult) -> int:
    """When the frame was taken: nanoseconds since 1970, UTC, where something tells it, else from the zero of
    its file's clock, before which there is nothing."""
    if result.captured_utc_ns is not None:
        return result.captured_utc_ns
    return max(0, int(result.pts * result.time_base * 1_000_000_000))


def picture_size(result: FrameResult, planes: Planes, widest: int) -> Size:
    """Of the picture to be written: the source's aspect, even, no wider than ``widest`` nor than the planes,
    which a decoder may have scaled."""
    width = min(widest, planes.width) // 2 * 2
    return width, max(2, round(result.height * width / result.width / 2) * 2)


def jpeg(planes: Planes, size: Size) -> bytes:
    """The picture at that size."""
    if (planes.width, planes.height) != size:
        planes = resize_planes(planes, letterbox(planes.width, planes.height, *size, "stretch"))
    bgr = cv2.cvtColor(planes_to_rgb(planes), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def encoded(message: Message) -> bytes:
    """A message as JSON.

    Raises:
        ValueError: it has a value that JSON cannot hold.
    """
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode()


def compressed_image(picture: bytes, *, at_ns: int, frame_id: str) -> bytes:
    """A JPEG as foxglove.CompressedImage, encoded."""
    around = encoded({"timestamp": _time(at_ns), "frame_id": frame_id, "format": "jpeg", "data": ""})
    # An encoder would search all of it for what it has to escape, which takes longer than all else here.
    return b"".join((around[:-2], base64.b64encode(picture), around[-2:]))


def image_annotations(result: FrameResult, size: Size, *, at_ns: int) -> Message:
    """A box and a label a track as foxglove.ImageAnnotations, for a picture of that size."""
    at = _time(at_ns)
    scale = np.array([size[0] / result.width, size[1] / result.height] * 2)
    font = max(10.0, size[0] / 80)
    points, texts = [], []
    for row, box in enumerate(np.round(result.tracks.boxes_xyxy * scale, 2).tolist()):
        x1, y1, x2, y2 = box
        score = f"{result.tracks.scores[row]:.2f}"
        points.append(
            {
                "timestamp": at,
                "type": _LINE_LOOP,
                "points": [{"x": x, "y": y} for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))],
                "outline_color": _colour(int(result.tracks.ids[row])),
                "outline_colors": [],
                "fill_color": _CLEAR,
                "thickness": 2.0,
                "metadata": [
                    {"key": "id", "value": str(result.tracks.ids[row])},
                    {"key": "class", "value": result.classes[result.tracks.classes[row]]},
                    {"key": "score", "value": score},
                ],
            }
        )
        texts.append(
            {
                "timestamp": at,
                "position": {"x": x1, "y": max(y1, font)},
                "text": f"{label(result, row)}  {score}",
                "font_size": font,
                "text_color": _WHITE,
                "background_color": _DARK,
                "metadata": [],
            }
        )
    return {"circles": [], "points": points, "texts": texts}


def camera_calibration(calibration: Calibration, size: Size, *, at_ns: int, frame_id: str) -> Message:
    """A camera as foxglove.CameraCalibration, for pictures of that size."""
    fx, fy, cx, cy = _pinhole(calibration, size)
    distorted = calibration.distortion_model != "none" and not calibration.rectified
    return {
        "timestamp": _time(at_ns),
        "frame_id": frame_id,
        "width": size[0],
        "height": size[1],
        "distortion_model": calibration.distortion_model if distorted else "",
        "D": list(calibration.distortion) if distorted else [],
        "K": [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        "R": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        "P": [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    }


def scene_update(result: FrameResult, calibration: Calibration, *, at_ns: int, frame_id: str) -> Message:
    """Each track whose distance is known as foxglove.SceneUpdate: a plate as wide and tall as its box, where
    the nearest part of it is. How long it is nobody knows. Those of the frame before are taken away."""
    at = _time(at_ns)
    fx, fy, cx, cy = _pinhole(calibration, (result.width, result.height))
    entities = []
    for row, z in enumerate(result.distances.metres.tolist()):
        if not math.isfinite(z):
            continue
        x1, y1, x2, y2 = result.tracks.boxes_xyxy[row].tolist()
        left, right = z * (x1 - cx) / fx, z * (x2 - cx) / fx
        top, bottom = z * (y1 - cy) / fy, z * (y2 - cy) / fy
        id_ = int(result.tracks.ids[row])
        centre = ((left + right) / 2, (top + bottom) / 2, z + _PLATE_M / 2)
        plate = {
            "pose": _pose(centre),
            "size": _vector((right - left, bottom - top, _PLATE_M)),
            "color": _colour(id_, alpha=0.8),
        }
        text = {
            "pose": _pose((centre[0], top - _TEXT_M, z)),
            "billboard": True,
            "font_size": _TEXT_M,
            "scale_invariant": False,
            "color": _WHITE,
            "text": label(result, row),
        }
        entities.append(
            {
                "timestamp": at,
                "frame_id": frame_id,
                "id": str(id_),
                "lifetime": {"sec": 0, "nsec": 0},
                "frame_locked": True,
                "metadata": [],
                "cubes": [plate],
                "texts": [text],
                **_NOT_DRAWN,
            }
        )
    return {"deletions": [{"timestamp": at, "type": _DELETE_ALL, "id": ""}], "entities": entities}


def _pinhole(calibration: Calibration, size: Size) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy in pixels of that size."""
    (fx, _, cx), (_, fy, cy), _ = calibration.K
    wide, tall = size[0] / calibration.width, size[1] / calibration.height
    return wide * fx, tall * fy, wide * cx, tall * cy


def _time(ns: int) -> dict[str, int]:
    sec, nsec = divmod(ns, 1_000_000_000)
    return {"sec": sec, "nsec": nsec}


def _colour(id_: int, alpha: float = 1.0) -> dict[str, float]:
    red, green, blue = id_rgb(id_)
    return {"r": round(red, 3), "g": round(green, 3), "b": round(blue, 3), "a": alpha}


def _vector(values: Sequence[float]) -> dict[str, float]:
    x, y, z = values
    return {"x": round(x, 3), "y": round(y, 3), "z": round(z, 3)}


def _pose(position: Sequence[float]) -> Message:
    return {"position": _vector(position), "orientation": _NO_TURN}
