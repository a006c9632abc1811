from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from catseye.runtime.association import grown_iou, iou, matched


def assigned(benefit: np.ndarray) -> dict[int, int]:
    """The column of each row, where all that gains anything may be paired."""
    rows, cols = (benefit > 0).nonzero()
    return matched(zip(rows.tolist(), cols.tolist(), benefit[rows, cols].tolist(), strict=True))


def greatest_total(benefit: np.ndarray) -> float:
    """By trying every way to give each row a column or none."""
    rows, cols = benefit.shape
    padded = np.concatenate([np.maximum(benefit, 0), np.zeros((rows, rows))], axis=1)
    ways = permutations(range(cols + rows), rows)
    return max(float(padded[np.arange(rows), list(way)].sum()) for way in ways)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.integers(-2, 5).map(lambda n: n / 4))
    )
)
def test_no_other_assignment_is_better(benefit: np.ndarray) -> None:
    pairs = assigned(benefit)
    assert len(set(pairs.values())) == len(pairs)
    gains = [benefit[pair] for pair in pairs.items()]
    assert all(gain > 0 for gain in gains)
    assert sum(gains) == pytest.approx(greatest_total(benefit))


def test_rows_that_all_want_the_same_column() -> None:
    """Greedy choice gives 9 + 1; giving the first row its second best gives 8 + 8."""
    assert assigned(np.array([[9.0, 8.0], [8.0, 1.0]])) == {0: 1, 1: 0}


def test_a_row_goes_without_where_all_gain_by_it() -> None:
    assert assigned(np.array([[5.0], [6.0], [4.0]])) == {1: 0}


def test_a_row_that_gains_little_gives_up_its_column() -> None:
    """The first row loses its best column to the second and then takes the third's."""
    assert assigned(np.array([[9.0, 8.0], [10.0, 0.0], [0.0, 1.0]])) == {0: 1, 1: 0}


def test_a_large_crowd_is_still_exact() -> None:
    """A hidden permutation of benefit 1 among smaller ones is the one optimum."""
    draw = np.random.default_rng(3)
    hidden = draw.permutation(120)
    benefit = draw.uniform(0.2, 0.99, (120, 120))
    benefit[np.arange(120), hidden] = 1.0
    assert assigned(benefit) == dict(enumerate(hidden.tolist()))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_assign(shape: tuple[int, int]) -> None:
    assert assigned(np.zeros(shape)) == {}


def test_overlaps() -> None:
    a = np.array([[0, 0, 10, 10], [5, 5, 5, 5]], dtype=float)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [5, 5, 5, 5]], dtype=float)
    assert np.allclose(iou(a, b), [[1, 1 / 3, 0, 0], [0, 0, 0, 0]])


def test_boxes_of_a_pair_grow_by_the_margins_of_its_row() -> None:
    draw = np.random.default_rng(0)
    a, b = (np.tile(draw.uniform(0, 60, (count, 2)), 2) for count in (5, 7))
    a[:, 2:] += draw.uniform(5, 40, (5, 2))
    b[:, 2:] += draw.uniform(5, 40, (7, 2))
    margins = draw.uniform(1, 20, (2, 5))
    found = grown_iou(a, b, margins)
    for row, (x, y) in enumerate(margins.T.tolist()):
        outward = [-x, -y, x, y]
        assert found[row] == pytest.approx(iou(a[row : row + 1] + outward, b + outward)[0], abs=1e-5)
    assert (found > 0).any() and (found == 0).any()
