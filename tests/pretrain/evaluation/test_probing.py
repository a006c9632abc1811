"""Cells turned back into objects."""

from __future__ import annotations

import numpy as np
import pytest

from catseye.pretrain.augment import Still
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.evaluation.probing import cell_outcome
from catseye.pretrain.frozen_probes import cells_inside, cells_of
from catseye.pretrain.labels import LabelledImage

NEAR, SMALL, CROWD = [8, 8, 24, 16], [41, 41, 43, 43], [48, 32, 64, 48]
SIZE = {"width": 96, "height": 64}


def labelled(*boxes: list[int], scale: int = 1) -> tuple[Still, LabelledImage]:
    """A still at the network's size, whose labels are for a picture ``scale`` times as large."""
    corners = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    classes, crowd = np.zeros(len(boxes), np.int32), np.array([box == CROWD for box in boxes], dtype=bool)
    still = Still(np.zeros((64, 96, 3), dtype=np.uint8), corners, classes, crowd)
    return still, LabelledImage("a.jpg", 96 * scale, 64 * scale, corners * scale, classes, crowd)


def test_cells_are_those_of_the_probe() -> None:
    still, _ = labelled(NEAR, SMALL, CROWD)
    inside = cells_inside(still, **SIZE)
    cells = cells_of(Encoder("test_byobnet").eval(), [still], **SIZE)
    kept = inside[~still.ignored].any(axis=0) | ~inside[still.ignored].any(axis=0)
    assert inside[~still.ignored].any(axis=0)[kept].tolist() == cells.positive.tolist()


@pytest.mark.parametrize("scale", [1, 2])
def test_an_object_is_found_by_any_cell_and_false_regions_become_boxes(scale: int) -> None:
    still, image = labelled(NEAR, SMALL, CROWD, scale=scale)
    inside = cells_inside(still, **SIZE)
    kept = inside[:2].any(axis=0) | ~inside[2]
    grid = np.zeros((8, 12), dtype=bool)
    grid[1, 2] = True  # the right half of NEAR
    grid[2, 2] = True  # a fringe of it is no error
    grid[6:8, 9] = True  # two cells where nothing is
    outcome = cell_outcome(grid[kept], still, image, **SIZE)
    assert outcome.asked.tolist() == [True, False, False]
    assert outcome.found.tolist() == [True, False, False]
    assert (outcome.false / scale).tolist() == [[72, 48, 80, 64]] and outcome.errors == 1
    nothing = cell_outcome(np.zeros_like(grid)[kept], still, image, **SIZE)
    assert nothing.missed.tolist() == [True, False, False]
