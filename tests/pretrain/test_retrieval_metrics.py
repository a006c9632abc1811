from __future__ import annotations

import numpy as np
import pytest

from catseye.pretrain.retrieval_metrics import retrieval


def test_ranks_and_precisions_by_hand() -> None:
    likeness = np.array([[0.9, 0.8, 0.7, 0.1], [0.9, 0.8, 0.7, 0.1], [0.9, 0.8, 0.7, 0.1]])
    same = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 0]], dtype=bool)
    considered = np.ones((3, 4), dtype=bool)
    considered[2, 2:] = False  # nothing left that could be wrong: no query
    found = retrieval(likeness, same, considered)
    assert found.queries == 2 and found.rank1 == 0.5
    assert found.mean_ap == pytest.approx(((1 + 2 / 3) / 2 + (1 / 2 + 2 / 4) / 2) / 2)


def test_what_is_not_considered_is_neither_right_nor_wrong() -> None:
    likeness = np.array([[0.9, 0.8, 0.7]])
    same = np.array([[True, False, True]])
    assert retrieval(likeness, same, np.array([[False, True, True]])).rank1 == 0.0
    assert retrieval(likeness, same, np.array([[True, True, False]])).rank1 == 1.0
    assert np.isnan(retrieval(likeness, ~same & same, np.ones((1, 3), bool)).rank1)
