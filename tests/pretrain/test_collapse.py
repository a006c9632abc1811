"""Figures of representations that are healthy, flat or one point."""

from __future__ import annotations

import pytest
import torch

from catseye.pretrain.collapse import CollapseFigures, alarms, collapse_figures, position_vectors


def vectors(rank: int, *, count: int = 2000, channels: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(count, rank, generator=generator)
        @ torch.linalg.qr(torch.randn(channels, rank, generator=generator))[0].T
    )


def test_healthy_vectors_have_spread_one_and_full_rank() -> None:
    figures = collapse_figures(vectors(64))
    assert figures.spread == pytest.approx(1, abs=0.05)
    assert figures.rank > 60
    assert figures.variance == pytest.approx(1, abs=0.1)
    assert alarms(figures, None) == []


def test_rank_counts_dimensions() -> None:
    assert collapse_figures(vectors(8)).rank == pytest.approx(8, abs=0.5)
    assert "rank" in " ".join(alarms(collapse_figures(vectors(2)), None))


def test_one_point_is_an_alarm() -> None:
    figures = collapse_figures(torch.ones(100, 16) + 1e-3 * torch.randn(100, 16))
    assert figures.spread < 0.01
    assert any("spread" in alarm for alarm in alarms(figures, None))


def test_a_sudden_fall_is_an_alarm() -> None:
    before, after = CollapseFigures(1.0, 30.0, 1.0), CollapseFigures(1.0, 30.0, 0.3)
    assert alarms(before, before) == []
    assert any("fell" in alarm for alarm in alarms(after, before))


def test_position_vectors_are_the_maps_own() -> None:
    maps = torch.arange(2 * 3 * 4 * 5 * 6, dtype=torch.float32).view(2, 3, 4, 5, 6)
    found = position_vectors(maps, most=1000)
    assert found.shape == (2 * 3 * 5 * 6, 4)
    assert torch.equal(found[0], maps[0, 0, :, 0, 0])
    assert len(position_vectors(maps, most=50)) <= 50
