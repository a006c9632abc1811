"""Distance by known size: what is of known height in metres is as far away as it is low in pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catseye.runtime.ranging.cue import Cue, Float
from catseye.runtime.ranging.errors import CueErrors
from catseye.runtime.ranging.known_sizes import Shapes
from catseye.runtime.ranging.visibility import CutOff


class SizeTable:
    """Heights of a detector's classes, to be looked up for many boxes at once.

    Args:
        shapes: of each class, by class index; nothing for a class of unknown size.
    """

    def __init__(self, shapes: Sequence[Shapes]) -> None:
        most = max((len(kinds) for kinds in shapes), default=0)
        table = np.full((len(shapes), max(most, 1), 5), np.nan)
        for row, kinds in enumerate(shapes):
            for column, kind in enumerate(kinds):
                table[row, column] = (
                    kind.log_height,
                    kind.spread,
                    np.log(kind.aspect),
                    kind.aspect_spread,
                    kind.share,
                )
        self._table = table
        self.known = bool(np.isfinite(table).any())

    def heights(self, classes: NDArray[np.integer], aspects: Float) -> tuple[Float, Float]:
        """Mean and variance (N,) of the logarithm of the height in metres; NaN for a class of unknown size.

        Of a class of several kinds, each counts as likely as the box's width over height makes it.
        """
        log_height, spread, aspect, aspect_spread, share = np.moveaxis(self._table[classes], 2, 0)
        if log_height.shape[1] == 1:
            return log_height[:, 0], spread[:, 0] ** 2
        off = (np.log(aspects)[:, None] - aspect) / aspect_spread
        with np.errstate(under="ignore"):
            likely = np.nan_to_num(share / aspect_spread * np.exp(-0.5 * np.minimum(off**2, 600.0)))
        total = likely.sum(axis=1)
        weights = likely / np.where(total > 0, total, np.nan)[:, None]
        log_height, spread = np.nan_to_num(log_height), np.nan_to_num(spread)
        mean = (weights * log_height).sum(axis=1)
        second = (weights * (spread**2 + log_height**2)).sum(axis=1)
        return mean, second - mean**2


def by_size(
    boxes_xyxy: Float,
    classes: NDArray[np.integer],
    cut: CutOff,
    focal_px: float,
    table: SizeTable,
    *,
    errors: CueErrors,
) -> Cue:
    """Distance of boxes (N, 4) in network pixels by the height of their class.

    A box of which a part is cut off is lower than its object, or wider or narrower than its kind: it says
    less.

    Args:
        focal_px: fy in network pixels.
    """
    width, height = boxes_xyxy[:, 2] - boxes_xyxy[:, 0], boxes_xyxy[:, 3] - boxes_xyxy[:, 1]
    tall = np.maximum(height, 1.0)
    log_height, variance = table.heights(classes, np.maximum(width, 1.0) / tall)
    variance = variance + 2 * errors.edges.variance(height) / tall**2
    variance = variance + np.where(cut.top | cut.bottom, errors.cut**2, 0.0)
    return Cue.of(focal_px * np.exp(log_height) / tall, variance)
