"""Stills and detections as rows of numbers."""

from __future__ import annotations

import numpy as np

from catseye.pretrain.detection_metrics import Detections
from catseye.pretrain.labels import LabelledImage


def found(*rows: tuple[float, ...]) -> Detections:
    """Rows of x1, y1, x2, y2, score, class."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int32))


def image(*rows: tuple[float, ...], crowd: tuple[int, ...] = (), name: str = "a.png") -> LabelledImage:
    """Rows of x1, y1, x2, y2, class in a picture of 160×90."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 5)
    flags = np.isin(np.arange(len(table)), crowd)
    return LabelledImage(name, 160, 90, table[:, :4], table[:, 4].astype(np.int32), flags)
