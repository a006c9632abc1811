"""What frozen features tell, measured where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from catseye.errors import UsageError
from catseye.pretrain import frozen_probes
from catseye.pretrain.augment import Still
from catseye.pretrain.encoder import Encoder
from catseye.pretrain.frozen_probes import CELL, Cells, average_precision, cells_of, probe


def cells(count: int, *, informative: bool, seed: int) -> Cells:
    """A tenth positive; where features are informative, one of eight channels says which, with noise."""
    generator = torch.Generator().manual_seed(seed)
    positive = torch.rand(count, generator=generator) < 0.1
    features = torch.randn(count, 8, generator=generator)
    if informative:
        features[:, 3] += 6.0 * positive
    return Cells(features, positive, torch.arange(count) // 100)


def test_features_that_tell_are_read_by_both() -> None:
    figures, _ = probe(cells(2000, informative=True, seed=0), cells(1000, informative=True, seed=1))
    assert figures["linear_ap"] > 0.95 and figures["knn_ap"] > 0.8
    assert figures["positive_share"] == pytest.approx(0.1, abs=0.03)


def test_features_that_tell_nothing_give_the_share_of_positives() -> None:
    figures, _ = probe(cells(2000, informative=False, seed=0), cells(1000, informative=False, seed=1))
    for name in ("linear_ap", "knn_ap"):
        assert figures[name] < figures["positive_share"] + 0.07


def test_average_precision_of_a_known_order() -> None:
    scores = torch.tensor([0.1, 0.9, 0.5, 0.7])
    positive = torch.tensor([False, True, True, False])
    assert average_precision(scores, positive) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_a_cell_that_stands_for_several_counts_as_often() -> None:
    scores = torch.tensor([0.1, 0.9, 0.5, 0.7])
    positive = torch.tensor([False, True, True, False])
    counted = torch.tensor([1.0, 1.0, 1.0, 4.0])
    assert average_precision(scores, positive, stands_for=counted) == pytest.approx((1 / 1 + 2 / 6) / 2)


def test_few_of_the_cells_that_show_nothing_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = (cells(4000, informative=True, seed=seed) for seed in (0, 1))
    everything, _ = probe(train, test)
    monkeypatch.setattr(frozen_probes, "_NEGATIVES", 400)
    few, scores = probe(train, test)
    assert few["positive_share"] == everything["positive_share"] and len(scores) == 4000
    for name in ("linear_ap", "knn_ap"):
        assert few[name] == pytest.approx(everything[name], abs=0.04)
    # The chances that logits stand for are those of all cells, not of those that were learned from.
    share = everything["positive_share"]
    assert float(scores.sigmoid().mean()) == pytest.approx(share, abs=0.02)
    # Where all cells look the same, objects do not come first.
    alike = [Cells(torch.ones(4000, 8), part.positive, part.still) for part in (train, test)]
    assert probe(*alike)[0]["knn_ap"] == pytest.approx(share, abs=0.03)


def test_cells_know_what_their_centre_shows() -> None:
    still = Still(
        rgb=np.zeros((64, 96, 3), dtype=np.uint8),
        boxes=np.array([[8, 8, 24, 16], [48, 32, 64, 48]], dtype=np.float32),
        classes=np.zeros(2, dtype=np.int32),
        ignored=np.array([False, True]),
    )
    found = cells_of(Encoder("test_byobnet").eval(), [still, still], width=96, height=64)
    assert len(found.positive) == 2 * ((96 // CELL) * (64 // CELL) - 4)
    assert int(found.positive.sum()) == 2 * 2
    # Two cells to the right, one down: the second and third of the second row.
    assert torch.nonzero(found.positive[found.still == 0]).flatten().tolist() == [12 + 1, 12 + 2]
    assert found.still.unique().tolist() == [0, 1]


def test_nothing_to_find_is_one_line() -> None:
    empty = cells(100, informative=True, seed=0)
    empty = Cells(empty.features, torch.zeros(100, dtype=torch.bool), empty.still)
    with pytest.raises(UsageError, match="the test stills have no labelled object"):
        probe(cells(100, informative=True, seed=0), empty)
