"""Weights that keep gradients alike."""

from __future__ import annotations

import math

import pytest

from catseye.pretrain.gradnorm import next_weights


def settled(strength: dict[str, float], progress: dict[str, float], *, steps: int = 2000) -> dict[str, float]:
    """Weights after many steps where a task's gradient norm is its strength times its weight."""
    weights = dict.fromkeys(strength, 1.0)
    for _ in range(steps):
        norms = {name: weights[name] * strength[name] for name in strength}
        weights = next_weights(weights, norms, progress)
    return weights


def test_weights_come_to_equal_norms_where_tasks_progress_alike() -> None:
    strength = {"a": 1.0, "b": 4.0, "c": 0.5}
    weights = settled(strength, dict.fromkeys(strength, 0.7))
    norms = [weights[name] * strength[name] for name in strength]
    assert max(norms) / min(norms) < 1.1
    assert sum(weights.values()) == pytest.approx(3)


def test_a_task_that_lags_gets_a_larger_norm_in_proportion() -> None:
    weights = settled({"fast": 1.0, "slow": 1.0}, {"fast": 0.3, "slow": 0.9})
    assert weights["slow"] / weights["fast"] == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize("norm", [math.nan, math.inf, 0.0])
def test_norms_that_say_nothing_change_nothing(norm: float) -> None:
    weights = {"a": 0.5, "b": 1.5}
    assert next_weights(weights, {"a": norm, "b": norm}, {"a": 1.0, "b": 1.0}) == weights
