from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from catseye.pretrain.facility_location import Crowd, Known, choose

ALL_DIFFER = 2.0


def unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def crowd_of(features: NDArray[np.float32], *kinds: list[int]) -> Crowd:
    """All of equal worth, and none a twin of another."""
    return Crowd(
        features=features,
        worth=np.ones(len(features)),
        kinds=[np.array(kind) for kind in kinds],
        views=features,
        twin_from=ALL_DIFFER,
    )


@pytest.fixture
def clusters() -> NDArray[np.float32]:
    """Fifty around one direction, ten around a second, two around a third, and one alone."""
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(8)[:4], (50, 10, 2, 1), axis=0)
    return unit(centres + 0.05 * rng.normal(size=centres.shape))


def members(chosen: list[int]) -> list[int]:
    return np.searchsorted([50, 60, 62], chosen, side="right").tolist()


def test_large_groups_are_stood_for_first_and_each_once(clusters: NDArray[np.float32]) -> None:
    chosen = choose(crowd_of(clusters), 4)
    assert members([choice.index for choice in chosen]) == [0, 1, 2, 3]
    assert chosen[0].stands_for >= 50 and chosen[3].stands_for == 1
    assert [round(choice.gain) for choice in chosen[1:]] == [9, 2, 1]
    assert chosen[3].likeness < 0.3


def test_laziness_changes_nothing() -> None:
    """The choice is that of the plain greedy rule, which computes everything at every step."""
    features = unit(np.random.default_rng(1).normal(size=(300, 6)))
    kinds = np.random.default_rng(2).integers(0, 5, 300)
    worth = np.random.default_rng(3).uniform(1, 2, 300)
    crowd = replace(crowd_of(features, kinds.tolist()), worth=worth)
    likeness = features @ features.T
    covered, counts, plain = np.zeros(300), np.zeros(5), []
    for _ in range(40):
        gain = np.maximum(likeness - covered[:, None], 0).sum(axis=0)
        values = gain * worth / (1 + counts[kinds] / (40 / 5))
        values[plain] = -1
        plain.append(int(values.argmax()))
        counts[kinds[plain[-1]]] += 1
        covered = np.maximum(covered, likeness[:, plain[-1]])
    assert [choice.index for choice in choose(crowd, 40)] == plain


def test_what_is_known_is_not_chosen_again(clusters: NDArray[np.float32]) -> None:
    known = Known(features=clusters[:1], views=clusters[:1])
    first = choose(crowd_of(clusters), 1, known=known)[0]
    assert members([first.index]) == [1]
    assert first.nearest == -1


def test_a_rare_kind_gets_nearly_its_even_share() -> None:
    """Ten of 200 are of another drive and look like the others: by likeness they would get half a place."""
    features = unit(np.random.default_rng(0).normal(size=(200, 16)))
    drive = [0] * 190 + [1] * 10
    chosen = [choice.index for choice in choose(crowd_of(features, drive), 12)]
    assert np.count_nonzero(np.array(chosen) >= 190) >= 4
    blind = [choice.index for choice in choose(crowd_of(features), 12)]
    assert np.count_nonzero(np.array(blind) >= 190) <= 2


def test_of_equals_the_one_of_more_worth_is_chosen(clusters: NDArray[np.float32]) -> None:
    worth = np.ones(len(clusters))
    worth[7] = 1.5
    assert choose(replace(crowd_of(clusters), worth=worth), 1)[0].index == 7


def test_twins_are_not_chosen_even_where_nothing_else_is_left() -> None:
    features = unit(np.random.default_rng(0).normal(size=(6, 4)))
    views = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1, 2]]
    crowd = replace(crowd_of(features), views=views, twin_from=0.99)
    chosen = choose(crowd, 6)
    assert sorted(int(views[choice.index].argmax()) for choice in chosen) == [0, 1, 2]
    left = choose(crowd, 6, known=Known(features[:1], views[:1]))
    assert sorted(int(views[choice.index].argmax()) for choice in left) == [1, 2]


def test_the_same_seed_chooses_the_same_and_decides_between_equals() -> None:
    features = np.tile(np.eye(4, dtype=np.float32), (25, 1))
    picks = [
        [choice.index for choice in choose(crowd_of(features), 4, seed=seed)] for seed in (0, 0, 1, 2, 3)
    ]
    assert picks[0] == picks[1]
    assert len({tuple(pick) for pick in picks}) > 2
    assert all(sorted(index % 4 for index in pick) == [0, 1, 2, 3] for pick in picks)


def test_what_adds_nothing_is_chosen_last_and_once() -> None:
    features = np.eye(3, dtype=np.float32)[[0, 0, 0, 1]]
    chosen = choose(crowd_of(features), 9)
    assert sorted(choice.index for choice in chosen) == [0, 1, 2, 3]
    assert [choice.gain for choice in chosen] == [3, 1, 0, 0]


def test_nothing_is_chosen_of_nothing() -> None:
    assert choose(crowd_of(np.zeros((0, 4), dtype=np.float32)), 3) == []
