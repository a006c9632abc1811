"""Which regions of a motion mask are taken for objects."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from catseye.pretrain.moving_objects import moving_objects


def mask(*regions: tuple[int, int, int, int], calm: float = 0.05, sure: float = 0.95) -> NDArray[np.float32]:
    """(60, 100), with these regions x1 y1 x2 y2 moving."""
    probability = np.full((60, 100), calm, dtype=np.float32)
    for left, top, right, bottom in regions:
        probability[top:bottom, left:right] = sure
    return probability


def test_a_vehicle_s_region_is_a_box_around_it() -> None:
    found = moving_objects(mask((20, 30, 32, 38), (60, 28, 66, 33)))
    assert sorted(found.boxes.tolist()) == [[20, 30, 32, 38], [60, 28, 66, 33]]
    assert found.boxes.dtype == np.float32 and found.doubtful.shape == (0, 4)


@pytest.mark.parametrize(
    "region",
    [
        pytest.param((20, 30, 60, 36), id="a line across the road"),
        pytest.param((40, 10, 45, 40), id="a post"),
        pytest.param((0, 30, 12, 38), id="cut off at the side"),
        pytest.param((30, 50, 50, 60), id="the own bonnet"),
        pytest.param((5, 5, 75, 50), id="most of the picture"),
    ],
)
def test_what_is_no_vehicle_s_shape_is_doubtful(region: tuple[int, int, int, int]) -> None:
    found = moving_objects(mask(region))
    assert len(found.boxes) == 0 and found.doubtful.tolist() == [list(region)]


def test_specks_are_nothing() -> None:
    found = moving_objects(mask((20, 30, 23, 33)))
    assert len(found.boxes) == len(found.doubtful) == 0


def test_a_ragged_region_is_doubtful() -> None:
    probability = mask((20, 30, 34, 32), (20, 32, 22, 40))
    found = moving_objects(probability)
    assert len(found.boxes) == 0 and len(found.doubtful) == 1


@pytest.mark.parametrize("unrest", [{"calm": 0.5}, {"sure": 0.65}])
def test_a_region_that_hardly_differs_from_what_is_around_it_is_doubtful(unrest: dict[str, float]) -> None:
    found = moving_objects(mask((20, 30, 32, 38), **unrest))
    assert len(found.boxes) == 0 and len(found.doubtful) == 1


def test_a_calm_picture_has_no_objects() -> None:
    found = moving_objects(mask())
    assert found.boxes.shape == found.doubtful.shape == (0, 4)
