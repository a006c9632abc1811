from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from catseye.pretrain.repeat_factors import repeat_factors, still_at


def test_factors_are_those_of_the_paper() -> None:
    """Class 0 on all four stills, class 1 on one: √(0.5 / 0.25)."""
    classes = [np.array(c, dtype=np.int32) for c in ([0], [0, 0], [0, 1], [0])]
    factors = repeat_factors(classes, num_classes=2, threshold=0.5)
    assert factors.tolist() == pytest.approx([1, 1, 2**0.5, 1])
    assert repeat_factors(classes, num_classes=2, threshold=0.25).tolist() == [1, 1, 1, 1]
    assert repeat_factors([*classes, np.zeros(0, np.int32)], num_classes=3, threshold=0.1).tolist() == [1] * 5


def test_where_all_are_seen_once_the_order_is_that_of_the_seed() -> None:
    for seed, size in ((0, 7), (3, 40)):
        order = [still_at(place, [1.0] * size, seed=seed) for place in range(3 * size)]
        for number in range(3):
            shuffled = np.random.default_rng([seed, number, size]).permutation(size).tolist()
            assert order[number * size : (number + 1) * size] == shuffled


def test_each_round_shows_a_still_as_often_as_its_factor_says() -> None:
    factors = [1.0, 2.5, 1.0, 1.5]
    rounds = [Counter(still_at(n * 6 + place, factors, seed=1) for place in range(6)) for n in range(400)]
    for counts in rounds:
        assert counts[0] == counts[2] == 1 and counts[1] in (2, 3) and counts[3] in (1, 2)
    mean = sum((Counter(counts) for counts in rounds), Counter())[1] / 400
    assert mean == pytest.approx(2.5, abs=0.1)
