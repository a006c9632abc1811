"""Frozen features read by the two simplest readers, and which objects the linear one finds."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from catseye.capture.geometry import letterbox
from catseye.pretrain.augment import Still
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.evaluation.labelled_stills import LabelledStills
from catseye.pretrain.evaluation.outcomes import StillOutcome, best_threshold
from catseye.pretrain.frozen_probes import CELL, cells_inside, cells_of, probe
from catseye.pretrain.labels import LabelledImage
from catseye.progress import Progress


def probe_stills(
    encoder: Encoder, stills: LabelledStills, *, seed: int, progress: Progress
) -> tuple[dict[str, float], list[StillOutcome]]:
    """Probe a frozen encoder in evaluation mode.

    Returns:
        The figures of ``frozen_probes.probe``, and an outcome a test still: what the linear probe finds.
    """
    size = {"width": stills.width, "height": stills.height}
    train = cells_of(encoder, stills.train_stills, **size, progress=progress)
    test = cells_of(encoder, stills.test_stills, **size, progress=progress)
    figures, scores = probe(train, test, seed=seed)
    right = test.positive.numpy()
    least = best_threshold(scores.numpy(), right, objects=int(right.sum()))
    outcomes = []
    for number, (still, image) in enumerate(zip(stills.test_stills, stills.test.images, strict=True)):
        found = (scores[test.still == number] >= least).numpy()
        outcomes.append(cell_outcome(found, still, image, **size))
    return figures, outcomes


def cell_outcome(
    found: NDArray[np.bool_], still: Still, image: LabelledImage, *, width: int, height: int
) -> StillOutcome:
    """What a still's cells say of its objects.

    An object is found if one of its cells is, and is not asked for if it is so small that it has none. A
    region of found cells that touches no object is one false find.

    Args:
        found: (N,) of the cells that ``cells_of`` gives for this still.
    """
    inside = cells_inside(still, width=width, height=height)
    objects = inside[~still.ignored].any(axis=0)
    kept = objects | ~inside[still.ignored].any(axis=0)
    grid = np.zeros(kept.shape, dtype=np.bool_)
    grid[kept] = found
    has_cell = inside.any(axis=(1, 2))
    _, regions, boxes, _ = cv2.connectedComponentsWithStats(grid.astype(np.uint8), connectivity=8)
    touching = np.unique(regions[grid & objects])
    corners = np.array(
        [
            (x, y, x + across, y + down)
            for number, (x, y, across, down, _) in enumerate(boxes)
            if number and number not in touching
        ],
        dtype=np.float32,
    ).reshape(-1, 4)
    box = letterbox(image.width, image.height, width, height)
    return StillOutcome(
        asked=~image.crowd & has_cell,
        found=(inside & grid).any(axis=(1, 2)) & ~image.crowd,
        false=box.boxes_to_source(corners * CELL),
    )
