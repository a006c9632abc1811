"""Average precision of the objects within a band of height or distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from catseye.pretrain.detection_metrics import Detections, Truth, average_precision_where
from catseye.pretrain.detection_report.summary import Band

HEIGHTS_PX = (10.0, 20.0, 40.0)
"""Where bands of height in source pixels meet."""
DISTANCES_M = (15.0, 30.0, 60.0)
"""Where bands of distance meet."""


def by_height(found: Sequence[Detections], truths: Sequence[Truth]) -> tuple[Band, ...]:
    """AP50 by the objects' height in source pixels.

    Objects of other bands are ignored, and so are detections whose own height is of another band, unless
    they overlap an object of this one by an IoU of 0.5 or more.
    """
    bands = []
    for name, low, high in _bands(HEIGHTS_PX, "px"):
        asked = [_within(heights(truth.boxes), low, high) for truth in truths]
        plausible = [_within(heights(each.boxes), low, high) for each in found]
        bands.append(_band(name, found, truths, asked, plausible))
    return tuple(band for band in bands if band.objects)


def by_distance(
    found: Sequence[Detections], truths: Sequence[Truth], metres: Sequence[NDArray[np.float32]]
) -> tuple[Band, ...]:
    """AP50 by the objects' true distance, for boxes that have one.

    A false alarm has no true distance: it counts in a band if an object of its height could be in it, that
    is, if its height is between those of the smallest and the largest object of the band.

    Args:
        metres: (N,) of each still's boxes, NaN where it is not known.
    """
    bands = []
    for name, low, high in _bands(DISTANCES_M, "m"):
        asked = [_within(each, low, high) for each in metres]
        tall = [
            heights(truth.boxes)[rows & ~truth.ignored] for truth, rows in zip(truths, asked, strict=True)
        ]
        all_tall = np.concatenate(tall) if tall else np.zeros(0)
        least, most = (all_tall.min(), all_tall.max()) if len(all_tall) else (0.0, 0.0)
        plausible = [(heights(each.boxes) >= least) & (heights(each.boxes) <= most) for each in found]
        bands.append(_band(name, found, truths, asked, plausible))
    return tuple(band for band in bands if band.objects)


def heights(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(boxes[:, 3] - boxes[:, 1])


def _band(
    name: str,
    found: Sequence[Detections],
    truths: Sequence[Truth],
    asked: Sequence[NDArray[np.bool_]],
    plausible: Sequence[NDArray[np.bool_]],
) -> Band:
    wanted = [replace(t, ignored=t.ignored | ~rows) for t, rows in zip(truths, asked, strict=True)]
    objects = sum(int((~truth.ignored).sum()) for truth in wanted)
    return Band(name=name, objects=objects, ap50=average_precision_where(found, wanted, plausible))


def _bands(edges: Sequence[float], unit: str) -> list[tuple[str, float, float]]:
    """Name, least and upper end of each band."""
    inner = [(f"{low:g} to {high:g} {unit}", low, high) for low, high in pairwise(edges)]
    return [
        (f"under {edges[0]:g} {unit}", -np.inf, edges[0]),
        *inner,
        (f"{edges[-1]:g} {unit} and over", edges[-1], np.inf),
    ]


def _within(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.bool_]:
    return np.asarray((values >= low) & (values < high))
