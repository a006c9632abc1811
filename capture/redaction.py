"""Making people and plates in the shards unrecognisable, as whoever is passed in finds them.

What finds them sees each picture at the size of the source, where a face has pixels; what is blurred is the
picture at network size. Of each box no more is left than 4×4 levels a plane. The originals stay as they are.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import Image, Planes
from catseye.errors import CatseyeError

MARGIN = 0.1
"""Share of a box's size that is blurred on each side of it too."""

_LEVELS = 4


class Redact(Protocol):
    """Names what to blur. It goes to other processes, so it must pickle.

    Args:
        rgb: (H, W, 3) uint8, the picture as shown (see ``display``), at the size of the source.

    Returns:
        (N, 4) boxes of left, top, right, bottom in its pixels, (0, 0) being the picture's corner.
    """

    def __call__(self, rgb: Image, /) -> NDArray[np.floating]: ...


def find_boxes(redact: Redact, rgb: Image) -> NDArray[np.float64]:
    """What is to be blurred in a picture, (N, 4) float64.

    Raises:
        CatseyeError: ``redact`` fails, or gives boxes of another shape or that are not finite. That ends the
            ingest, so that nothing goes unblurred by it.
    """
    try:
        boxes = np.asarray(redact(rgb), dtype=np.float64)
    except Exception as error:  # whatever a callable of others raises
        raise CatseyeError(f"what finds the boxes to blur fails: {type(error).__name__}: {error}") from error
    if boxes.size == 0:
        return np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise CatseyeError(f"boxes to blur have shape {boxes.shape}, or are not finite: give (N, 4)")
    return boxes


def blur(planes: Planes, boxes_xyxy: NDArray[np.floating]) -> Planes:
    """A copy of a picture with every box blurred beyond recognition, luma and chroma.

    Args:
        boxes_xyxy: (N, 4) finite corners in luma pixels; what is outside of the picture is passed over.
    """
    if not len(boxes_xyxy):
        return planes
    y, u, v = planes.y.copy(), planes.u.copy(), planes.v.copy()
    for left, top, right, bottom in boxes_xyxy:
        dx, dy = MARGIN * abs(right - left), MARGIN * abs(bottom - top)
        columns = (min(left, right) - dx, max(left, right) + dx)
        rows = (min(top, bottom) - dy, max(top, bottom) + dy)
        for plane, step in ((y, 1), (u, 2), (v, 2)):
            at = (_within(rows, plane.shape[0], step), _within(columns, plane.shape[1], step))
            if plane[at].size:
                plane[at] = _smear(plane[at])
    return Planes(y=y, u=u, v=v, matrix=planes.matrix, full_range=planes.full_range)


def _within(span: tuple[float, float], limit: int, step: int) -> slice:
    """Whole pixels of a plane that a span touches."""
    first, last = np.floor(span[0] / step), np.ceil(span[1] / step)
    return slice(int(np.clip(first, 0, limit)), int(np.clip(last, 0, limit)))


def _smear(region: Image) -> Image:
    height, width = region.shape
    few = cv2.resize(region, (min(_LEVELS, width), min(_LEVELS, height)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
