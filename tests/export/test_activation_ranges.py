"""Ranges of activations: what is measured, and where they are cut off."""

from __future__ import annotations

import numpy as np
import pytest

from catseye.export.activation_ranges import (
    BINS,
    METHODS,
    STEPS,
    Magnitudes,
    cut_off,
    largest_magnitudes,
    observe,
)
from catseye.runtime.bundle import Bundle
from catseye.runtime.network_input import first_frames, frame_count
from catseye.runtime.verification import golden_inputs


def histogram(values: np.ndarray) -> Magnitudes:
    magnitudes = np.abs(values)
    counts, _ = np.histogram(magnitudes, bins=BINS, range=(0, magnitudes.max()))
    return Magnitudes(float(magnitudes.max()), counts)


def test_histograms_count_every_element_of_every_frame(exported: Bundle) -> None:
    graph, frames = exported.graph("fp32"), golden_inputs(exported)
    largest = largest_magnitudes(graph, frames, batch=1, threads=1)
    first = largest_magnitudes(graph, first_frames(frames, 1), batch=1, threads=1)
    assert largest["depth"] >= first["depth"] > 1
    assert any(largest[name] > first[name] for name in largest)
    seen = observe(graph, largest, ["depth"], frames, batch=1, threads=1)["depth"]
    assert seen.largest == largest["depth"]
    assert seen.counts.sum() == frame_count(frames) * 16 * 24
    assert seen.counts[-1] >= 1


def test_max_cuts_nothing_off() -> None:
    assert cut_off(histogram(np.array([0.1, -7.0, 2.0])), "max") == 7.0


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_a_lone_outlier_does_not_stretch_the_range(method: str) -> None:
    values = np.abs(np.random.default_rng(0).normal(size=200_000))
    whole = cut_off(histogram(values), method)  # type: ignore[arg-type]
    cut = cut_off(histogram(np.append(values, 40.0)), method)  # type: ignore[arg-type]
    assert 2 < whole <= values.max()
    assert 2 < cut < 12


def test_least_squared_error_is_that_of_the_levels() -> None:
    """Against a search over the values themselves, of which one is far from all others."""
    values = np.append(np.random.default_rng(1).exponential(size=20_000), 60.0)

    def error(end: float) -> float:
        step = end / STEPS
        return float(((np.minimum(np.round(values / step), STEPS) * step - values) ** 2).sum())

    ends = np.linspace(0.02, 1, 500) * values.max()
    best = min(error(end) for end in ends)
    assert error(cut_off(histogram(values), "mse")) < 1.05 * best < error(values.max())


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_of_zeros_has_range_zero(method: str) -> None:
    counts = np.zeros(BINS, dtype=np.int64)
    counts[0] = 100
    assert cut_off(Magnitudes(0.0, counts), method) == 0.0  # type: ignore[arg-type]
